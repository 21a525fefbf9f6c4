"""What a part has done it does again: how loud, how long and where in the beat each part plays, counted piece by piece.

A network learns how parts differ in general, and forgets a piece's beginning; this counts what is so in the piece at
hand. To the logits of a note is added, for each property of it that has a weight,

    weight * log((count[value, part] + share[part]) / ((count[value] + 1) * share[part]))

where count is how many notes with this value each part probably had (the sum of the probabilities, not of decisions)
and share is the part's share of all notes: naive Bayes with a prior of one note. Live, the notes so far are counted,
older ones less, as in a cache language model (Kuhn and De Mori 1990); of a whole piece all others, four times over, the
probabilities new each time. What says nothing, as the velocity where all are alike, adds next to nothing. The engine
computes the same (`engine/src/arranger/habits.rs`); the golden values of the models that have habits hold both to it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .assignment import log_softmax
from .data import Arrays
from .evaluation import Run
from .kinds import TICKS

ROUNDS = 4
"""times that the notes of a whole piece are counted"""
LEAST = 1e-3
"""notes that each part has at least had, so that none has a share of zero"""
KEPT = 0.999
"""of the counts at each further note while somebody plays: of a thousand notes ago a third"""
Weights = dict[str, float]
"""by property"""


def _length_class(duration: np.ndarray) -> np.ndarray:
    """Classes of durations in ticks, four to an octave: 0 to 30."""
    return np.floor(4 * np.log2(duration + 1.0) + 0.5).astype(np.int64)


PROPERTIES: dict[str, tuple[int, Callable[[Arrays], np.ndarray]]] = {
    "velocity": (128, lambda x: x["velocity"]),
    "position": (TICKS, lambda x: x["position"]),
    "duration": (32, lambda x: _length_class(x["duration"])),
    "end": (TICKS, lambda x: (x["position"] + x["duration"]) % TICKS),
}
"""how many values there are, and which one each note of data.view has"""


def so_far(logits: np.ndarray, x: Arrays, weights: Weights) -> np.ndarray:
    """Logits [notes, parts + 1] of somebody who plays, with the habits of the notes before each."""
    out = logits.astype(np.float64)
    values = [PROPERTIES[name][1](x) for name in weights]
    parts = logits.shape[1] - 1
    counts = [np.zeros((PROPERTIES[name][0], parts)) for name in weights]
    had = np.full(parts, LEAST)
    for i, row in enumerate(out[:, 1:]):
        share = had / had.sum()
        for weight, value, count in zip(weights.values(), values, counts, strict=True):
            known = count[value[i]]
            row += weight * np.log((known + share) / ((known.sum() + 1) * share))
        likely = np.exp(row - row.max())
        likely /= likely.sum()
        had = np.maximum(had * KEPT, LEAST) + likely
        for value, count in zip(values, counts, strict=True):
            count *= KEPT
            count[value[i]] += likely
    return out.astype(np.float32)


def throughout(logits: np.ndarray, x: Arrays, weights: Weights) -> np.ndarray:
    """Logits [notes, parts + 1] of a whole piece, with the habits of all its other notes."""
    alone = logits[:, 1:].astype(np.float64)
    values = [PROPERTIES[name][1](x) for name in weights]
    now = alone
    for _ in range(ROUNDS):
        likely = np.exp(log_softmax(now))
        share = likely.sum(0) + LEAST
        share /= share.sum()
        now = alone.copy()
        for (name, weight), value in zip(weights.items(), values, strict=True):
            count = np.zeros((PROPERTIES[name][0], likely.shape[1]))
            np.add.at(count, value, likely)
            others = np.maximum(count[value] - likely, 0)
            now += weight * np.log((others + share) / ((others.sum(-1, keepdims=True) + 1) * share))
    return np.concatenate([logits[:, :1], now.astype(np.float32)], axis=1)


def with_habits(run: Run, weights: Weights, whole: bool) -> Run:
    """A network's answers with the habits of the piece; `whole`: of all of it, else of what came before."""
    if not weights:
        return run
    counted = throughout if whole else so_far

    def answer(pieces: Sequence[Arrays]) -> list[np.ndarray]:
        return [counted(logits, piece, weights) for logits, piece in zip(run(pieces), pieces, strict=True)]

    return answer
