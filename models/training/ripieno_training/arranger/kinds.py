"""The four kinds of ensemble, their parts, and how a file of each is read.

Time counts in ticks, 24 to the quarter; game music has no quarters, there a tick is a hundredth of a second. Notes that
one part has twice are left out, and but for game music those that have no length on that grid, as in the paper's own
preparation (Dong et al. 2021, section 4). A file counts if at least two of its parts have more than ten notes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import symusic

TICKS = 24
"""ticks per quarter"""
GAME_TICKS = 50
"""ticks per quarter of NES-MDB's files, whose quarter is always half a second"""
UNKNOWN_VELOCITY = 64
"""What stands for the velocity of notes that nobody played."""
FEWEST_NOTES = 10
LONGEST_SECONDS = 1200
"""Files of the web that last longer are recordings of an evening, or broken."""
BAND = 3
"""Parts with more than FEWEST_NOTES notes that a pop file needs; the paper asks for two."""


class Unfit(ValueError):
    """A file that the kind's filter leaves out."""


@dataclass(frozen=True)
class Piece:
    """Notes of one file, sorted by (time, pitch, duration, velocity), stable."""

    name: str
    time: np.ndarray
    """onset in ticks, int64 [notes]"""
    pitch: np.ndarray
    """MIDI pitch, int64 [notes]"""
    part: np.ndarray
    """index in the kind's parts, int64 [notes]"""
    end: np.ndarray
    """when it stops sounding, in ticks, int64 [notes]; at note-on nobody knows it"""
    velocity: np.ndarray
    """MIDI velocity, int64 [notes]"""

    def __len__(self) -> int:
        return len(self.time)


Row = tuple[int, int, int, int, int]
"""onset, pitch, duration, velocity, part"""


def grid(score: symusic.Score, track: symusic.Track, part: int, ticks: int = TICKS) -> list[Row]:
    """The notes of a track on the grid."""
    unit = ticks / score.ticks_per_quarter
    return [(round(n.time * unit), n.pitch, round(n.duration * unit), n.velocity, part) for n in track.notes]


def lasting(rows: list[Row]) -> list[Row]:
    """Without the notes that have no length."""
    return [row for row in rows if row[2] > 0]


def chorale(score: symusic.Score) -> list[Row]:
    """One track per voice, named after it."""
    rows = []
    for track in score.tracks:
        name = track.name.strip().lower()
        if name not in KINDS["chorale"].parts:
            raise ValueError(f"a track is named {track.name!r}, not one of {', '.join(KINDS['chorale'].parts)}")
        rows += grid(score, track, KINDS["chorale"].parts.index(name))
    return lasting(rows)


def quartet_part(name: str) -> int | None:
    """The part that a track's name means. The paper's rule takes every "Violino II" for the first violin; not here."""
    name = name.strip().rstrip(".").lower()
    if "viola" in name:
        return 2
    if "cell" in name or "violincello" in name:
        return 3
    second = ("2nd", "violin 2", "violin2", "violino ii")
    first = ("1st", "violin 1", "violin1", "violino i")
    for part, words in ((1, second), (0, first)):
        if any(word in name for word in words):
            return part
    return None


def quartet(score: symusic.Score) -> list[Row]:
    """By the tracks' names. Where there are none: two violins, viola and cello in order, by program.

    Unnamed pizzicato tracks belong to the lowest parts, in order.
    """
    tracks = [track for track in score.tracks if len(track.notes)]
    named = [(track, quartet_part(track.name)) for track in tracks]
    if all(part is None for _, part in named):
        bowed = [track for track in tracks if track.program in (40, 41, 42)]
        plucked = [track for track in tracks if track.program == 45]
        first_cello = [i for i, track in enumerate(bowed) if track.program == 42][:1]
        if [track.program for track in bowed[:4]] != [40, 40, 41, 42] or first_cello != [3] or len(plucked) > 4:
            raise Unfit("its tracks have neither names nor the order of a quartet")
        named = [(track, min(i, 3)) for i, track in enumerate(bowed)]
        named += [(track, 4 - len(plucked) + i) for i, track in enumerate(plucked)]
    return lasting([row for track, part in named if part is not None for row in grid(score, track, part)])


