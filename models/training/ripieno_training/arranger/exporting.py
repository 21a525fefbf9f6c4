"""Writes the ONNX file, its manifest entry, and the golden values the engine is held to."""

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ..manifest import write_model_entry
from ..signatures import tensor
from ..storage import SMALLEST, halve
from .assignment import played
from .context import WIDTH
from .corpus import with_context
from .data import cut, view
from .evaluation import HINTS, Run, argmax_parts, with_history
from .fixtures import PIECES
from .history import NOTE, PER_PART
from .kinds import KINDS, UNKNOWN_VELOCITY, Kind
from .model import Arranger, parameters

GOLDEN_NOTES = 64


def input_lines(model: Arranger, kind: Kind) -> list[dict]:
    """The manifest's lines of the inputs a model asks for, in the order of its call, state last."""
    notes, parts = [1, "notes"], len(kind.parts)
    listed = ", ".join(kind.parts)
    lines = {
        "pitch": tensor("pitch", notes, "i64", "MIDI pitch + 1"),
        "beat": tensor("beat", notes, "i64", "quarters from the song's start, 0 to 4096"),
        "position": tensor("position", notes, "i64", "24ths of a quarter, 0 to 23"),
        "duration": tensor("duration", notes, "i64", "24ths of a quarter, 0 to 192"),
        "velocity": tensor("velocity", notes, "i64", f"MIDI velocity, 1 to 127; {UNKNOWN_VELOCITY} if it is not known"),
        "context": tensor("context", [*notes, WIDTH], "f32", "of the chord and what is held: arranger/context.py"),
        "entry": tensor(
            "entry", [*notes, parts], "f32", f"-1 before, 0 at, 1 after the first note of {listed}; 0 if unknown"
        ),
        "entry_known": tensor("entry_known", [1, 1], "f32", "1, or 0 without entry hints"),
        "history": tensor(
            "history",
            [*notes, NOTE + PER_PART * parts],
            "f32",
            "of the chord and of each part's last note: arranger/history.py",
        ),
        "hint": tensor("hint", [1, parts], "i64", f"mean MIDI pitch + 1 of {listed}; 0 if unknown"),
    }
    return [lines[name] for name in model.config["inputs"]] + state_lines(model, "")


def output_lines(model: Arranger, kind: Kind) -> list[dict]:
    logits = tensor("logits", [1, "notes", len(kind.parts) + 1], "f32", f"padding, {', '.join(kind.parts)}")
    return [logits, *state_lines(model, "_out")]


def state_lines(model: Arranger, suffix: str) -> list[dict]:
    """What is carried from call to call, or nothing."""
    when = "after the last note" if suffix else "zeros at first"
    words = {
        "h": "hidden state",
        "c": "cell state",
        "first": "first pitch + 1 of the parts that have begun",
        "first_velocity": "first velocity + 1 of the parts that have begun",
    }
    return [tensor(f"{n}{suffix}", shape, "f32", f"{words[n]}, {when}") for n, shape in model.state().items()]


class Called(nn.Module):
    """The network with its inputs in order instead of by name."""

    def __init__(self, model: Arranger) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        names = self.model.config["inputs"]
        state = dict(zip(self.model.state(), values[len(names) :], strict=True))
        logits, after = self.model(dict(zip(names, values[: len(names)], strict=True)), state or None)
        return (logits, *(after or {}).values())


def halved(model: Arranger) -> Arranger:
    """A copy whose weights are what the exported file keeps of them."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.numel() >= SMALLEST:
                weight.copy_(weight.half().float())
    return model


def write_onnx(model: Arranger, kind: Kind, file: Path) -> None:
    """The network as ONNX, opset 17, large weights stored as fp16."""
    file.parent.mkdir(parents=True, exist_ok=True)
    inputs, outputs = input_lines(model, kind), output_lines(model, kind)
    example = tuple(
        torch.zeros(
            [5 if size == "notes" else size for size in line["shape"]],
            dtype=torch.int64 if line["type"] == "i64" else torch.float32,
        )
        for line in inputs
    )
    axes = {line["name"]: {1: "notes"} for line in [*inputs, *outputs] if "notes" in line["shape"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Called(model).eval(), example, str(file), opset_version=17, dynamo=False, dynamic_axes=axes,
            input_names=[line["name"] for line in inputs], output_names=[line["name"] for line in outputs],
        )  # fmt: skip
    graph = onnx.load(str(file))
    halve(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(file))


def write_entry(model: Arranger, name: str, file: Path, more: dict, figures: dict, manifest: Path) -> None:
    """The file's entry in the manifest. more: what beside.py asks beside it."""
    kind = KINDS[model.config["kind"]]
    made_by = (
        f"python -m ripieno_training.arranger train --kind {kind.name} --model {model.config['model']}"
        " && python -m ripieno_training.arranger export"
    )
    lines = input_lines(model, kind), output_lines(model, kind)
    write_model_entry(name, file, kind.licence, made_by, parameters(model), *lines, figures, manifest, more)


def write_golden(run: Run, model: Arranger, name: str, file: Path) -> None:
    """What the exported file says about a short piece, without hints and with all it takes, for the engine's tests."""
    kind = KINDS[model.config["kind"]]
    piece = PIECES[kind.name]()
    near = with_context(kind, [piece], ["test"]).near[0][0]
    inputs = model.config["inputs"]
    cases = []
    for hints, given in HINTS.items():
        asked = [n for n, on in zip(("entry", "hint"), given, strict=True) if on]
        built_in = [n for n in ("entry", "hint") if n in inputs]
        if asked != built_in if "entry_known" not in inputs else hints not in ("none", "both"):
            continue
        whole = view(piece, near, len(kind.parts), *given, velocity="velocity" in inputs)
        [seen] = with_history([cut(whole, GOLDEN_NOTES)], inputs, len(kind.parts))
        logits = run([seen])[0]
        time, end = piece.time[:GOLDEN_NOTES], piece.end[:GOLDEN_NOTES]
        cases.append(
            {
                "hints": hints,
                "inputs": {n: _rounded(seen[n]) for n in inputs},
                "logits": _rounded(logits),
                "accuracy": round(float((argmax_parts(logits) == seen["label"] - 1).mean()), 6),
                "played": played(logits, time, end, mono=kind.mono).tolist(),
            }
        )
    notes = {n: getattr(piece, n)[:GOLDEN_NOTES].tolist() for n in ("time", "pitch", "end", "part", "velocity")}
    made_by = "python -m ripieno_training.arranger export"
    values = {"made_by": made_by, "model": name, "parts": kind.parts, "mono": kind.mono, "notes": notes, "cases": cases}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, separators=(",", ":")) + "\n")


def _rounded(x: np.ndarray) -> list:
    """To six decimals, as lists."""
    return np.round(x.astype(np.float64), 6).tolist() if x.dtype.kind == "f" else x.tolist()
