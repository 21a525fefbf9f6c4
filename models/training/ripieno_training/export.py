"""`python -m ripieno_training.export --checkpoints DIR`: checkpoints -> ONNX files and their manifest entries.

Weights are stored as fp16 and cast to fp32 where they are used; ONNX Runtime folds the casts when a session is made.
Of denoisers, which are asked at every step, the large products are of 8 bits (`storage.quantise`).
"""

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from .manifest import (
    MANIFEST,
    OCCASIONS,
    choose_denoiser,
    read,
    write_denoiser,
    write_model_entry,
    write_synth,
    write_trained,
)
from .networks import T5
from .networks.t5 import ASIDE
from .signatures import SIGNATURES, Signature, example, pair
from .storage import halve, quantise, without_gemm
from .train.checkpoint import learned, load_bounded, load_network
from .train.checkpoint import read as read_checkpoint
from .train.students import SHARPENED, Student, students
from .vocabulary import Vocabulary

LICENCE = "CC-BY-4.0"
TEACHERS = {"denoiser": "unet", "denoiser_base": "unet-base", "t5": "t5", "t5_base": "t5-base"}
STUDENTS = {s.name: f"{called}-{s.way}-{s.steps}" for name, called in TEACHERS.items() for s in students(name)}
"""of each teacher, of which those are exported that are asked for"""
DENOISERS = TEACHERS | STUDENTS
"""what people call the denoiser of a checkpoint"""
CHECKPOINTS = ["prior", *DENOISERS, "vocoder"]


@dataclass(frozen=True)
class Graph:
    """A network to write."""

    name: str
    model: nn.Module
    signature: Signature


def export(model: nn.Module, signature: Signature, file: Path, fp16: bool = True, int8: bool = False) -> dict:
    """Writes one network; returns the largest differences of its outputs from PyTorch's and the file's size."""
    inputs, outputs = signature
    names = [line["name"] for line in inputs]
    axes = {
        line["name"]: {i: axis for i, axis in enumerate(line["shape"]) if isinstance(axis, str)}
        for line in [*inputs, *outputs]
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, example(inputs, 2, 16), str(file), input_names=names, output_names=[outputs[0]["name"]],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = without_gemm(onnx.load(str(file)))
    if int8:
        graph = quantise(graph)
    if fp16:
        halve(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(file))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = example(inputs, 3, 96)
    with torch.no_grad():
        ours = model(*feed).numpy()
    theirs = session.run(None, {n: v.numpy() for n, v in zip(names, feed, strict=True)})[0]
    scale = float(np.abs(ours).max())
    return {
        "largest_difference_from_fp32": round(float(np.abs(ours - theirs).max()) / max(scale, 1e-9), 6),
        "bytes": file.stat().st_size,
    }


def graphs(folder: Path, name: str, vocabulary: Vocabulary) -> list[Graph]:
    """What a checkpoint is written as: one graph, or two of an encoder-decoder."""
    if name not in DENOISERS:
        return [Graph(name, load_network(folder, name, vocabulary), SIGNATURES[name])]
    model, _ = load_bounded(folder, name, vocabulary)
    if isinstance(model, T5):
        first, second = pair(model.encoder.width // 2 + ASIDE)
        return [Graph(f"{name}_encoder", model.encoder, first), Graph(f"{name}_decoder", model.decoder, second)]
    return [Graph(name, model, SIGNATURES["denoiser"])]


def denoiser_entry(name: str, made: list[Graph], times: list[int]) -> dict:
    """The table [[synth.denoiser]] of a checkpoint."""
    parts = ["model"] if len(made) == 1 else ["encoder", "model"]
    entry = {"name": DENOISERS[name]} | {part: graph.name for part, graph in zip(parts, made, strict=True)}
    if times:
        teacher = DENOISERS[Student.of(name).teacher]
        return entry | {"sampler": "distilled", "steps": len(times), "times": times, "teacher": teacher}
    # Without a number, the synthesizer's default steps.
    return entry | {"sampler": "ddim"}


def write(folder: Path, name: str, vocabulary: Vocabulary, models: Path) -> None:
    """Writes a checkpoint's networks and what the manifest says of them."""
    state, manifest = read_checkpoint(folder, name), models / "manifest.toml"
    if len(learned(state).performances) < len(vocabulary.performances):
        print(f"{name} was trained with fewer performances than the prior: it will be poor with the others")
    made = graphs(folder, name, vocabulary)
    trained = "denoiser" if name in DENOISERS else name
    if one := Student.of(name):
        trained = f"distil --teacher {one.teacher}" + (" --adversarial" if one.way == SHARPENED else "")
    command = f"python -m ripieno_training.train {trained} && python -m ripieno_training.export --only {name}"
    for graph in made:
        file = models / "synth" / f"{graph.name}.onnx"
        figures = export(graph.model, graph.signature, file, int8=name in DENOISERS)
        figures |= {
            "training_steps": state["step"],
            "training_minutes": round(state["seconds"] / 60, 1),
            "training_hours_of_audio": round(state["hours"], 2),
            "seed": state["config"]["seed"],
            "device": state["device"],
        }
        count = sum(p.numel() for p in graph.model.parameters())
        write_model_entry(graph.name, file, LICENCE, command, count, *graph.signature, figures, manifest)
        print(graph.name, figures)
    if name in DENOISERS:
        kept = read(manifest).get("synth", {})
        share = kept.get("residual_share", 1.0)
        deviation = [round(share * float(v), 5) for v in state["kept"]["residual_std"]]
        if name == "denoiser" or "residual_std" not in kept:
            # Until `evaluate_synth` has measured which setting is nearest to recordings, the prior sounds alone.
            undecided = {"default_steps": 0, "default_guidance_notes": 1.0, "default_guidance_performance": 1.0}
            write_synth({**undecided, **kept, "residual_std": deviation}, manifest)
        elif not np.allclose(deviation, kept["residual_std"], rtol=1e-3):
            raise SystemExit(f"{name} was trained on another residual than the manifest's: train it beside its prior")
        write_denoiser(denoiser_entry(name, made, state["kept"].get("times", [])), manifest)
    if name != "vocoder":
        known = len(vocabulary.performances), len(vocabulary.instruments)
        write_trained(*known, models / "synth" / "performances.toml")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.export", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CHECKPOINTS, help="default: all but students")
    parser.add_argument("--out", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    for occasion in OCCASIONS:
        parser.add_argument(f"--{occasion}", metavar="NAME", help=f"the denoiser that plays {occasion}, as unet-base")
    arguments = parser.parse_args()
    folder = arguments.checkpoints
    # What the prior never heard is not offered: the tables of all networks have its length.
    vocabulary = learned(read_checkpoint(folder, "prior"))
    found = [n for n in CHECKPOINTS if n not in STUDENTS and (folder / f"{n}.pt").exists()]
    # `--only` with no name: nothing but who plays when.
    for name in found if arguments.only is None else arguments.only:
        write(folder, name, vocabulary, arguments.out)
    for occasion in OCCASIONS:
        if chosen := getattr(arguments, occasion):
            choose_denoiser(occasion, chosen, arguments.out / "manifest.toml")


if __name__ == "__main__":
    main()
