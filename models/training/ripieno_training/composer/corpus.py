"""The collections as arrays of note events, read once from the MIDI files and kept in one .npz."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import symusic
from tqdm import tqdm

from ..arranger.corpus import files_of
from ..arranger.kinds import KINDS, RESEARCH, UNKNOWN_VELOCITY, Piece
from ..arranger.splits import FOLDER, LEFT_OUT, SPLITS, content, same_piece, work
from . import vocabulary as v

FEWEST_NOTES = 50


@dataclass(frozen=True)
class Music:
    """Collections that a network learns from."""

    folders: tuple[str, ...]
    """as their archives' folders are called"""
    listed: Path
    """which files do not train"""
    licence: str
    """of what is made of it"""


MUSIC = {
    # Orchestras and chamber music, CC0 and CC BY.
    "orchestra": Music(
        ("polish", "haupt", "osq", "musicnet"), Path(__file__).with_name("splits") / "orchestra.csv", "CC-BY-4.0"
    ),
    # Songs of the web, which may be studied and not given away; divided as for the arranger.
    "pop": Music(KINDS["pop"].folders, FOLDER / "pop.csv", RESEARCH),
}


@dataclass(frozen=True)
class Song:
    """A file's notes: onset, pitch, duration in ticks and General MIDI program, int64 [notes, 4], sorted."""

    name: str
    notes: np.ndarray


def read_song(path: Path, name: str) -> Song:
    """Reads a MIDI file; drums are left out."""
    score = symusic.Score(path)
    unit = v.resolution() / score.ticks_per_quarter
    rows = [
        (round(note.time * unit), note.pitch, round(note.duration * unit), track.program)
        for track in score.tracks
        if not track.is_drum
        for note in track.notes
    ]
    notes = np.unique(np.array(rows, np.int64).reshape(-1, 4), axis=0)
    return Song(name, notes[v.instrument_codes()[notes[:, 3]] > 0])


def read_all(root: Path, music: str) -> list[Song]:
    """Every song of the collections under `root` with at least FEWEST_NOTES notes, by its name in the list."""
    files = files_of(MUSIC[music].folders, root)
    songs = [read_song(path, name) for name, path in tqdm(files.items(), desc="reading")]
    return [song for song in songs if len(song.notes) >= FEWEST_NOTES]


def load(root: Path, cache: Path | None, music: str = "orchestra") -> list[Song]:
    """read_all, or what it gave last time."""
    kept = f"{music}.npz"
    if cache and (cache / kept).exists():
        with np.load(cache / kept) as held:
            ends = np.cumsum(held["counts"])[:-1]
            return [Song(*pair) for pair in zip(held["names"].tolist(), np.split(held["notes"], ends), strict=True)]
    songs = read_all(root, music)
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            cache / kept, notes=np.concatenate([s.notes for s in songs]), counts=[len(s.notes) for s in songs],
            names=[s.name for s in songs],
        )  # fmt: skip
    return songs


def group(name: str) -> str:
    """What a work's movements have in common."""
    short, file = name.split("/", 1)
    return f"{short}/{'--'.join(file.split('--')[:2])}" if short == "polish" else work(name)


def divide(songs: list[Song], seed: int = 20261121, share: float = 0.06) -> dict[str, str]:
    """Split of each song: seeded, works whole, and files that share music, in whatever key, together."""
    pieces = []
    for song in songs:
        time, pitch, length, part = song.notes[:, :4].T
        pieces.append(Piece(song.name, time, pitch, part, time + length, np.full_like(time, UNKNOWN_VELOCITY)))
    leader = same_piece(pieces)
    home = list(range(len(songs)))

    def root(i: int) -> int:
        while home[i] != i:
            home[i] = home[home[i]]
            i = home[i]
        return i

    first: dict[str, int] = {}
    for i, song in enumerate(songs):
        for other in (leader[i], first.setdefault(group(song.name), i)):
            a, b = sorted((root(i), root(other)))
            home[b] = a
    groups = sorted({root(i) for i in range(len(songs))})
    order = np.random.default_rng(seed).permutation(len(groups))
    count = round(share * len(groups))
    chosen = {groups[i]: "test" for i in order[:count]} | {groups[i]: "valid" for i in order[count : 2 * count]}
    # A work as large as a collection would leave little to train.
    sizes = np.bincount([root(i) for i in range(len(songs))], minlength=len(songs))
    split = {s.name: chosen.get(root(i), "train") if sizes[root(i)] <= 40 else "train" for i, s in enumerate(songs)}
    seen: set[bytes] = set()
    for song, piece in zip(songs, pieces, strict=True):
        split[song.name] = LEFT_OUT if content(piece) in seen else split[song.name]
        seen.add(content(piece))
    return split


def write_split(split: dict[str, str]) -> None:
    """splits/orchestra.csv: every file that does not train."""
    with open(MUSIC["orchestra"].listed, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file", "split"))
        rows.writerows((name, split[name]) for name in sorted(split) if split[name] != "train")


def part(songs: list[Song], split: str, music: str = "orchestra") -> list[Song]:
    """The songs of one split; a file that the list does not name trains."""
    if split not in SPLITS:
        raise ValueError(f"{split} is none of {SPLITS}")
    with open(MUSIC[music].listed, newline="", encoding="utf-8") as file:
        listed = {row["file"]: row["split"] for row in csv.DictReader(file)}
    return [song for song in songs if listed.get(song.name, "train") == split]
