"""Golden values of the encoding for the engine's tests: `python -m ripieno_training.composer golden`."""

import json
from pathlib import Path

import numpy as np

from . import vocabulary as v
from .encoding import decode, encode_notes, song

CASES = 12


def notes_by_lot(rng: np.random.Generator, count: int) -> np.ndarray:
    """Notes of any program, some of them late, long, short, double or of no instrument."""
    onset = rng.integers(0, 3200, count)
    pitch = rng.integers(0, 128, count)
    duration = rng.choice([0, 1, 5, 12, 13, 17, 27, 54, 100, 289, 384, 2000], count)
    program = rng.choice(rng.integers(0, 128, 4), count)
    notes = np.stack([onset, pitch, duration, program], 1)
    return np.concatenate([notes, notes[: count // 8]])


def write_golden(file: Path) -> None:
    """Notes, their events, and the notes that come back."""
    cases = []
    for seed in range(CASES):
        notes = notes_by_lot(np.random.default_rng(seed), 40)
        events = song(encode_notes(notes))
        cases.append({"notes": notes.tolist(), "events": events.tolist(), "decoded": decode(events).tolist()})
    file.parent.mkdir(parents=True, exist_ok=True)
    made_by = "python -m ripieno_training.composer golden"
    values = {"made_by": made_by, "columns": "onset in ticks, pitch, duration in ticks, program", "fields": v.FIELDS}
    file.write_text(json.dumps(values | {"cases": cases}, separators=(",", ":")) + "\n")
