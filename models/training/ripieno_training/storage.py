"""How the weights of an exported network are stored: in fp16, and the large products of a denoiser in 8 bits."""

import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.onnx_model import ONNXModel

SMALLEST = 256
"""tensors with fewer elements stay fp32"""
ENDS = re.compile("(^|/denoiser|/decoder|/encoder)/(excitation|enter|leave)/MatMul$")
"""products that read what goes into a network or write what comes out: it ranges too far for one scale"""
QUANTISED, SCALE, ZERO = "_quantized", "_scale", "_zero_point"
"""what the quantiser adds to the name of a weight for what it makes of it"""
MADE = re.compile(f"({QUANTISED}|{SCALE}|{ZERO})$")
FORMER = "Gemm_MatMul"
"""how the name of a MatMul ends that was a Gemm"""


def without_gemm(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a MatMul and an Add for every Gemm, as the quantiser has it; `restore` compares the two."""
    plain = ONNXModel(model)
    plain.replace_gemm_with_matmul()
    return plain.model


def halve(model: onnx.ModelProto) -> None:
    """Stores large fp32 weights as fp16, each followed by a cast back."""
    casts = []
    for weight in model.graph.initializer:
        small = weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALLEST
        # Scales of 8-bit weights may be smaller than what fp16 knows well.
        if small or weight.name.endswith(SCALE):
            continue
        values, name = numpy_helper.to_array(weight), weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT, name=f"{name}_cast"))
    for i, node in enumerate(casts):
        model.graph.node.insert(i, node)


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its products in 8 bits: weights with a scale per output channel, the rest quantised as it comes.

    Weights have 7 bits, of which processors without VNNI can add two products in 16: the integers are the same on all.
    Products of two inputs, as in attention, stay in fp32; so do those of `ENDS`, and those of a row per item (FiLM).
    Dynamic quantisation: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    exact = [node.name for node in model.graph.node if ENDS.search(node.name)]
    exact += [node.name for node in model.graph.node if node.name.endswith(FORMER)]
    with tempfile.TemporaryDirectory() as folder:
        before, after = str(Path(folder) / "before.onnx"), str(Path(folder) / "after.onnx")
        onnx.save(model, before)
        quantize_dynamic(
            before, after, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8, per_channel=True,
            reduce_range=True, nodes_to_exclude=exact,
        )  # fmt: skip
        made = onnx.load(after)
    # In the order of the weights that they were, by which `restore` finds them.
    place = {weight.name: i for i, weight in enumerate(model.graph.initializer)}
    ordered = sorted(made.graph.initializer, key=lambda weight: place[MADE.sub("", weight.name)])
    del made.graph.initializer[:]
    made.graph.initializer.extend(ordered)
    return made


def weights(graph: onnx.GraphProto) -> list[np.ndarray]:
    """fp32 weights of a stored graph in its order, whatever they are stored as."""
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    out = []
    for name, values in stored.items():
        if name.endswith(QUANTISED):
            called = name.removesuffix(QUANTISED)
            values = (values.astype(np.float32) - stored[called + ZERO].astype(np.float32)) * stored[called + SCALE]
        elif MADE.sub("", name) + QUANTISED in stored:
            continue
        out.append(values.astype(np.float32))
    return out
