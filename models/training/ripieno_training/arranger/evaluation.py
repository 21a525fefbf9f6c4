"""Accuracy per note, as the paper counts it: over all notes of a set, every piece from a fresh state."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from ..precision import products
from .assignment import BUSY, played
from .corpus import TOUCHES, Corpus, ends_of
from .data import Arrays, cut, human_time, ids, off_the_grid, view
from .history import own_history, true_history
from .kinds import Piece
from .model import PER_NOTE, Arranger

LONGEST = 2000
"""notes of a piece that count"""
AT_ONCE = 24
"""pieces in a batch"""
HINTS = {"none": (False, False), "entry": (True, False), "pitch": (False, True), "both": (True, True)}
"""Which hints a model gets: entry, pitch."""
VELOCITY = "velocity"
"""What the figures are named after that a model reaches which is told the files' velocities."""
Run = Callable[[Sequence[Arrays]], list[np.ndarray]]
"""Inputs of pieces -> logits [notes, parts + 1] of each, from a fresh state."""


def tensors(pieces: Sequence[Arrays], names: Sequence[str], device: str) -> dict[str, torch.Tensor]:
    """Inputs as one batch, the shorter padded with zeros."""
    longest = max(len(piece["pitch"]) for piece in pieces)

    def padded(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1))

    out = {}
    for name in names:
        rows = [padded(piece[name]) if name in PER_NOTE else piece[name] for piece in pieces]
        out[name] = torch.from_numpy(np.stack(rows)).to(device)
    return out


def with_history(pieces: Sequence[Arrays], names: Sequence[str], parts: int) -> list[Arrays]:
    """The pieces, with the true history where it is asked for."""
    if "history" not in names:
        return list(pieces)
    return [piece if "history" in piece else piece | {"history": true_history(piece, parts)} for piece in pieces]


def torch_run(model: Arranger, fast: bool = False) -> Run:
    """Batches of pieces of similar length, in fp32; `fast`: in bf16 where the device has it and that is safe."""
    device = next(model.parameters()).device.type

    @torch.inference_mode()
    def run(pieces: Sequence[Arrays]) -> list[np.ndarray]:
        model.eval()
        pieces = with_history(pieces, model.config["inputs"], model.parts)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]["pitch"]))
        out: list[np.ndarray] = [np.empty(0)] * len(pieces)
        for first in range(0, len(order), AT_ONCE):
            group = order[first : first + AT_ONCE]
            batch = tensors([pieces[i] for i in group], model.config["inputs"], device)
            lengths = [len(pieces[i]["pitch"]) for i in group]
            with products(device, fast):
                logits, _ = model(batch, lengths=torch.tensor(lengths, device=device))
            for i, row, length in zip(group, logits.float().cpu().numpy(), lengths, strict=True):
                out[i] = row[:length]
        return out

    return run


def alone(run: Run, parts: int) -> Run:
    """As a network of the history answers where it knows none but its own."""

    def answer(rows: np.ndarray) -> np.ndarray:
        return np.concatenate(run([{"pitch": np.zeros(len(rows)), "history": rows}]))

    return lambda pieces: own_history(answer, pieces, parts)


def onnx_run(file: Path) -> Run:
    """One piece after the other, through the file; any input X with an output X_out is state, zeros at first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    state = {line.name.removesuffix("_out") for line in session.get_outputs() if line.name.endswith("_out")}
    still = {line.name: np.zeros(line.shape, np.float32) for line in session.get_inputs() if line.name in state}
    asked = [line.name for line in session.get_inputs() if line.name not in state]
    parts = session.get_outputs()[0].shape[-1] - 1

    def run(pieces: Sequence[Arrays]) -> list[np.ndarray]:
        pieces = with_history(pieces, asked, parts)
        return [session.run(["logits"], {n: piece[n][None] for n in asked} | still)[0][0] for piece in pieces]

    return run


def hints_of(inputs: Sequence[str]) -> tuple[str, ...]:
    """The hints a model with these inputs is judged with: ours without any, with entry, with both.

    The paper's networks always get those they were trained with.
    """
    if "entry_known" in inputs:
        return "none", "entry", "both"
    given = "entry" in inputs, "hint" in inputs
    return (next(name for name, which in HINTS.items() if which == given),)


def argmax_parts(logits: np.ndarray) -> np.ndarray:
    """The likeliest part of each note; the padding is no answer."""
    return logits[:, 1:].argmax(1)


def views(corpus: Corpus, hints: str, longest: int = LONGEST, touch: int = 0, velocity: bool = False) -> list[Arrays]:
    """Inputs of every piece. touch: index in corpus.TOUCHES."""
    parts = len(corpus.kind.parts)
    pairs = zip(corpus.pieces, corpus.near, strict=True)
    return [cut(view(piece, near[touch], parts, *HINTS[hints], velocity), longest) for piece, near in pairs]


def share(right: list[np.ndarray]) -> float:
    return float(np.concatenate(right).mean())


def accuracy(run: Run, seen: Sequence[Arrays]) -> float:
    """Notes given to their own part, of all notes."""
    return share([argmax_parts(x) == s["label"] - 1 for x, s in zip(run(seen), seen, strict=True)])


def per_part(logits: Sequence[np.ndarray], seen: Sequence[Arrays], parts: int) -> np.ndarray:
    """Share of each part's notes that are given to it, [parts]."""
    label = np.concatenate([s["label"] for s in seen]) - 1
    right = np.concatenate([argmax_parts(x) for x in logits]) == label
    return np.array([right[label == part].mean() if (label == part).any() else np.nan for part in range(parts)])


