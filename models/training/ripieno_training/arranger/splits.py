"""Which piece trains, validates or tests: `python -m ripieno_training.arranger split` writes splits/KIND.csv.

No piece is in two splits, whatever its file is called: two files that share a fifth of the shorter one's melodic
windows are one piece, in any key and at any tempo, and one work's movements stay together where the names tell. The
files list what is not training: a file of the collections that no line names trains. Chorales are listed one by one.
"""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from .kinds import Kind, Piece

FOLDER = Path(__file__).with_name("splits")
SPLITS = ("train", "valid", "test")
LEFT_OUT = "left_out"
"""A copy of a piece that is elsewhere already."""
WINDOW = 12
"""notes, in order, of which the steps between pitches are one fingerprint"""
SHARED = 0.2
COMMON = 12
"""Windows that more pieces than this have are scales and repeated notes: they tell nothing."""
SHARE = {"quartet": 0.12, "pop": 0.1}
"""of the pieces in validation and in test each"""
SEED = 20261121


def windows(piece: Piece) -> np.ndarray:
    """Fingerprints, uint64, each once: of every WINDOW notes in a row the steps in pitch. Time and key are nothing."""
    steps = np.diff(piece.pitch).astype(np.int64) + 128
    if len(steps) < WINDOW - 1:
        return np.zeros(0, np.uint64)
    weights = np.random.default_rng(SEED).integers(1, 2**63, WINDOW - 1, dtype=np.uint64) | np.uint64(1)
    views = np.lib.stride_tricks.sliding_window_view(steps.astype(np.uint64), WINDOW - 1)
    mixed = (views * weights).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    # A window of one step over and over again is in every piece.
    return np.unique(mixed[np.ptp(views.astype(np.int64), axis=1) > 0])


def content(piece: Piece) -> bytes:
    """The notes themselves, from their first on and relative to the first pitch: equal for equal pieces."""
    columns = piece.time - piece.time[0], piece.pitch - piece.pitch[0], piece.part
    return np.stack(columns).astype(np.int32).tobytes()


def same_piece(pieces: list[Piece]) -> list[int]:
    """For each piece the number of the first that is the same music."""
    prints = [windows(piece) for piece in pieces]
    every = np.concatenate(prints)
    owner = np.repeat(np.arange(len(pieces)), [len(x) for x in prints])
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    starts = np.flatnonzero(np.r_[True, every[1:] != every[:-1]])
    shared: Counter[tuple[int, int]] = Counter()
    for start, stop in zip(starts, np.r_[starts[1:], len(every)], strict=True):
        if 2 <= stop - start <= COMMON:
            group = owner[start:stop].tolist()
            shared.update((a, b) for i, a in enumerate(group) for b in group[i + 1 :])
    leader = list(range(len(pieces)))

    def root(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    def join(a: int, b: int) -> None:
        a, b = sorted((root(a), root(b)))
        leader[b] = a

    for (a, b), count in shared.items():
        if count >= SHARED * min(len(prints[a]), len(prints[b])):
            join(a, b)
    seen: dict[bytes, int] = {}
    for i, piece in enumerate(pieces):
        join(i, seen.setdefault(content(piece), i))
    return [root(i) for i in range(len(pieces))]


def work(file: str) -> str:
    """What the names of a work's movements have in common; the file itself where they have nothing."""
    if file.startswith("musicnet/"):
        composer, name = file.split("/")[1:3]
        # 2104_op64n5_1 -> op64n5; 1922_dvqt10m3 and 1916_dvq10m1 -> dvq10; 2177_gr_rqtf1 -> gr_rqt.
        stem = re.sub(r"(_|m|rqtf)\d$", "", Path(name).stem.split("_", 1)[1])
        return f"{composer} {stem.replace('dvqt', 'dvq')}"
    if file.startswith("osq/"):
        return re.sub(r"__sq\d+$", "", Path(file).stem)
    return file


def divide(kind: Kind, files: list[str], pieces: list[Piece]) -> dict[str, str]:
    """Split of each file. Only pieces of the kind's first collection, the paper's, validate and test a quartet."""
    same = same_piece(pieces)
    # A copy in another folder of the games' own split is not left out here: the later split keeps it.
    within = [file.split("/")[1] if kind.name == "game" else "" for file in files]
    first: dict[tuple[str, bytes], int] = {}
    copies = {i for i, piece in enumerate(pieces) if first.setdefault((within[i], content(piece)), i) != i}
    if kind.name == "game":
        return _keep_own_split(files, same, copies)
    groups: dict[str | int, set[int]] = defaultdict(set)
    for i, file in enumerate(files):
        groups[work(file)].add(i)
    groups = _join(groups, same)
    eligible = [g for g in groups if kind.name != "quartet" or any(files[i].startswith("musicnet/") for i in g)]
    rng = np.random.default_rng(SEED)
    split = dict.fromkeys(range(len(files)), "train")
    weight = sum(len(pieces[i]) for group in eligible for i in group if _counts(kind, files[i]))
    filled = dict.fromkeys(("test", "valid"), 0)
    for at in rng.permutation(len(eligible)):
        target = next((name for name in filled if filled[name] < SHARE[kind.name] * weight), None)
        if target is None:
            break
        for i in eligible[at]:
            counts = _counts(kind, files[i])
            split[i] = target if counts else LEFT_OUT
            filled[target] += len(pieces[i]) if counts else 0
    return {file: LEFT_OUT if i in copies else split[i] for i, file in enumerate(files)}


def _counts(kind: Kind, file: str) -> bool:
    return kind.name != "quartet" or file.startswith("musicnet/")


def _join(groups: dict, same: list[int]) -> list[list[int]]:
    """Groups that share a piece become one; in the order of their first file."""
    of: dict[int, int] = {}
    merged: dict[int, set[int]] = {}
    for group in groups.values():
        leaders = {same[i] for i in group}
        known = {of[leader] for leader in leaders if leader in of}
        home = min(known, default=min(group))
        whole = set(group).union(*(merged.pop(k) for k in known))
        merged[home] = whole
        for leader in {same[i] for i in whole}:
            of[leader] = home
    return [sorted(merged[home]) for home in sorted(merged)]


def _keep_own_split(files: list[str], same: list[int], copies: set[int]) -> dict[str, str]:
    """The collection's own folders; what is in a later split too leaves the earlier one."""
    split = [file.split("/")[1] for file in files]
    where: dict[int, set[str]] = defaultdict(set)
    for i, name in enumerate(split):
        where[same[i]].add(name)
    out = {}
    for i, file in enumerate(files):
        later = SPLITS[SPLITS.index(split[i]) + 1 :]
        out[file] = LEFT_OUT if i in copies or where[same[i]].intersection(later) else split[i]
    return out


def write(kind: Kind, split: dict[str, str]) -> Path:
    """splits/KIND.csv: every file that does not train, and of MusicNet every quartet."""
    path = FOLDER / f"{kind.name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file", "split"))
        rows.writerows((f, split[f]) for f in sorted(split) if split[f] != "train" or f.startswith("musicnet/"))
    return path


def read(kind: Kind) -> dict[str, str]:
    """File -> split of those that are listed."""
    with open(FOLDER / f"{kind.name}.csv", newline="", encoding="utf-8") as file:
        return {row["file"]: row["split"] for row in csv.DictReader(file)}
