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
        out = self.call("MatMul", x, self.held(layer.weight.T))
        return out if layer.bias is None else self.call("Add", out, self.held(layer.bias))

    def block_linear(self, x: str, layer: nn.Linear) -> str:
        """A layer of a block of the transformer."""
        if not self.eight_bits:
            return self.linear(x, layer)
        held = [self.held(array) for array in rounded(layer.weight)]
        out = self.call(
            "MatMulNBits", x, *held, domain="com.microsoft", K=layer.in_features, N=layer.out_features, bits=8,
            block_size=BLOCK, accuracy_level=INT8_INPUTS,
        )  # fmt: skip
        return out if layer.bias is None else self.call("Add", out, self.held(layer.bias))

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        held = self.held(layer.weight), self.held(layer.bias)
        return self.call("LayerNormalization", x, *held, axis=-1, epsilon=layer.eps)

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
    codes = [g.call("Gather", "event", g.held(np.int64(field)), axis=2) for field in range(6)]
    x = ""
    for field, table in zip(model.embedding.fields, model.embedding.tables, strict=True):
        one = g.call("Gather", g.held(table.weight), codes[field])
        x = g.call("Add", x, one) if x else one
    total = g.cast("total_sequence_length", TensorProto.INT64)
    count = g.call("Shape", "event", start=1, end=2)
    ends = [g.call("Squeeze", end, g.held(np.array([0]))) for end in (g.call("Sub", total, count), total)]
    place = g.call("Range", *ends, g.held(np.int64(1)))
    if model.rotary:
        beats = g.call("Gather", g.held(model.embedding.sections), codes[BEAT])
        x = g.call("Add", x, g.linear(beats, model.embedding.beat))
        turn = _turns(g, model, codes, place)
    else:
        x = g.call("Add", x, g.call("Gather", g.held(model.place.weight), place))
        turn = None
    caches = []
    for i, block in enumerate(model.blocks):
        q, k, value = g.call("Split", g.block_linear(g.norm(x, block.before), block.qkv), outputs=3, axis=-1)
        if turn:
            q, k = (_turned(g, y, turn, heads, width) for y in (q, k))
        names = [f"{kind}_{i}" for kind in ("past_key", "past_value", "present_key", "present_value")]
        seen = f"seen_{i}"
        g.call(
            "GroupQueryAttention", q, k, value, *names[:2], "seqlens_k", "total_sequence_length",
            outputs=[seen, *names[2:]], domain="com.microsoft", num_heads=heads, kv_num_heads=heads,
        )  # fmt: skip
        caches.append(names)
        x = g.call("Add", x, g.block_linear(seen, block.project))
        up = g.call("Gelu", g.block_linear(g.norm(x, block.between), block.up), domain="com.microsoft")
        x = g.call("Add", x, g.block_linear(up, block.down))
    last = [
        g.call("Unsqueeze", g.cast(codes[field], TensorProto.FLOAT), g.held(np.array([2])))
        for field in (BEAT, POSITION)
    ]
    g.call("Concat", g.norm(x, model.norm), *last, axis=-1, outputs=["hidden"])
    cache = [1, heads, window, width // heads]
    value = helper.make_tensor_value_info
    inputs = [value("event", TensorProto.INT64, [1, "S", 6])]
    outputs = [value("hidden", TensorProto.FLOAT, [1, "S", width + 2])]
    for names in caches:
        inputs += [value(name, TensorProto.FLOAT, cache) for name in names[:2]]
        outputs += [value(name, TensorProto.FLOAT, cache) for name in names[2:]]
    inputs += [value(name, TensorProto.INT32, [1]) for name in ("seqlens_k", "total_sequence_length")]
    graph = helper.make_graph(g.nodes, "composer", inputs, outputs, g.weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _turns(g: Graph, model: Composer, codes: list[str], place: str) -> tuple[str, str]:
    """Cosine and sine [1, S, 1, pairs] of the events' angles."""
    zero = g.held(np.int64(0))
    beat, position = (
        g.call("Max", g.call("Sub", codes[field], g.held(np.int64(1))), zero) for field in (BEAT, POSITION)
    )
    time = g.call("Add", g.call("Mul", beat, g.held(np.int64(v.resolution()))), position)
    angles = []
    for axis, axes in ((0, [2, 3]), (1, [0, 2, 3])):
        counted = g.cast(g.call("Unsqueeze", (time, place)[axis], g.held(np.array(axes))), TensorProto.FLOAT)
        angles.append(g.call("Mul", counted, g.held(model.turns[axis])))
    angle = g.call("Concat", *angles, axis=-1)
    return g.call("Cos", angle), g.call("Sin", angle)


def _turned(g: Graph, x: str, turn: tuple[str, str], heads: int, width: int) -> str:
    """x [1, S, width], each head's pairs turned."""
    x = g.call("Reshape", x, g.held(np.array([0, 0, heads, width // heads])))
    a, b = g.call("Split", x, outputs=2, axis=-1)
    cos, sin = turn
    first = g.call("Sub", g.call("Mul", a, cos), g.call("Mul", b, sin))
    second = g.call("Add", g.call("Mul", a, sin), g.call("Mul", b, cos))
    return g.call("Reshape", g.call("Concat", first, second, axis=-1), g.held(np.array([0, 0, width])))
