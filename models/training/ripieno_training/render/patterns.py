"""Patterns no score has enough of: single notes everywhere, scales, repetitions, chords.

The instant voice is a table of single notes made by the same models, so these must be known well.
"""

import numpy as np

from .recipes import Instrument

KINDS = {"singles": 0.5, "scale": 0.2, "repeated": 0.15, "chords": 0.15}


def pattern(
    instrument: Instrument, voices: int, seconds: float, number: int, rng: np.random.Generator
) -> tuple[str, np.ndarray]:
    """A kind and its notes [n, 4] (onset s, end s, pitch, velocity) from 0.15 s to `seconds`.

    `number` counts a pair's patterns: single notes continue through the keys from clip to clip.
    """
    kind = "singles" if number == 0 else str(rng.choice(list(KINDS), p=list(KINDS.values())))
    make = {"singles": _singles, "scale": _scale, "repeated": _repeated, "chords": _chords}[kind]
    notes = np.array(make(instrument, voices, seconds, number, rng), np.float64)
    notes = notes[notes[:, 0] < seconds - 0.2]
    notes[:, 1] = np.minimum(notes[:, 1], seconds)
    return kind, notes


def _velocity(rng) -> float:
    return float(np.round(rng.uniform(24, 122)))


def _singles(instrument, voices, seconds, number, rng):
    keys = np.arange(instrument.lo, instrument.hi + 1)
    # The same shuffle for every clip of an instrument, entered where the last clip left it.
    keys = np.random.default_rng(instrument.index).permutation(keys)
    at, notes, index = 0.15, [], number * 24
    while at < seconds:
        length = float(np.exp(rng.uniform(np.log(0.2), np.log(4.0)))) if rng.random() < 0.75 else 0.2
        notes.append((at, at + length, keys[index % len(keys)], _velocity(rng)))
        at += length + rng.uniform(0.1, 0.9)
        index += 1
    return notes


def _scale(instrument, voices, seconds, number, rng):
    steps = [(1,), (2, 2, 1, 2, 2, 2, 1), (4, 3, 5), (3, 4, 5)][rng.integers(4)]
    pitches = [int(rng.integers(instrument.lo, instrument.lo + 5))]
    while pitches[-1] + steps[(len(pitches) - 1) % len(steps)] <= instrument.hi:
        pitches.append(pitches[-1] + steps[(len(pitches) - 1) % len(steps)])
    up_and_down = pitches + pitches[-2:0:-1]
    step = float(rng.uniform(0.14, 0.6))
    share = rng.uniform(0.4, 1.0)
    level, swell = rng.uniform(40, 90), rng.uniform(-25, 25)
    offset = int(rng.integers(len(up_and_down)))
    notes = []
    for index in range(int((seconds - 0.15) / step)):
        velocity = np.clip(level + swell * np.sin(index * step) + rng.normal(0, 3), 20, 122)
        at = 0.15 + index * step
        pitch = up_and_down[(index + offset) % len(up_and_down)]
        notes.append((at, at + step * share, pitch, np.round(velocity)))
    return notes


def _repeated(instrument, voices, seconds, number, rng):
    at, notes = 0.15, []
    while at < seconds:
        pitch = int(rng.integers(instrument.lo, instrument.hi + 1))
        step = float(np.exp(rng.uniform(np.log(0.11), np.log(0.6))))
        share, level, slope = rng.uniform(0.4, 0.98), rng.uniform(30, 110), rng.uniform(-6, 6)
        for index in range(int(rng.integers(3, 10))):
            velocity = np.clip(np.round(level + slope * index + rng.normal(0, 3)), 20, 122)
            notes.append((at, at + step * share, pitch, velocity))
            at += step
        at += rng.uniform(0.1, 0.6)
    return notes


def _chords(instrument, voices, seconds, number, rng):
    """Chords where the instrument has them, else wide leaps."""
    at, notes = 0.15, []
    while at < seconds:
        length = float(rng.uniform(0.25, 2.0))
        size = int(rng.integers(2, min(voices, 6) + 1)) if voices > 1 else 1
        span = instrument.hi - instrument.lo
        bottom = int(rng.integers(instrument.lo, max(instrument.lo + 1, instrument.hi - min(30, span // 2))))
        if size == 1:
            pitches = [int(rng.integers(instrument.lo, instrument.hi + 1))]
        else:
            gaps = rng.integers(3, 9, size - 1)
            pitches = [p for p in bottom + np.append(0, np.cumsum(gaps)) if p <= instrument.hi]
        level = rng.uniform(30, 110)
        for pitch in pitches:
            velocity = np.clip(np.round(level + rng.normal(0, 4)), 20, 122)
            notes.append((at, at + length * rng.uniform(0.85, 1.0), pitch, velocity))
        at += length + (rng.uniform(0, 0.6) if rng.random() < 0.4 else 0.02)
    return notes
