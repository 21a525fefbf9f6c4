"""Score material from the free-licence sets: a part for an instrument, in seconds, cut to a clip.

Only sets that may train a freely licensed model are read: the Bach chorales (music21), OpenScore quartets and
lieder (CC0), the Heritage of Polish Music scores and MusicNet's reference MIDI (both CC BY 4.0). Works stay
in the split that `splits.csv` gives them.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import symusic

from .recipes import Instrument

FOLDERS = {
    "bach_chorales": ("bach_chorales_music21/bach_chorales", ""),
    "osq": ("openscore_quartets/osq", ""),
    "lieder": ("openscore_lieder/lieder", ""),
    "musicnet": ("musicnet/musicnet", "musicnet_midis/"),
    "polish": ("polish_scores/polish", ""),
}
"""Data set of splits.csv: its folder under the symbolic root, and the prefix its file names have there."""

LONGEST_REST_S = 1.2
DENSEST = 9.0
"""Chords per second that a part may have; denser material is slowed down."""
ATTEMPTS = 60


@dataclass(frozen=True)
class Material:
    """What suits an instrument."""

    sets: dict[str, float]
    """Data set: its weight."""
    voices: int
    """Notes it can hold at once."""
    texture: str
    """"line" (one part), "keyboard" (the keyboard parts of a piece), "ensemble" (all parts of a piece)."""


_LINE = {"osq": 3.0, "bach_chorales": 2.0, "polish": 3.0, "lieder": 1.0, "musicnet": 1.0}
_MATERIAL = {
    "piano": Material({"lieder": 4.0, "musicnet": 2.0, "bach_chorales": 1.0}, 12, "keyboard"),
    "organ": Material({"bach_chorales": 3.0, "musicnet": 1.0, "lieder": 1.0}, 6, "ensemble"),
    "choir": Material({"bach_chorales": 4.0, "polish": 1.0, "osq": 1.0}, 4, "ensemble"),
    "guitar": Material({"lieder": 3.0, "bach_chorales": 1.0, "osq": 1.0}, 5, "keyboard"),
    "harpsichord": Material({"bach_chorales": 3.0, "musicnet": 2.0, "lieder": 2.0}, 8, "keyboard"),
    "electric-piano": Material({"lieder": 3.0, "bach_chorales": 2.0, "musicnet": 1.0}, 8, "keyboard"),
    "electric-grand": Material({"lieder": 3.0, "bach_chorales": 2.0, "musicnet": 1.0}, 10, "keyboard"),
    "vibraphone": Material({"lieder": 2.0, "bach_chorales": 2.0, "osq": 1.0}, 4, "keyboard"),
    "marimba": Material({"lieder": 2.0, "bach_chorales": 2.0, "osq": 1.0}, 4, "keyboard"),
    "glockenspiel": Material(_LINE, 2, "line"),
    "harp": Material({"lieder": 4.0, "bach_chorales": 1.0, "musicnet": 1.0}, 8, "keyboard"),
    "steel-guitar": Material({"lieder": 3.0, "bach_chorales": 1.0, "osq": 1.0}, 5, "keyboard"),
    "electric-guitar": Material({"lieder": 2.0, "osq": 2.0, "bach_chorales": 1.0}, 4, "keyboard"),
    "banjo": Material({"lieder": 2.0, "osq": 1.0, "polish": 1.0}, 4, "keyboard"),
    "string-ensemble": Material({"bach_chorales": 2.0, "osq": 3.0, "polish": 2.0}, 6, "ensemble"),
    "violin": Material(_LINE, 2, "line"),
    "viola": Material(_LINE, 2, "line"),
    "cello": Material(_LINE, 2, "line"),
}


def material(instrument: str) -> Material:
    return _MATERIAL.get(instrument, Material(_LINE, 1, "line"))


@dataclass(frozen=True)
class Track:
    program: int
    notes: np.ndarray
    """[n, 3]: onset and length in quarters, pitch; sorted by onset."""


@dataclass(frozen=True)
class ScorePart:
    work: str
    notes: np.ndarray
    """[n, 3]: onset s, end s, pitch."""


@lru_cache(maxsize=256)
def read_tracks(path: Path) -> tuple[Track, ...]:
    """The pitched tracks of a MIDI file that have at least 8 notes."""
    score = symusic.Score(path)
    tracks = []
    for track in score.tracks:
        if track.is_drum or len(track.notes) < 8:
            continue
        columns = track.notes.numpy()
        notes = np.stack([columns["time"], columns["duration"], columns["pitch"]], 1).astype(np.float64)
        notes[:, :2] /= score.ticks_per_quarter
        tracks.append(Track(track.program, notes[np.lexsort((notes[:, 2], notes[:, 0]))]))
    return tuple(tracks)


class Corpus:
    """The works of one split. `splits` is the CSV of dataset, file, split."""

    def __init__(self, root: Path, splits: Path, split: str):
        self.files: dict[str, list[tuple[str, Path]]] = {name: [] for name in FOLDERS}
        with open(splits, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["split"] != split or row["dataset"] not in FOLDERS:
                    continue
                folder, prefix = FOLDERS[row["dataset"]]
                path = Path(root) / folder / row["file"].removeprefix(prefix)
                self.files[row["dataset"]].append((f"{row['dataset']}/{row['file']}", path))
        for files in self.files.values():
            files.sort()
        if not any(self.files.values()):
            raise FileNotFoundError(f"{splits} lists no work of the free sets in split {split}")

    def part(self, instrument: Instrument, seconds: float, rng: np.random.Generator) -> ScorePart:
        """A part of about `seconds` for `instrument`, transposed into its range, at a tempo of 50 to 150."""
        wanted = material(instrument.id)
        sets = [name for name in wanted.sets if self.files[name]]
        weights = np.array([wanted.sets[name] for name in sets])
        for _ in range(ATTEMPTS):
            name = sets[rng.choice(len(sets), p=weights / weights.sum())]
            work, path = self.files[name][rng.integers(len(self.files[name]))]
            notes = _choose(read_tracks(path), instrument, wanted, name, rng)
            notes = None if notes is None else _cut(notes, instrument, seconds, rng)
            if notes is not None:
                return ScorePart(work, notes)
        raise LookupError(f"no suitable part for {instrument.id} in {ATTEMPTS} attempts")


def _choose(tracks, instrument: Instrument, wanted: Material, name: str, rng) -> np.ndarray | None:
    """Notes [n, 3] in quarters of what `instrument` plays of a piece, or None."""
    if wanted.texture == "keyboard" and name in ("lieder", "musicnet"):
        tracks = [track for track in tracks if track.program < 8]
    if not tracks:
        return None
    if wanted.texture == "line" or (wanted.texture == "ensemble" and name == "polish"):
        centre = (instrument.lo + instrument.hi) / 2
        means = np.array([track.notes[:, 2].mean() for track in tracks])
        likely = np.exp(-np.abs(means - centre) / 8)
        if not likely.sum() > 0:
            return None
        first = int(rng.choice(len(tracks), p=likely / likely.sum()))
        chosen = [tracks[first]]
        if wanted.voices > 1 and len(tracks) > 1 and rng.random() < 0.2:
            # Divisi: the part and its neighbour.
            chosen.append(tracks[first + 1 if first + 1 < len(tracks) else first - 1])
        notes = np.concatenate([track.notes for track in chosen])
    elif len(tracks) <= 8:
        notes = np.concatenate([track.notes for track in tracks])
        if wanted.texture == "ensemble" and rng.random() < 0.35:
            notes = tracks[rng.integers(len(tracks))].notes
    else:
        return None
    if len(notes) < 24:
        return None
    notes = notes[np.lexsort((notes[:, 2], notes[:, 0]))]
    return _top_line(notes) if wanted.voices == 1 else notes


def _top_line(notes: np.ndarray) -> np.ndarray:
    """The highest note of every onset, each ending where the next begins at the latest."""
    last_of_onset = np.append(np.diff(notes[:, 0]) > 1e-6, True)
    line = notes[last_of_onset].copy()
    line[:-1, 1] = np.minimum(line[:-1, 1], np.diff(line[:, 0]))
    return line


def _cut(notes: np.ndarray, instrument: Instrument, seconds: float, rng) -> np.ndarray | None:
    """A stretch of `notes` [n, 3] (quarters) as [n, 3] (onset s, end s, pitch) from 0.15 s to `seconds`."""
    beat = 60 / rng.uniform(50, 150)
    first = int(rng.integers(max(1, len(notes) - 16)))
    stretch = notes[first:]
    onset = (stretch[:, 0] - stretch[0, 0]) * beat
    count = int(np.searchsorted(onset, seconds * 4))
    onset, length, pitch = onset[:count], stretch[:count, 1] * beat, stretch[:count, 2]
    if count < 8:
        return None
    chords = len(np.unique(onset[onset < seconds]))
    slower = max(1.0, chords / seconds / DENSEST)
    onset, length = onset * slower, length * slower
    # Longer rests are shortened: a clip of an orchestral part would be mostly empty.
    sounding_until = np.maximum.accumulate(onset + length)
    rest = np.append(0.0, np.maximum(0.0, onset[1:] - sounding_until[:-1]))
    onset = onset - np.cumsum(np.maximum(0.0, rest - LONGEST_REST_S)) + 0.15
    inside = onset < seconds - 0.3
    onset, length, pitch = onset[inside], length[inside], pitch[inside]
    if len(onset) < 6 or onset[-1] < 0.5 * seconds:
        return None
    end = np.minimum(onset + np.minimum(length, 7.0), seconds)
    return np.stack([onset, end, _into_range(pitch, instrument, rng)], 1)


def _into_range(pitch: np.ndarray, instrument: Instrument, rng) -> np.ndarray:
    """Pitches transposed together into the instrument's range; what still sticks out is moved by octaves."""
    low, high = np.percentile(pitch, [5, 95])
    lowest, highest = instrument.lo - low, instrument.hi - high
    if lowest < highest:
        # Where a part lies in the range is up to chance, so that every key is heard.
        shift = np.floor(rng.triangular(lowest, np.clip(0, lowest, highest), highest + 1e-6))
    else:
        shift = np.round((lowest + highest) / 2)
    return fold(pitch + shift, instrument)


def fold(pitch: np.ndarray, instrument: Instrument) -> np.ndarray:
    """Pitches moved by octaves into the instrument's range (which spans at least an octave)."""
    pitch = np.where(pitch < instrument.lo, pitch + 12 * np.ceil((instrument.lo - pitch) / 12), pitch)
    return np.where(pitch > instrument.hi, pitch - 12 * np.ceil((pitch - instrument.hi) / 12), pitch)