def as_played(
    logits: Sequence[np.ndarray], pieces: Sequence[Piece], mono: Sequence[bool], touch: str = "written"
) -> float:
    """Accuracy when chords are given out together and held notes are known."""
    right = []
    for x, p in zip(logits, pieces, strict=True):
        time, end = p.time[: len(x)], ends_of(p.time, p.end, touch)[: len(x)]
        right.append(played(x, time, end, BUSY, mono) == p.part[: len(x)])
    return share(right)


def report_of_history(run: Run, corpus: Corpus) -> dict[str, float | int]:
    """The figures of the MLP, in per cent: with its own history, and with the true one."""
    parts, seen = corpus.kind.parts, views(corpus, "none")
    own = alone(run, len(parts))(seen)
    labels = [s["label"] - 1 for s in seen]
    each = per_part(own, seen, len(parts))
    figures = {
        "accuracy": share([argmax_parts(x) == label for x, label in zip(own, labels, strict=True)]),
        "balanced": float(np.nanmean(each)),
        "accuracy_true_history": accuracy(run, seen),
    } | {f"accuracy_{part}": x for part, x in zip(parts, each, strict=True)}
    counts = {"pieces": len(seen), "notes": sum(map(len, labels))}
    return counts | {name: round(100 * float(x), 2) for name, x in figures.items()}


def report(
    run: Run, corpus: Corpus, always: Sequence[str] | None, mono: Sequence[bool], velocity: bool
) -> dict[str, float | int]:
    """Every figure of a model, in per cent of the notes of `corpus`, pieces cut at LONGEST notes.

    always: the hints of a model that never goes without them; by default it is measured with none, each, and both.
    velocity: measure it with the files' velocities, too; all other figures are without.
    A model that takes no hints scores the same with all. Figures without a suffix are those of the first hints.
    """
    rng = np.random.default_rng(1)
    parts, pieces = corpus.kind.parts, corpus.pieces
    figures: dict[str, float] = {}
    every = tuple(always or HINTS)
    for hints in every:
        seen = views(corpus, hints)
        logits = run(seen)
        suffix = "" if hints == every[0] else f"_{hints}"
        right = [argmax_parts(x) == s["label"] - 1 for x, s in zip(logits, seen, strict=True)]
        own = per_part(logits, seen, len(parts))
        figures |= {f"accuracy{suffix}": share(right), f"balanced{suffix}": float(np.nanmean(own))}
        if hints in (every[0], "both"):
            figures |= {f"accuracy{suffix}_{part}": x for part, x in zip(parts, own, strict=True)}
            figures[f"accuracy{suffix}_as_played"] = as_played(logits, pieces, mono)
        if velocity:
            name = VELOCITY if hints == every[0] else f"{VELOCITY}_{hints}"
            figures[f"accuracy_{name}"] = accuracy(run, views(corpus, hints, velocity=True))
    figures["accuracy_legato"] = accuracy(run, views(corpus, every[0], touch=TOUCHES.index("legato")))
    seen = views(corpus, every[0])
    moves = {"human_timing": lambda t: human_time(t, 1.0, rng), "no_click": lambda t: off_the_grid(t, rng)[0]}
    for name, move in moves.items():
        moved = []
        for piece, s in zip(pieces, seen, strict=True):
            time, pitch, part = (x[:LONGEST] for x in (piece.time, piece.pitch, piece.part))
            moved.append(s | ids(move(time), pitch, part))
        figures[f"accuracy_{name}"] = accuracy(run, moved)
    return {
        "pieces": len(pieces),
        "notes": int(sum(min(len(p), LONGEST) for p in pieces)),
        **{name: round(100 * float(x), 2) for name, x in figures.items()},
    }
