"""Sequences to train on: a song from some beat on, transposed, at most so many events."""

import numpy as np

from . import vocabulary as v
from .corpus import Song
from .encoding import encode_notes, song

TRANSPOSED = range(-5, 7)
"""semitones, as in the paper"""
FEWEST = 16
"""notes of a sequence"""
Batch = tuple[np.ndarray, np.ndarray]
"""events int64 [batch, events, 6] and which are real, bool [batch, events]"""


def sequence(notes: np.ndarray, length: int, start: int, shift: int) -> np.ndarray:
    """Events of a song from beat `start` on, `shift` semitones higher; ended if the song's end is within `length`."""
    unit = v.resolution()
    notes = notes[np.searchsorted(notes[:, 0], start * unit) :]
    cut = notes[: 2 * length].copy()  # Notes that become one event are few.
    cut[:, 0] -= start * unit
    cut[:, 1] += shift
    events = encode_notes(cut[(cut[:, 1] >= 0) & (cut[:, 1] < 128)])
    whole = song(events, ended=len(cut) == len(notes))
    if len(whole) <= length:
        return whole
    # The instruments are those of the notes that remain.
    kept = length - 2
    while len(head := song(events[:kept], ended=False)) > length:
        kept -= len(head) - length
    return head


def padded(sequences: list[np.ndarray]) -> Batch:
    """One batch, padded with zeros."""
    longest = max(map(len, sequences))
    events = np.zeros((len(sequences), longest, 6), np.int64)
    for row, one in zip(events, sequences, strict=True):
        row[: len(one)] = one
    return events, np.arange(longest) < np.array([len(s) for s in sequences])[:, None]


class Sequences:
    """Batches without end, seeded.

    Drawn by `notes`, a song comes as often as it has windows of 512 notes and begins at a note by lot, so that every
    note is learnt about as often as any other. Drawn `uniform`ly, as in the paper, every song comes as often as any
    other and begins at a beat by lot.
    """

    def __init__(self, songs: list[Song], config: dict, seed: int) -> None:
        self.songs, self.config = songs, config
        self.rng = np.random.default_rng(seed)
        self.by_notes = {"notes": True, "uniform": False}[config["draw"]]
        weights = np.array([max(1, len(s.notes) / 512) if self.by_notes else 1.0 for s in songs])
        self.weights = weights / weights.sum()

    def start(self, notes: np.ndarray) -> int:
        """The beat that a sequence begins with; notes come after it."""
        if self.rng.random() < self.config["from_the_start"]:
            return 0
        if self.by_notes:
            return int(notes[self.rng.integers(len(notes)), 0]) // v.resolution()
        return int(self.rng.integers(notes[-1, 0] // v.resolution() + 1))

    def one(self, length: int) -> np.ndarray:
        while True:
            notes = self.songs[self.rng.choice(len(self.songs), p=self.weights)].notes
            events = sequence(notes, length, self.start(notes), int(self.rng.choice(TRANSPOSED)))
            if (events[:, v.TYPE] == v.NOTE).sum() >= FEWEST:
                return events

    def batch(self) -> Batch:
        length, count = self.config["lengths"][self.rng.integers(len(self.config["lengths"]))]
        return padded([self.one(length) for _ in range(count)])


def first_windows(songs: list[Song], window: int) -> list[np.ndarray]:
    """The beginning of each song as it is written."""
    return [sequence(s.notes, window, 0, 0) for s in songs]
