"""Notes to events and back (MODELS.md section 2)."""

import numpy as np

from . import vocabulary as v
from .vocabulary import BEAT, DURATION, END, INSTRUMENT, INSTRUMENTS, NOTE, NOTES, PITCH, POSITION, SONG, TYPE

Notes = np.ndarray
"""int64 [notes, 4]: onset in ticks, pitch, duration in ticks, General MIDI program"""


def encode_notes(notes: Notes) -> np.ndarray:
    """Note events int64 [events, 6], sorted by (beat, position, pitch, duration, instrument), each once.

    Left out: programs that have no instrument, and notes after the last beat.
    """
    instrument = v.instrument_codes()[notes[:, 3]]
    beat, position = np.divmod(notes[:, 0], v.resolution())
    longest = len(v.duration_codes()) - 1
    columns = [
        np.full_like(beat, NOTE), beat + 1, position + 1, notes[:, 1] + 1,
        v.duration_codes()[np.clip(notes[:, 2], 0, longest)], instrument,
    ]  # fmt: skip
    events = np.stack(columns, 1)[(instrument > 0) & (beat < v.sizes()[BEAT] - 1)]
    return np.unique(events, axis=0)


def song(events: np.ndarray, ended: bool = True) -> np.ndarray:
    """Note events with what comes before them, the instruments sorted by code, and after them if the song `ended`."""
    used = np.unique(events[:, INSTRUMENT])
    head = np.zeros((len(used) + 2, 6), np.int64)
    head[0, TYPE], head[-1, TYPE] = SONG, NOTES
    head[1:-1, TYPE], head[1:-1, INSTRUMENT] = INSTRUMENTS, used
    tail = np.zeros((int(ended), 6), np.int64)
    tail[:, TYPE] = END
    return np.concatenate([head, events, tail])


def decode(events: np.ndarray) -> Notes:
    """The notes among events, with the first program of each instrument."""
    events = events[events[:, TYPE] == NOTE]
    programs, durations = np.array(v.programs()), np.array(v.tables()["durations"])
    onset = (events[:, BEAT] - 1) * v.resolution() + events[:, POSITION] - 1
    columns = onset, events[:, PITCH] - 1, durations[events[:, DURATION] - 1], programs[events[:, INSTRUMENT] - 1]
    return np.stack(columns, 1)
