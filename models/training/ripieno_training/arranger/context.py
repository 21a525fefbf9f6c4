"""What is known of a chord while somebody plays: twelve numbers per note.

K is the chord, the keys struck together (same tick), lowest first; H is the set of keys that still sound at that tick
from earlier chords (end > tick). A key of H equal to the note counts neither below nor above it. No number looks at a
later chord, and none changes when the music is transposed. `engine/src/arranger/context.rs` computes the same;
`tests/golden/arranger_context.json` holds both to it.
"""

import json
import math
from bisect import bisect_left, bisect_right
from pathlib import Path

import numpy as np

WIDTH = 12
COUNT, NEAR, FAR = 8, 24, 48
"""Where counts and distances are clipped, and what they are divided by; distances in semitones."""
SCALE = np.array([COUNT, COUNT, COUNT, NEAR, NEAR, FAR, FAR, COUNT, COUNT, NEAR, NEAR], np.float32)
PAUSE = 384
"""Ticks since the previous onset that count as a whole one."""


def chord_rows(chord: list[int], held: list[int]) -> list[tuple[int, ...]]:
    """The first eleven numbers of each key, before division by SCALE. Both lists sorted."""
    n = len(chord)
    lowest = min(chord[0], held[0]) if held else chord[0]
    highest = max(chord[-1], held[-1]) if held else chord[-1]
    rows = []
    for i, key in enumerate(chord):
        below, above = bisect_left(held, key), len(held) - bisect_right(held, key)
        rows.append(
            (
                min(i, COUNT),
                min(n - 1 - i, COUNT),
                min(n, COUNT),
                min(key - chord[i - 1], NEAR) if i else NEAR,
                min(chord[i + 1] - key, NEAR) if i < n - 1 else NEAR,
                min(key - lowest, FAR),
                min(highest - key, FAR),
                min(below, COUNT),
                min(above, COUNT),
                min(key - held[below - 1], NEAR) if below else NEAR,
                min(held[-above] - key, NEAR) if above else NEAR,
            )
        )
    return rows


def neighbours(time: np.ndarray, pitch: np.ndarray, end: np.ndarray) -> np.ndarray:
    """int8 [notes, 11]: all but the last number, before division by SCALE. Notes sorted by time, then pitch.

    Of two held notes on one key the set H has one; it is held until the later end.
    """
    times, pitches, ends = time.tolist(), pitch.tolist(), end.tolist()
    rows: list[tuple[int, ...]] = []
    until: dict[int, int] = {}
    first = 0
    while first < len(times):
        now, last = times[first], first
        while last < len(times) and times[last] == now:
            last += 1
        until = {key: stop for key, stop in until.items() if stop > now}
        rows += chord_rows(pitches[first:last], sorted(until))
        for key, stop in zip(pitches[first:last], ends[first:last], strict=True):
            until[key] = max(stop, until.get(key, stop))
        first = last
    return np.array(rows, np.int8).reshape(-1, WIDTH - 1)


def since_last_onset(time: np.ndarray) -> np.ndarray:
    """The last number, float32 [notes]: ln(1 + ticks since the previous onset) / ln(1 + PAUSE), at most 1."""
    onsets, chord = np.unique(time, return_inverse=True)
    gaps = np.log1p(np.diff(onsets)) / math.log1p(PAUSE)
    return np.concatenate([[1.0], np.minimum(gaps, 1.0)]).astype(np.float32)[chord]


def context(time: np.ndarray, pitch: np.ndarray, end: np.ndarray) -> np.ndarray:
    """float32 [notes, 12] of notes sorted by time, then pitch, after a reset. Times and ends in ticks."""
    return np.concatenate([neighbours(time, pitch, end) / SCALE, since_last_onset(time)[:, None]], axis=1)


def write_golden(file: Path, cases: int = 24) -> None:
    """Random chords, some notes held through, some repeated, some far apart, for the engine's tests."""
    rng = np.random.default_rng(20261121)
    written = []
    for case in range(cases):
        now, rows = int(rng.integers(0, 100)), []
        for _ in range(6):
            size = int(rng.choice([1, 2, 3, 4, 6, 12], p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05]))
            spread = rng.integers(36, 84, size) if case % 3 else rng.integers(0, 128, size)
            for key in np.sort(spread):
                rows.append((now, int(key), now + int(rng.choice([1, 6, 12, 24, 48, 96]))))
            now += int(rng.choice([1, 3, 6, 12, 24, 24, 48, 500]))
        time, pitch, end = np.array(rows, np.int64).T
        values = context(time, pitch, end)
        written.append(
            {
                "time": time.tolist(),
                "pitch": pitch.tolist(),
                "end": end.tolist(),
                "context": [[round(float(x), 6) for x in row] for row in values],
            }
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    made_by = "python -m ripieno_training.arranger golden"
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in written)
    file.write_text(f'{{"made_by": "{made_by}", "cases": [\n{lines}\n]}}\n')