def game(score: symusic.Score) -> list[Row]:
    """Tracks p1, p2 and tr; noise is left out, and so are velocities, which there mean something else.

    One note in seven is shorter than half a tick. As in the paper it stays; it has no length.
    """
    rows = []
    for track in score.tracks:
        if track.name in KINDS["game"].parts:
            rows += grid(score, track, KINDS["game"].parts.index(track.name), GAME_TICKS)
    return [(*row[:3], UNKNOWN_VELOCITY, row[4]) for row in rows]


FAMILIES = (range(0, 8), range(24, 32), range(32, 40), (*range(40, 46), *range(48, 52)), range(56, 64))
"""General MIDI programs of piano, guitar, bass, strings and brass."""


def pop(score: symusic.Score) -> list[Row]:
    """One instrument per part: of each family the track with the most notes."""
    if score.to("second").end() > LONGEST_SECONDS:
        raise Unfit("longer than twenty minutes")
    rows = []
    for part, programs in enumerate(FAMILIES):
        tracks = [t for t in score.tracks if not t.is_drum and t.program in programs]
        if tracks:
            rows += lasting(grid(score, max(tracks, key=lambda track: len(track.notes)), part))
    if sum(np.bincount([row[4] for row in rows], minlength=5) > FEWEST_NOTES) < BAND:
        raise Unfit("less than a band")
    return rows


@dataclass(frozen=True)
class Kind:
    """An ensemble: its parts in the order of the labels, and where its music is."""

    name: str
    parts: tuple[str, ...]
    read: Callable[[symusic.Score], list[Row]]
    folders: tuple[str, ...]
    """Of the unpacked collections, relative to one folder that holds them all, however deep."""
    licence: str
    research: bool = False
    """Trained on music that may be studied and not given away; the model's name says so."""
    mono: tuple[bool, ...] = field(default=())
    """Parts that mostly take one note at a time."""

    def model(self, variant: str) -> str:
        """Name of a model of this kind in the manifest."""
        return f"{self.name}{'_research' if self.research else ''}_{variant}"


RESEARCH = "LicenseRef-research-only"
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "chorale", ("soprano", "alto", "tenor", "bass"), chorale, ("bach_chorales",), "LicenseRef-music21-corpus",
            mono=(True,) * 4,
        ),
        Kind(
            "quartet", ("violin1", "violin2", "viola", "cello"), quartet, ("musicnet", "osq"), "CC-BY-4.0",
            mono=(True,) * 4,
        ),
        Kind("game", ("p1", "p2", "tr"), game, ("nesmdb_midi",), RESEARCH, research=True, mono=(True,) * 3),
        Kind(
            "pop", ("piano", "guitar", "bass", "strings", "brass"), pop, ("webmidi", "bsub", "tk"), RESEARCH,
            research=True, mono=(False, False, True, False, False),
        ),
    )
}  # fmt: skip


def read_piece(path: Path, kind: Kind) -> Piece:
    """Reads a MIDI file. Raises Unfit where the kind's filter leaves it out, ValueError where it is not understood."""
    score = symusic.Score(path)
    try:
        rows = kind.read(score)
    except Unfit as reason:
        raise Unfit(f"{path}: {reason}") from None
    except ValueError as reason:
        raise ValueError(f"{path}: {reason}") from None
    # The last of two equal notes stays.
    rows = list({(row[0], row[1], row[2], row[4]): row for row in rows}.values())
    rows.sort(key=lambda row: row[:4])
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    if (np.bincount(columns[4], minlength=1) > FEWEST_NOTES).sum() < 2:
        raise Unfit(f"{path}: less than two parts with more than {FEWEST_NOTES} notes")
    time, pitch, length, velocity, part = columns
    return Piece(path.stem, time - min(0, time[0]), pitch, part, time + length, velocity)
