"""The inputs of the paper's MLP: numbers of a note, its chord and the last note of every part (Dong et al. 2021, 5.2).

Nine numbers of the note: pitch; duration; whether it lasts at most a quarter of a beat; its place in its chord from 0;
semitones to the chord's next note below and above, 0 without one; notes in the chord; position within the beat; notes
in the next chord, 0 without one. Then four lists of a number per part, -1 before the part's first note: semitones from
its last note, ticks since that began, ticks between its end and now, and whether it still sounds.

Of which part the earlier notes are is what the network itself answered, or, with the *true history*, what is so. Two
things are put right: in the published code the position is the duration's, and the last chord of a piece has no numbers
of its own. The engine computes the same (`engine/src/arranger/history.rs`); `tests/golden/arranger_history.json` holds
both to it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .kinds import TICKS

NOTE = 9
"""numbers before those of the parts"""
PER_PART = 4
ORNAMENT = 6
"""ticks that an ornament lasts at most"""
Arrays = dict[str, np.ndarray]


def of_notes(x: Arrays) -> np.ndarray:
    """The first nine numbers of the notes of a piece, float32 [notes, 9]. x: time, pitch, duration of data.view."""
    time, pitch, duration = x["time"], x["pitch"] - 1, x["duration"]
    onsets, chord, size = np.unique(time, return_inverse=True, return_counts=True)
    first = np.cumsum(size) - size
    gap = np.where(np.diff(time) == 0, np.diff(pitch), 0) if len(time) > 1 else np.zeros(0, np.int64)
    columns = [
        pitch, duration, duration <= ORNAMENT, np.arange(len(time)) - first[chord], np.r_[0, gap], np.r_[gap, 0],
        size[chord], time % TICKS, np.r_[size[1:], 0][chord],
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32) if len(onsets) else np.zeros((0, NOTE), np.float32)


def of_parts(time: np.ndarray, pitch: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The numbers of the parts, float32 [notes, 4 * parts].

    time, pitch [notes, 1]; last [notes, parts, 3]: pitch, onset and end of each part's last note, onset -1 before one.
    """
    begun = last[..., 1] >= 0
    numbers = [abs(last[..., 0] - pitch), abs(last[..., 1] - time), abs(last[..., 2] - time), time < last[..., 2]]
    return np.concatenate([np.where(begun, x, -1) for x in numbers], axis=-1).astype(np.float32)


def true_history(x: Arrays, parts: int) -> np.ndarray:
    """All numbers where the part of every earlier note is known, float32 [notes, 9 + 4 * parts]."""
    time, pitch, notes = x["time"], x["pitch"] - 1, len(x["time"])
    own = (x["label"] - 1)[:, None] == np.arange(parts)
    here = np.maximum.accumulate(np.where(own, np.arange(notes)[:, None], -1))
    before = np.concatenate([np.full((1, parts), -1), here[:-1]])[:notes]
    of_last = np.stack([pitch, time, time + x["duration"]], axis=-1)[before]
    last = np.where((before >= 0)[..., None], of_last, -1)
    return np.concatenate([of_notes(x), of_parts(time[:, None], pitch[:, None], last)], axis=1)


def own_history(answer: Callable[[np.ndarray], np.ndarray], pieces: Sequence[Arrays], parts: int) -> list[np.ndarray]:
    """Logits [notes, parts + 1] of each piece where the network's own answers are the history.

    answer: [pieces, 9 + 4 * parts] -> logits [pieces, parts + 1]. All pieces advance together, note by note.
    """
    order = sorted(range(len(pieces)), key=lambda i: -len(pieces[i]["time"]))
    lengths = np.array([len(pieces[i]["time"]) for i in order])
    longest = int(lengths.max(initial=0))
    notes = [of_notes(pieces[i]) for i in order]
    places = [np.stack([pieces[i]["time"], pieces[i]["pitch"] - 1, pieces[i]["duration"]], 1) for i in order]
    notes, places = (np.stack([np.pad(x, ((0, longest - len(x)), (0, 0))) for x in rows]) for rows in (notes, places))
    last = np.full((len(order), parts, 3), -1, np.int64)
    logits = np.zeros((len(order), longest, parts + 1), np.float32)
    for i in range(longest):
        going = int((lengths > i).sum())
        time, pitch, duration = (places[:going, i, column] for column in range(3))
        of = of_parts(time[:, None], pitch[:, None], last[:going])
        logits[:going, i] = answer(np.concatenate([notes[:going, i], of], axis=1))
        given = logits[:going, i, 1:].argmax(-1)
        last[np.arange(going), given] = np.stack([pitch, time, time + duration], 1)
    out: list[np.ndarray] = [np.empty(0)] * len(pieces)
    for row, i in enumerate(order):
        out[i] = logits[row, : lengths[row]]
    return out


def write_golden(file: Path, cases: int = 12) -> None:
    """Random chords of random parts, for the engine's tests."""
    rng = np.random.default_rng(20261121)
    written = []
    for case in range(cases):
        parts, now, rows = 1 + case % 5, int(rng.integers(0, 50)), []
        for _ in range(8):
            for key in np.sort(rng.integers(30, 100, int(rng.integers(1, 6)))):
                rows.append((now, int(key), int(rng.choice([0, 3, 6, 7, 24, 96, 300])), int(rng.integers(parts))))
            now += int(rng.choice([1, 6, 24, 100]))
        time, pitch, duration, part = np.array(sorted(rows), np.int64).T
        x = {"time": time, "pitch": pitch + 1, "duration": np.minimum(duration, 192), "label": part + 1}
        listed = {"time": time, "pitch": pitch, "end": time + duration, "part": part, "history": true_history(x, parts)}
        written.append({"parts": parts} | {name: values.tolist() for name, values in listed.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    made_by = "python -m ripieno_training.arranger golden"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in written)
    file.write_text(f'{{"made_by": "{made_by}", "cases": [\n{lines}\n]}}\n')
