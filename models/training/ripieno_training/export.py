"""`python -m ripieno_training.export --checkpoints DIR`: checkpoints -> ONNX files and their manifest entries.

Weights are stored as fp16 and cast to fp32 where they are used; ONNX Runtime folds the casts when a session is made.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from . import features as ft
from .manifest import MANIFEST, read, write_model_entry, write_synth, write_trained
from .networks import MEL
from .train.checkpoint import learned, load_bounded, load_network
from .train.checkpoint import read as read_checkpoint

LICENCE = "CC-BY-4.0"
SMALLEST = 256
"""tensors with fewer elements stay fp32"""


def tensor(name: str, shape: list, kind: str, unit: str) -> dict:
    """One manifest line of an input or output."""
    return {"name": name, "shape": shape, "type": kind, "unit": unit}


FRAMES = ["batch", "frames"]
ROLL = tensor("roll", [*FRAMES, ft.PLANES, ft.KEYS], "f32", "note roll: onset, held, age, release per key")
WHO = [
    tensor("instrument", ["batch"], "i64", "index in performances.toml"),
    tensor("performance", ["batch"], "i64", "index in performances.toml; their number is the null performance"),
    tensor("notes_on", ["batch"], "f32", "1, or 0 to null the notes"),
]
MEL_OUT = "natural log magnitude: mid bands, then side minus mid"
SIGNATURES = {
    "prior": ([ROLL, *WHO], [tensor("mel", [*FRAMES, MEL], "f32", MEL_OUT)]),
    "denoiser": (
        [
            tensor("x", [*FRAMES, MEL], "f32", "noisy residual in its standard deviations"),
            tensor("prior", [*FRAMES, MEL], "f32", MEL_OUT),
            ROLL,
            *WHO,
            tensor("t", ["batch"], "f32", "diffusion time, 0 to 999"),
        ],
        [tensor("v", [*FRAMES, MEL], "f32", "v of the residual in its standard deviations")],
    ),
    "vocoder": (
        [tensor("mel", [*FRAMES, MEL], "f32", MEL_OUT), ROLL],
        [tensor("gains", [*FRAMES, 4, ft.BINS], "f32", "linear gain of E and Z1 in mid, of E and Z2 in side")],
    ),
}


def example(name: str, batch: int, frames: int) -> tuple[Tensor, ...]:
    """Plausible inputs of a network, in the order of its signature."""
    random = np.random.default_rng(7)
    notes = np.array([[i * 0.11, i * 0.11 + 0.4, 40 + 5 * i, 90] for i in range(8)])
    roll = torch.from_numpy(ft.note_roll(notes, 0, frames))[None].repeat(batch, 1, 1, 1)
    made = {
        "roll": roll,
        "mel": torch.from_numpy(random.normal(-7, 2, (batch, frames, MEL)).astype(np.float32)),
        "x": torch.from_numpy(random.normal(0, 1, (batch, frames, MEL)).astype(np.float32)),
        "prior": torch.from_numpy(random.normal(-7, 2, (batch, frames, MEL)).astype(np.float32)),
        "instrument": torch.arange(batch) % 3,
        "performance": torch.arange(batch) % 3,
        "notes_on": torch.ones(batch),
        "t": torch.full((batch,), 500.0),
    }
    return tuple(made[line["name"]] for line in SIGNATURES[name][0])


def halve(model: onnx.ModelProto) -> None:
    """Stores large fp32 weights as fp16, each followed by a cast back."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALLEST:
            continue
        values, name = numpy_helper.to_array(weight), weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT, name=f"{name}_cast"))
    for i, node in enumerate(casts):
        model.graph.node.insert(i, node)


def export(model: nn.Module, name: str, file: Path) -> dict:
    """Writes one network; returns the largest differences of its outputs from PyTorch's and the file's size."""
    inputs, outputs = SIGNATURES[name]
    names = [line["name"] for line in inputs]
    axes = {
        line["name"]: {i: axis for i, axis in enumerate(line["shape"]) if isinstance(axis, str)}
        for line in [*inputs, *outputs]
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, example(name, 2, 16), str(file), input_names=names, output_names=[outputs[0]["name"]],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = onnx.load(str(file))
    halve(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(file))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = example(name, 3, 96)
    with torch.no_grad():
        ours = model(*feed).numpy()
    theirs = session.run(None, {n: v.numpy() for n, v in zip(names, feed, strict=True)})[0]
    scale = float(np.abs(ours).max())
    return {
        "largest_difference_from_fp32": round(float(np.abs(ours - theirs).max()) / max(scale, 1e-9), 6),
        "bytes": file.stat().st_size,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.export", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(SIGNATURES), choices=list(SIGNATURES))
    parser.add_argument("--out", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    arguments = parser.parse_args()
    # What the prior never heard is not offered: the tables of all networks have its length.
    vocabulary = learned(read_checkpoint(arguments.checkpoints, "prior"))
    for name in arguments.only:
        state = read_checkpoint(arguments.checkpoints, name)
        if len(learned(state).performances) < len(vocabulary.performances):
            print(f"{name} was trained with fewer performances than the prior: it will be poor with the others")
        if name == "denoiser":
            model, _ = load_bounded(arguments.checkpoints, vocabulary=vocabulary)
        else:
            model = load_network(arguments.checkpoints, name, vocabulary)
        file = arguments.out / "synth" / f"{name}.onnx"
        figures = export(model, name, file)
        figures |= {
            "training_steps": state["step"],
            "training_minutes": round(state["seconds"] / 60, 1),
            "training_hours_of_audio": round(state["hours"], 2),
            "seed": state["config"]["seed"],
            "device": state["device"],
        }
        inputs, outputs = SIGNATURES[name]
        count = sum(p.numel() for p in model.parameters())
        command = f"python -m ripieno_training.train {name} && python -m ripieno_training.export --only {name}"
        manifest = arguments.out / "manifest.toml"
        write_model_entry(name, file, LICENCE, command, count, inputs, outputs, figures, manifest)
        if name == "denoiser":
            kept = read(manifest).get("synth", {})
            share = kept.get("residual_share", 1.0)
            deviation = [round(share * float(v), 5) for v in state["kept"]["residual_std"]]
            # Until `evaluate_synth` has measured which setting is nearest to recordings, the prior sounds alone.
            undecided = {"default_steps": 0, "default_guidance_notes": 1.0, "default_guidance_performance": 1.0}
            write_synth({**undecided, **kept, "residual_std": deviation}, manifest)
        if hasattr(model, "players"):
            known = len(vocabulary.performances), len(vocabulary.instruments)
            write_trained(*known, arguments.out / "synth" / "performances.toml")
        print(name, figures)


if __name__ == "__main__":
    main()
