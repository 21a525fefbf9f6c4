"""Accuracy per note, as the paper counts it: over all notes of a set, every piece from a fresh state."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .assignment import BUSY, played
from .data import PARTS, TICKS, Features, Piece, features, human_time, of_piece, off_the_grid
from .model import LAYERS, WIDTH, Arranger, rest

LONGEST = 2000
"""notes of a piece that count"""
WRAP = 1024
"""beats after which the engine's song clock begins again; training has seen no more than 1.5 times as many"""
LEGATO = 0.1
"""quarters by which a legato player holds on into the next note"""
Run = Callable[[list[Features]], list[np.ndarray]]
"""Features of pieces -> logits [notes, parts + 1] of each, from a fresh state."""


def torch_run(model: Arranger) -> Run:
    """All pieces as one padded batch."""

    @torch.no_grad()
    def run(pieces: list[Features]) -> list[np.ndarray]:
        model.eval()
        longest = max(len(piece.pitch) for piece in pieces)

        def stack(name: str) -> torch.Tensor:
            rows = [getattr(piece, name) for piece in pieces]
            return torch.from_numpy(np.stack([np.pad(row, (0, longest - len(row))) for row in rows]))

        logits, _, _ = model(stack("pitch"), stack("beat"), stack("position"), *rest(len(pieces)))
        return [row[: len(piece.pitch)].numpy() for row, piece in zip(logits, pieces, strict=True)]

    return run


def onnx_run(file: Path) -> Run:
    """One piece after the other, through the exported file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(pieces: list[Features]) -> list[np.ndarray]:
        still = np.zeros((LAYERS, 1, WIDTH), np.float32)
        feeds = [
            {name: getattr(piece, name)[None] for name in ("pitch", "beat", "position")} | {"h": still, "c": still}
            for piece in pieces
        ]
        return [session.run(["logits"], feed)[0][0] for feed in feeds]

    return run


def argmax_parts(logits: np.ndarray) -> np.ndarray:
    """The likeliest part of each note; the padding is no answer."""
    return logits[:, 1:].argmax(1)


def accuracy(run: Run, pieces: list[Piece], view: Callable[[Piece], Features] = of_piece) -> float:
    """Notes given to their own part, of all notes."""
    seen = [view(piece) for piece in pieces]
    seen = [Features(f.pitch[:LONGEST], f.beat[:LONGEST], f.position[:LONGEST], f.label[:LONGEST]) for f in seen]
    right = [(argmax_parts(logits) == f.label - 1) for logits, f in zip(run(seen), seen, strict=True)]
    return float(np.concatenate(right).mean())


def one_evening(pieces: list[Piece]) -> Features:
    """All pieces one after the other with no reset, on a song clock that begins again every WRAP beats."""
    times, clock = [], 0
    for piece in pieces:
        times.append(piece.time + clock)
        clock = (int(times[-1][-1]) // TICKS + 4) * TICKS
    time = np.concatenate(times) % (WRAP * TICKS)
    return features(time, np.concatenate([p.pitch for p in pieces]), np.concatenate([p.part for p in pieces]))


def legato(piece: Piece) -> np.ndarray:
    """Ends of the notes if every part lets go of a note a little after its next has begun."""
    return piece.end + round(LEGATO * TICKS)


def as_played(run: Run, pieces: list[Piece], ends: Callable[[Piece], np.ndarray], busy_cost: float = BUSY) -> float:
    """Accuracy when chords are given out together and held notes are known."""
    every = run([of_piece(piece) for piece in pieces])
    right = [played(x, p.time, ends(p), busy_cost) == p.part for x, p in zip(every, pieces, strict=True)]
    return float(np.concatenate(right).mean())


def report(run: Run, pieces: list[Piece]) -> dict[str, float | int]:
    """Every figure of the card, in per cent of the notes of `pieces`."""
    rng = np.random.default_rng(1)
    whole = [of_piece(piece) for piece in pieces]
    logits = run(whole)
    labels = np.concatenate([f.label for f in whole])
    answers = np.concatenate([argmax_parts(x) + 1 for x in logits])
    evening = one_evening(pieces)

    def late(piece: Piece) -> Features:
        return features(piece.time + 517 * TICKS, piece.pitch, piece.part)

    def human(piece: Piece) -> Features:
        return features(human_time(piece.time, 1.0, rng), piece.pitch, piece.part)

    def free(piece: Piece) -> Features:
        return features(off_the_grid(piece.time, rng), piece.pitch, piece.part)

    shares = {
        "accuracy": accuracy(run, pieces),
        **{f"accuracy_{part}": (answers == labels)[labels == i + 1].mean() for i, part in enumerate(PARTS)},
        "accuracy_begun_at_beat_517": accuracy(run, pieces, late),
        "accuracy_without_reset": (argmax_parts(run([evening])[0]) == evening.label - 1).mean(),
        "accuracy_human_timing": accuracy(run, pieces, human),
        "accuracy_no_click": accuracy(run, pieces, free),
        "accuracy_as_played": as_played(run, pieces, lambda piece: piece.end),
        "accuracy_as_played_legato": as_played(run, pieces, legato),
    }
    return {
        "pieces": len(pieces),
        "notes": int(sum(map(len, pieces))),
        **{name: round(100 * float(x), 2) for name, x in shares.items()},
    }
