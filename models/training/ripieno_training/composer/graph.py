"""The network as an ONNX graph that keeps its keys and values in buffers of the caller.

Attention is com.microsoft GroupQueryAttention: past and present may be the same memory, and a shorter total rewinds.
PyTorch's exporter does not know it, hence this graph by hand; exporting.py holds it to the network.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from . import vocabulary as v
from .eight_bits import BLOCK, INT8_INPUTS, rounded
from .model import Composer
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
    """event int64 [1, S, 6], past_key_I and past_value_I fp32 [1, heads, window, width / heads], seqlens_k int32 [1]
    (events up to the last of these, less one), total_sequence_length int32 [1] -> hidden fp32 [1, S, width + 2], whose
    last two numbers are the events' beat and position codes, present_key_I, present_value_I. `eight_bits`: as in
    eight_bits.py.
    """
    g, config = Graph(eight_bits), model.config
    width, heads, layers, window = (config[name] for name in ("width", "heads", "layers", "window"))
    total = g.cast("total_sequence_length", TensorProto.INT64)
    places = g.call("Sub", total, g.call("Shape", "event", start=1, end=2)), total
    ends = (g.held(np.array([end])) for end in (BEAT, POSITION + 1))
    onset = g.part(g.cast("event", TensorProto.FLOAT), 2, *ends)
    x, turn = _vectors(g, model), []
    if model.rotary:
        turn = _turns(g, model, onset, places)
    else:
        x = g.call("Add", x, g.part(g.held(model.place.weight[None]), 1, *places))
    normal, caches = g.norm(x, model.blocks[0].before), []
    for i, block in enumerate(model.blocks):
        q, k, value = g.call("Split", g.block_product(normal, block.qkv), outputs=3, axis=-1)
        if turn:
            q, k = (g.call("RotaryEmbedding", y, *turn, domain=MICROSOFT) for y in (q, k))
        names = [f"{kind}_{i}" for kind in ("past_key", "past_value", "present_key", "present_value")]
        seen = f"seen_{i}"
        g.call(
            "GroupQueryAttention", q, k, value, *names[:2], "seqlens_k", "total_sequence_length",
            outputs=[seen, *names[2:]], domain=MICROSOFT, num_heads=heads, kv_num_heads=heads,
        )  # fmt: skip
        caches.append(names)
        x, normal = g.added(x, seen, block.project, block.between)
        up = g.call("BiasGelu", g.block_product(normal, block.up), g.held(block.up.bias), domain=MICROSOFT)
        x, normal = g.added(x, up, block.down, model.blocks[i + 1].before if i + 1 < layers else model.norm)
    g.call("Concat", normal, onset, axis=-1, outputs=["hidden"])
    cache = [1, heads, window, width // heads]
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


def _turns(g: Graph, model: Composer, onset: str, places: tuple[str, str]) -> list[str]:
    """What RotaryEmbedding asks for: the first event's row, then cosine and sine [S, pairs] of all events' angles.

    onset: beat and position codes fp32 [1, S, 2].
    """
    began = g.call("Max", g.call("Sub", onset, g.held(np.float32(1))), g.held(np.float32(0)))
    time = g.call("MatMul", began, g.held(np.array([[v.resolution()], [1]], np.float32)))
    # A constant once the graph is loaded, in 32 bits whatever the weights are kept in.
    every = g.call("Range", *(g.held(np.int64(x)) for x in (0, model.config["window"], 1)))
    every = g.call("Unsqueeze", g.cast(every, TensorProto.FLOAT), g.held(np.array([0, 2])))
    by_place = g.part(g.call("Mul", every, g.held(model.turns[1])), 1, *places)
    angle = g.call("Concat", g.call("Mul", time, g.held(model.turns[0])), by_place, axis=-1)
    angle = g.call("Squeeze", angle, g.held(np.array([0])))
    return [g.held(np.array([0])), g.call("Cos", angle), g.call("Sin", angle)]
