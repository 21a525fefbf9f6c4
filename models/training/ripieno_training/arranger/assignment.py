"""From logits to parts, a chord at a time, as the engine does it while somebody plays.

The network answers note by note. A chord is struck at once, so its notes are given out together: the sum of log
probabilities is maximised, where a part that takes one note at a time costs `AGAIN` for a second note of the chord and
`BUSY` while it still holds an earlier note. `engine/src/arranger/assignment.rs` is the same rule.
"""

import numpy as np

AGAIN = 20.0
"""nats; more than any preference, less than leaving a note without a part"""
BUSY = 2.0
"""nats; a legato player lets go of a note after the next has begun, so a busy part is unlikely and not impossible"""


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def assign(logits: np.ndarray, busy: np.ndarray, busy_cost: float = BUSY) -> np.ndarray:
    """Parts of one chord. logits [notes, parts], without the padding; busy bool [parts]."""
    scores = log_softmax(logits) - busy_cost * busy
    notes, parts = scores.shape
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for note in range(notes):
        after: dict[int, tuple[float, list[int]]] = {}
        for taken, (total, chosen) in sorted(best.items()):
            for part in range(parts):
                score = total + scores[note, part] - (AGAIN if taken >> part & 1 else 0.0)
                key = taken | 1 << part
                if key not in after or score > after[key][0]:
                    after[key] = (score, [*chosen, part])
        best = after
    return np.array(max(best.values(), key=lambda item: item[0])[1])


def played(logits: np.ndarray, time: np.ndarray, end: np.ndarray, busy_cost: float = BUSY) -> np.ndarray:
    """Parts of a piece. logits [notes, parts + 1], notes in order; a part is busy with what it was *given*."""
    out = np.zeros(len(time), np.int64)
    for onset in np.unique(time):
        chord = np.flatnonzero(time == onset)
        sounding = out[: chord[0]][end[: chord[0]] > onset]
        busy = np.isin(np.arange(logits.shape[1] - 1), sounding)
        out[chord] = assign(logits[chord, 1:], busy, busy_cost)
    return out
