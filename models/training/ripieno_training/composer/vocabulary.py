"""Codes of the six fields of an event, read from `[composer]` of the manifest, which the engine reads too.

A code is its value + 1; 0 is undefined. Only the type has no undefined: its codes are its values.
"""

import functools

import numpy as np

from ..manifest import read

FIELDS = ("type", "beat", "position", "pitch", "duration", "instrument")
TYPE, BEAT, POSITION, PITCH, DURATION, INSTRUMENT = range(6)
SONG, INSTRUMENTS, NOTES, NOTE, END = range(5)
"""Types: start of song, an instrument, start of notes, a note, end of song."""


@functools.cache
def tables() -> dict:
    """`[composer]` of the manifest."""
    return read()["composer"]


def resolution() -> int:
    """Ticks per quarter."""
    return tables()["resolution"]


def sizes() -> tuple[int, ...]:
    """Vocabulary size of each field, in the order of FIELDS."""
    held = tables()
    return 5, held["beats"] + 1, held["resolution"] + 1, 129, len(held["durations"]) + 1, len(held["instruments"]) + 1


@functools.cache
def duration_codes() -> np.ndarray:
    """Code of each duration in ticks from 0 to the longest, int64: the nearest, the smaller of two as near."""
    held = np.array(tables()["durations"])
    ticks = np.arange(held[-1] + 1)
    return np.abs(ticks[:, None] - held).argmin(1) + 1


@functools.cache
def instrument_codes() -> np.ndarray:
    """Code of each General MIDI program, int64 [128]; 0 for those that are left out."""
    codes = np.zeros(128, np.int64)
    for code, instrument in enumerate(tables()["instruments"], 1):
        codes[instrument["programs"]] = code
    return codes


def programs() -> list[int]:
    """The General MIDI program that each instrument is written as, by code - 1."""
    return [instrument["program"] for instrument in tables()["instruments"]]
