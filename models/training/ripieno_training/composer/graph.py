"""The network as an ONNX graph that keeps its keys and values in buffers of the caller.

Attention is com.microsoft GroupQueryAttention: past and present may be the same memory, and a shorter total rewinds.
PyTorch's exporter does not know it, hence this graph by hand; exporting.py holds it to the network.

A step is a few dozen nodes of which each costs microseconds whatever it does, so that queries, keys and values stay in
one tensor, and what turns them are rows of tables that are computed when the file is loaded.
"""

import copy

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from . import vocabulary as v
from .eight_bits import BLOCK, INT8_INPUTS, rounded
from .model import Composer, kv_heads
from .vocabulary import BEAT, POSITION

OPSET = 17
MICROSOFT = "com.microsoft"


class Graph:
    """Nodes and weights in the order in which they are added; each call gives the name of what it makes."""

    def __init__(self, eight_bits: bool) -> None:
        self.eight_bits = eight_bits
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def held(self, value: Tensor | np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        self.weights.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def call(self, kind: str, *inputs: str, outputs: int | list[str] = 1, domain: str = "", **attributes) -> str | list:
        names = outputs if isinstance(outputs, list) else [f"x{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names if len(names) > 1 else names[0]

    def linear(self, x: str, layer: nn.Linear) -> str:
        return self.call("Add", self.call("MatMul", x, self.held(layer.weight.T)), self.held(layer.bias))

    def block_product(self, x: str, layer: nn.Linear) -> str:
        """What a layer of a block of the transformer makes of x, without its bias."""
        if not self.eight_bits:
            return self.call("MatMul", x, self.held(layer.weight.T))
        held = [self.held(array) for array in rounded(layer.weight)]
        return self.call(
            "MatMulNBits", x, *held, domain=MICROSOFT, K=layer.in_features, N=layer.out_features, bits=8,
            block_size=BLOCK, accuracy_level=INT8_INPUTS,
        )  # fmt: skip

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        held = self.held(layer.weight), self.held(layer.bias)
        return self.call("LayerNormalization", x, *held, axis=-1, epsilon=layer.eps)

    def added(self, x: str, y: str, layer: nn.Linear, norm: nn.LayerNorm) -> tuple[str, str]:
        """x with a block's layer of y added to it, and the same normalised."""
        held = self.held(norm.weight), self.held(norm.bias), self.held(layer.bias)
        y = self.block_product(y, layer)
        out = [f"x{len(self.nodes)}_{i}" for i in range(2)]
        self.call(
            "SkipLayerNormalization", x, y, *held, domain=MICROSOFT, epsilon=norm.eps,
            outputs=[out[0], "", "", out[1]],
        )  # fmt: skip
        return out[1], out[0]

    def part(self, x: str, axis: int, start: str, end: str) -> str:
        """From `start` to before `end`, int64 [1], along an axis."""
        return self.call("Slice", x, start, end, self.held(np.array([axis])))

    def cast(self, x: str, to: int) -> str:
        return self.call("Cast", x, to=to)


def network(model: Composer, eight_bits: bool = False) -> onnx.ModelProto:
    """event int64 [1, S, 6], past_key_I and past_value_I fp32 [1, kv_heads, window, width / heads], seqlens_k int32 [1]
    (events up to the last of these, less one), total_sequence_length int32 [1] -> hidden fp32 [1, S, width + 2], whose
    last two numbers are the events' beat and position codes, present_key_I, present_value_I. `eight_bits`: as in
    eight_bits.py.
    """
    g, config = Graph(eight_bits), model.config
    width, heads, layers, window = (config[name] for name in ("width", "heads", "layers", "window"))
    shared = kv_heads(config)
    ends = (g.held(np.array([end])) for end in (BEAT, POSITION + 1))
    onset = g.part(g.cast("event", TensorProto.FLOAT), 2, *ends)
    x = _vectors(g, model)
    if model.rotary:
        by_time, by_place = _by_time(g, model), _by_place(g, model)
    else:
        total = g.cast("total_sequence_length", TensorProto.INT64)
        places = g.call("Sub", total, g.call("Shape", "event", start=1, end=2)), total
        x = g.call("Add", x, g.part(g.held(model.place.weight[None]), 1, *places))
    normal, caches = g.norm(x, model.blocks[0].before), []
    for i, block in enumerate(model.blocks):
        if model.rotary:
            both = g.block_product(normal, _in_pairs(block.qkv, heads + shared, block.size))
            # As one head of which queries and keys are turned and values are not.
            both = g.call(
                "RotaryEmbedding", both, *by_time, domain=MICROSOFT, interleaved=1, num_heads=1,
                rotary_embedding_dim=(heads + shared) * block.size,
            )  # fmt: skip
            turn = {"do_rotary": 1, "rotary_interleaved": 1}
        else:
            both, by_place, turn = g.block_product(normal, block.qkv), (), {}
        names = [f"{kind}_{i}" for kind in ("past_key", "past_value", "present_key", "present_value")]
        seen = f"seen_{i}"
        g.call(
            "GroupQueryAttention", both, "", "", *names[:2], "seqlens_k", "total_sequence_length", *by_place,
            outputs=[seen, *names[2:]], domain=MICROSOFT, num_heads=heads, kv_num_heads=shared, **turn,
        )  # fmt: skip
        caches.append(names)
        x, normal = g.added(x, seen, block.project, block.between)
        up = g.call("BiasGelu", g.block_product(normal, block.up), g.held(block.up.bias), domain=MICROSOFT)
        x, normal = g.added(x, up, block.down, model.blocks[i + 1].before if i + 1 < layers else model.norm)
    g.call("Concat", normal, onset, axis=-1, outputs=["hidden"])
    cache = [1, shared, window, width // heads]
    value = helper.make_tensor_value_info
    inputs = [value("event", TensorProto.INT64, [1, "S", 6])]
    outputs = [value("hidden", TensorProto.FLOAT, [1, "S", width + 2])]
    for names in caches:
        inputs += [value(name, TensorProto.FLOAT, cache) for name in names[:2]]
        outputs += [value(name, TensorProto.FLOAT, cache) for name in names[2:]]
    inputs += [value(name, TensorProto.INT32, [1]) for name in ("seqlens_k", "total_sequence_length")]
    graph = helper.make_graph(g.nodes, "composer", inputs, outputs, g.weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _vectors(g: Graph, model: Composer) -> str:
    """Vectors [1, S, width] of the events: one look-up in the tables of all fields, joined as they are loaded."""
    held = [g.held(table.weight) for table in model.embedding.tables]
    tables = dict(zip(model.embedding.fields, held, strict=True))
    if model.rotary:
        tables[BEAT] = g.linear(g.held(model.embedding.sections), model.embedding.beat)
    table = g.call("Concat", *(tables[field] for field in range(6)), axis=0)
    first = np.cumsum([0, *v.sizes()[:-1]])
    rows = g.call("Gather", table, g.call("Add", "event", g.held(first)))
    return g.call("ReduceSum", rows, g.held(np.array([2])), keepdims=0)


def _in_pairs(layer: nn.Linear, turned: int, size: int) -> nn.Linear:
    """A block's first layer with the two numbers of a query or key that are turned together beside each other: only so
    can all heads be turned as one. The products of queries and keys do not hang on the order. `turned`: heads of
    queries and of keys, which come before the values.
    """
    rows = torch.arange(layer.out_features)
    rows[: turned * size] = rows[: turned * size].reshape(turned, 2, -1).transpose(1, 2).flatten()
    layer = copy.deepcopy(layer)
    layer.weight.data = layer.weight.data[rows]
    return layer


def _cos_sin(g: Graph, first: int, rows: int, speeds: Tensor, still: tuple[int, int], times: int = 1) -> list[str]:
    """Cosine and sine [rows, times x pairs] of 0, until row `first`, 1, 2, ... times the speeds: constants once the
    file is loaded, in 32 bits whatever weights are kept in. `still`: pairs before and after those that are not turned.
    """
    steps = g.cast(g.call("Range", *(g.held(np.int64(x)) for x in (-first, rows - first, 1))), TensorProto.FLOAT)
    steps = g.call("Unsqueeze", g.call("Max", steps, g.held(np.float32(0))), g.held(np.array([1])))
    angle = g.call("Mul", steps, g.held(speeds[None]))
    angle = g.call("Pad", angle, g.held(np.array([0, still[0], 0, still[1]])))
    repeats = g.held(np.array([1, times]))
    return [g.call("Tile", g.call(kind, angle), repeats) for kind in ("Cos", "Sin")]


def _by_time(g: Graph, model: Composer) -> list[str]:
    """What RotaryEmbedding asks for to turn the first half of the pairs of all queries and keys by the onset: the row
    of each event [1, S], cosines and sines. The row is the onset's for codes, which count from 1; 0 without an onset.
    """
    beats, ticks = v.sizes()[BEAT], v.resolution()
    unit = np.zeros(6, np.int64)
    unit[[BEAT, POSITION]] = ticks, 1
    row = g.call("MatMul", "event", g.held(unit))
    speeds = model.turns[0]
    times = model.config["heads"] + kv_heads(model.config)
    return [row, *_cos_sin(g, ticks + 1, beats * ticks + 1, speeds, (0, len(speeds)), times)]


def _by_place(g: Graph, model: Composer) -> list[str]:
    """What GroupQueryAttention asks for to turn the other half by the place in the sequence, which it knows."""
    speeds = model.turns[1]
    return _cos_sin(g, 0, model.config["window"], speeds, (len(speeds), 0))
