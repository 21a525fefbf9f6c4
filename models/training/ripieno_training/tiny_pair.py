"""`python -m ripieno_training.tiny_pair FOLDER`: an encoder and a decoder of a few KiB with random weights.

They have the inputs and outputs of a T5-style denoiser and answer to each of them, so that the engine's tests can run
such a pair without a trained one: `tests/fixtures/denoiser`.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import features as ft

MEL = 2 * ft.BANDS
WIDTH = 4
EMBEDDED = 64
"""instruments, and performances with the null one, that there can be"""
FRAMES = ["batch", "frames"]


def constant(name: str, values: np.ndarray) -> onnx.TensorProto:
    """A weight as the graph has it."""
    return numpy_helper.from_array(values, name)


def graph(name: str, nodes: list, inputs: dict, outputs: dict, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A checked model of nodes (operator, inputs, output) and shapes by name; integers where the name says so."""

    def info(tensor: str, shape: list) -> onnx.ValueInfoProto:
        whole = tensor in ("instrument", "performance")
        return helper.make_tensor_value_info(tensor, TensorProto.INT64 if whole else TensorProto.FLOAT, shape)

    made = helper.make_graph(
        [helper.make_node(operator, list(given), [output]) for operator, given, output in nodes],
        name,
        [info(*item) for item in inputs.items()],
        [info(*item) for item in outputs.items()],
        [constant(*item) for item in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def encoder(random: np.random.Generator) -> onnx.ModelProto:
    """memory = tanh(notes_on * (roll . W) + P[performance] + I[instrument])."""
    return graph(
        "encoder",
        [
            ("Reshape", ("roll", "flat"), "keys"),
            ("MatMul", ("keys", "w"), "notes"),
            ("Unsqueeze", ("notes_on", "axes"), "on"),
            ("Mul", ("notes", "on"), "heard"),
            ("Gather", ("p", "performance"), "who"),
            ("Gather", ("i", "instrument"), "what"),
            ("Add", ("who", "what"), "said"),
            ("Unsqueeze", ("said", "axis"), "told"),
            ("Add", ("heard", "told"), "sum"),
            ("Tanh", ("sum",), "memory"),
        ],
        {
            "roll": [*FRAMES, ft.PLANES, ft.KEYS],
            "instrument": ["batch"],
            "performance": ["batch"],
            "notes_on": ["batch"],
        },
        {"memory": [*FRAMES, WIDTH]},
        {
            "flat": np.array([0, 0, ft.PLANES * ft.KEYS]),
            "axes": np.array([1, 2]),
            "axis": np.array([1]),
            "w": random.normal(0, 0.3, (ft.PLANES * ft.KEYS, WIDTH)).astype(np.float32),
            "p": random.normal(0, 0.5, (EMBEDDED, WIDTH)).astype(np.float32),
            "i": random.normal(0, 0.5, (EMBEDDED, WIDTH)).astype(np.float32),
        },
    )


def decoder(random: np.random.Generator) -> onnx.ModelProto:
    """v = x / 2 + prior / 100 + (memory + Q[performance] + t / 1000) . U."""
    return graph(
        "decoder",
        [
            ("Mul", ("x", "half"), "kept"),
            ("Mul", ("prior", "hundredth"), "seen"),
            ("Gather", ("q", "performance"), "who"),
            ("Unsqueeze", ("who", "axis"), "told"),
            ("Mul", ("t", "thousandth"), "share"),
            ("Unsqueeze", ("share", "axes"), "time"),
            ("Add", ("memory", "told"), "memory_told"),
            ("Add", ("memory_told", "time"), "all"),
            ("MatMul", ("all", "u"), "read"),
            ("Add", ("kept", "seen"), "shape"),
            ("Add", ("shape", "read"), "v"),
        ],
        {
            "x": [*FRAMES, MEL],
            "prior": [*FRAMES, MEL],
            "memory": [*FRAMES, WIDTH],
            "performance": ["batch"],
            "t": ["batch"],
        },
        {"v": [*FRAMES, MEL]},
        {
            "half": np.array(0.5, np.float32),
            "hundredth": np.array(0.01, np.float32),
            "thousandth": np.array(0.001, np.float32),
            "axis": np.array([1]),
            "axes": np.array([1, 2]),
            "q": random.normal(0, 0.3, (EMBEDDED, WIDTH)).astype(np.float32),
            "u": random.normal(0, 0.2, (WIDTH, MEL)).astype(np.float32),
        },
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.tiny_pair", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for name, made in (("t5_encoder", encoder(random)), ("t5_decoder", decoder(random))):
        onnx.save(made, folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
