"""Chorales as sequences of notes, and the crops a network trains on.

Time counts in ticks, 24 to the quarter. A sequence is sorted by (time, pitch, duration, velocity), stable.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import symusic

TICKS = 24
"""ticks per quarter"""
LAST_BEAT = 4096
PARTS = ("soprano", "alto", "tenor", "bass")
SPLIT = Path(__file__).with_name("bach_split.csv")


@dataclass(frozen=True)
class Piece:
    """One chorale."""

    name: str
    time: np.ndarray
    """onset in ticks, int64 [notes]"""
    pitch: np.ndarray
    """MIDI pitch, int64 [notes]"""
    part: np.ndarray
    """index in PARTS, int64 [notes]"""
    end: np.ndarray
    """when it stops sounding, in ticks, int64 [notes]; no network sees it: at note-on nobody knows it"""

    def __len__(self) -> int:
        return len(self.time)


def read_piece(path: Path) -> Piece:
    """Reads a MIDI file whose tracks are named after PARTS."""
    score = symusic.Score(path)
    rows = []
    for track in score.tracks:
        name = track.name.strip().lower()
        if name not in PARTS:
            raise ValueError(f"{path}: a track is named {track.name!r}, not one of {', '.join(PARTS)}")
        for note in track.notes:
            start, length = (round(value * TICKS / score.ticks_per_quarter) for value in (note.time, note.duration))
            rows.append((start, note.pitch, length, note.velocity, PARTS.index(name)))
    rows.sort(key=lambda row: row[:4])
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    return Piece(path.stem, columns[0], columns[1], columns[4], columns[0] + columns[2])


def load_split(folder: Path, split: str) -> list[Piece]:
    """The pieces of "train", "valid" or "test" in a folder of MIDI files, by name."""
    with open(SPLIT, newline="", encoding="utf-8") as file:
        names = sorted(row["file"] for row in csv.DictReader(file) if row["split"] == split)
    missing = [name for name in names if not (Path(folder) / name).is_file()]
    if missing:
        lack = f"{len(missing)} of {len(names)} chorales of {split}"
        raise FileNotFoundError(f"{folder} lacks {lack}, first {missing[0]}")
    return [read_piece(Path(folder) / name) for name in names]


@dataclass(frozen=True)
class Features:
    """What the network sees and should answer, int64 [..., notes] each."""

    pitch: np.ndarray
    """MIDI + 1; 0 pads"""
    beat: np.ndarray
    position: np.ndarray
    label: np.ndarray
    """part + 1; 0 pads"""


def features(time: np.ndarray, pitch: np.ndarray, part: np.ndarray) -> Features:
    """Ids of a sequence of notes. A beat after the last one counts as the last one."""
    return Features(pitch + 1, np.minimum(time // TICKS, LAST_BEAT), time % TICKS, part + 1)


def of_piece(piece: Piece) -> Features:
    return features(piece.time, piece.pitch, piece.part)


def human_time(time: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Onsets moved as a player moves them: whole chords, normally distributed by `spread` ticks, never out of order."""
    onsets, chord = np.unique(time, return_inverse=True)
    moved = np.maximum.accumulate(np.maximum(onsets + rng.normal(0, spread, len(onsets)), 0))
    return np.rint(moved).astype(np.int64)[chord]


def off_the_grid(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The piece as played against a beat clock that knows nothing of it: any tempo, any start, uneven chords."""
    stretched = time * 2.0 ** rng.uniform(-1, 1) + rng.uniform(0, TICKS)
    return human_time(stretched, 1.5, rng)


class Crops:
    """Random crops of a fixed length, every one full.

    A crop begins at a piece's first note or in its middle and goes on into further pieces: a player's evening has no
    reset between pieces, and no computation is spent on padding. Pieces are transposed by -5 to +6 semitones.
    """

    def __init__(self, pieces: list[Piece], config: dict, seed: int) -> None:
        self.pieces, self.config = pieces, config
        self.rng = np.random.default_rng(seed)
        self.deck: list[int] = []

    def next_piece(self) -> Piece:
        """Every piece once before any comes again."""
        if not self.deck:
            self.deck = self.rng.permutation(len(self.pieces)).tolist()
        return self.pieces[self.deck.pop()]

    def crop(self) -> np.ndarray:
        """time, pitch and part [3, crop]."""
        length, rng = self.config["crop"], self.rng
        chunks: list[np.ndarray] = []
        have = 0
        clock = TICKS * int(rng.integers(self.config["latest_start"])) if rng.random() < self.config["shifted"] else 0
        while have < length:
            piece = self.next_piece()
            first = 0
            if not chunks and rng.random() < self.config["from_the_middle"]:
                first = int(rng.integers(len(piece) * 3 // 4))
                # A chord is never cut.
                first = int(np.searchsorted(piece.time, piece.time[first]))
            time = piece.time[first:]
            # Whole beats: the position within the beat is the piece's own. A crop from a middle keeps its own beat.
            time = time + clock if first or not chunks else time + clock - piece.time[0] // TICKS * TICKS
            dice = rng.random()
            if dice < self.config["off_the_grid"]:
                time = clock + off_the_grid(time - clock, rng)
            elif dice < self.config["off_the_grid"] + self.config["human"]:
                time = human_time(time, 1.0, rng)
            pitch = piece.pitch[first:] + int(rng.integers(-5, 7))
            chunks.append(np.stack([time, pitch, piece.part[first:]]))
            have += len(time)
            clock = (int(time[-1]) // TICKS + int(rng.integers(1, 9))) * TICKS
        return np.concatenate(chunks, axis=1)[:, :length]

    def batch(self) -> Features:
        """[batch, crop] each."""
        stacked = np.stack([self.crop() for _ in range(self.config["batch"])], axis=1)
        return features(*stacked)
