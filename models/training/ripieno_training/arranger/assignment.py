"""From logits to parts, a chord at a time, as the engine does it while somebody plays.

The network answers note by note. A chord is struck at once, so its notes are given out together: the sum of log
probabilities is maximised, where a part that takes one note at a time costs `AGAIN` for a second note of the chord and
`BUSY` while it still holds an earlier note. `engine/src/arranger/assignment.rs` is the same rule.
"""

from collections.abc import Sequence

import numpy as np

AGAIN = 20.0
"""nats; more than any preference, less than leaving a note without a part"""
BUSY = 2.0
"""nats; a legato player lets go of a note after the next has begun, so a busy part is unlikely and not impossible"""


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def assign(
    logits: np.ndarray, busy: np.ndarray, busy_cost: float = BUSY, mono: Sequence[bool] | None = None
) -> np.ndarray:
    """Parts of one chord. logits [notes, parts], without the padding; busy bool [parts].

    mono: parts that take one note at a time, by default all; the others cost nothing.
    """
    alone = np.ones(len(busy), bool) if mono is None else np.asarray(mono)
    if not alone.any():
        return logits.argmax(1)
    once = [1 << part if alone[part] else 0 for part in range(len(alone))]
    scores = log_softmax(logits) - busy_cost * (busy & alone)
    notes, parts = scores.shape
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for note in range(notes):
        after: dict[int, tuple[float, list[int]]] = {}
        for taken, (total, chosen) in sorted(best.items()):
            for part in range(parts):
                score = total + scores[note, part] - (AGAIN if taken & once[part] else 0.0)
                key = taken | once[part]
                if key not in after or score > after[key][0]:
                    after[key] = (score, [*chosen, part])
        best = after
    return np.array(max(best.values(), key=lambda item: item[0])[1])


def played(
    logits: np.ndarray,
    time: np.ndarray,
    end: np.ndarray,
    busy_cost: float = BUSY,
    mono: Sequence[bool] | None = None,
) -> np.ndarray:
    """Parts of a piece. logits [notes, parts + 1], notes in order; a part is busy with what it was *given*."""
    out = np.zeros(len(time), np.int64)
    free = np.zeros(logits.shape[1] - 1, np.int64)
    """When each part lets go of the last of its notes."""
    starts = np.flatnonzero(np.r_[True, time[1:] != time[:-1]])
    for first, last in zip(starts, np.r_[starts[1:], len(time)], strict=True):
        out[first:last] = assign(logits[first:last, 1:], free > time[first], busy_cost, mono)
        np.maximum.at(free, out[first:last], end[first:last])
    return out
