"""All pieces of a kind as arrays, read once from the MIDI files and kept in one .npz."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import splits
from .context import neighbours
from .kinds import TICKS, Kind, Piece, Unfit, read_piece

LEGATO = 0.1
"""quarters by which a legato player holds on into the next note"""
DETACHED = 0.6
"""of its written length that a detached note sounds"""


def files_of(folders: tuple[str, ...], root: Path) -> dict[str, Path]:
    """Every MIDI file of the collections under `root`, by its name inside its archive, sorted."""
    found = {}
    for folder in folders:
        # The deepest folder of the name: an archive may have been unpacked into a folder called like its own.
        places = sorted((p for p in root.rglob(folder) if p.is_dir()), key=lambda p: len(p.parts))
        if root.name == folder:
            places.append(root)
        if not places:
            raise FileNotFoundError(f"{root} has no folder {folder}")
        home = max(places, key=lambda p: (sum(1 for _ in p.rglob("*.mid")), len(p.parts)))
        for path in home.rglob("*.mid"):
            found[f"{folder}/{path.relative_to(home).as_posix()}"] = path
    return dict(sorted(found.items()))


def read_all(kind: Kind, root: Path) -> dict[str, Piece]:
    """Every file that passes the kind's filter; of MusicNet the 57 string quartets, which splits/quartet.csv names."""
    quartets = set(splits.read(kind)) if kind.name == "quartet" else set()
    pieces = {}
    for name, path in files_of(kind.folders, root).items():
        if name.startswith("musicnet/") and name not in quartets:
            continue
        try:
            pieces[name] = read_piece(path, kind)
        except Unfit:
            continue
    return pieces


def ends_of(piece_time: np.ndarray, end: np.ndarray, touch: str) -> np.ndarray:
    """When notes end as "written", or under a "legato" or a "detached" touch."""
    match touch:
        case "legato":
            return end + round(LEGATO * TICKS)
        case "detached":
            return piece_time + np.maximum(1, (DETACHED * (end - piece_time)).astype(np.int64))
    return end


TOUCHES = ("written", "legato", "detached")


@dataclass(frozen=True)
class Corpus:
    """Pieces of one kind with their split."""

    kind: Kind
    pieces: list[Piece]
    split: list[str]
    near: list[np.ndarray]
    """int8 [touches, notes, 11] per piece: context.neighbours under each of TOUCHES"""

    def part(self, split: str) -> "Corpus":
        """The pieces of one split."""
        chosen = [i for i, name in enumerate(self.split) if name == split]
        return Corpus(
            self.kind, [self.pieces[i] for i in chosen], [split] * len(chosen), [self.near[i] for i in chosen]
        )

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def notes(self) -> int:
        return sum(map(len, self.pieces))


def with_context(kind: Kind, pieces: list[Piece], split: list[str]) -> Corpus:
    near = [np.stack([neighbours(p.time, p.pitch, ends_of(p.time, p.end, t)) for t in TOUCHES]) for p in pieces]
    return Corpus(kind, pieces, split, near)


def load(kind: Kind, root: Path, cache: Path | None = None) -> Corpus:
    """The corpus of a kind from `cache`/KIND.npz, or from the MIDI files under `root`, which then are kept there.

    The split is read anew each time.
    """
    file = cache / f"{kind.name}.npz" if cache else None
    if file and file.exists():
        names, pieces, near = _unpack(dict(np.load(file)))
    else:
        found = read_all(kind, root)
        names, pieces = list(found), list(found.values())
        near = with_context(kind, pieces, []).near
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, **_pack(names, pieces, near))
    listed = splits.read(kind)
    missing = sorted(set(listed) - set(names))
    if missing:
        raise FileNotFoundError(f"{root} lacks {len(missing)} files of {kind.name}'s split, first {missing[0]}")
    return Corpus(kind, pieces, [listed.get(name, "train") for name in names], near)


COLUMNS = {"time": np.int32, "pitch": np.int8, "part": np.int8, "end": np.int32, "velocity": np.int8}
"""What is kept of every note, in the order of `Piece`, and as what."""


def _pack(names: list[str], pieces: list[Piece], near: list[np.ndarray]) -> dict[str, np.ndarray]:
    columns = {name: np.concatenate([getattr(p, name) for p in pieces]).astype(kind) for name, kind in COLUMNS.items()}
    lengths = np.array([len(p) for p in pieces])
    return columns | {"names": np.array(names), "lengths": lengths, "near": np.concatenate(near, axis=1)}


def _unpack(arrays: dict[str, np.ndarray]) -> tuple[list[str], list[Piece], list[np.ndarray]]:
    names = arrays["names"].tolist()
    stops = np.cumsum(arrays["lengths"])[:-1]
    columns = [np.split(arrays[name].astype(np.int64), stops) for name in COLUMNS]
    pieces = [Piece(Path(name).stem, *rows) for name, *rows in zip(names, *columns, strict=True)]
    return names, pieces, np.split(arrays["near"], stops, axis=1)
