"""Short pieces written for the tests, one for each kind of ensemble; no note of them is from the training music."""

import numpy as np

from .kinds import TICKS, Piece

CADENCES = (
    # Soprano, alto, tenor, bass on each quarter; four phrases in G that a hymn might have.
    "67 62 59 43, 69 62 57 50, 71 62 55 43, 72 64 55 48, 71 62 55 50, 69 60 54 50, 67 59 55 43, 67 59 55 43",
    "71 62 55 55, 71 62 55 54, 72 64 55 52, 74 66 57 50, 76 67 60 48, 74 67 59 50, 73 67 57 45, 74 66 57 50",
    "74 65 59 55, 72 64 60 57, 71 62 59 55, 69 60 57 53, 67 60 55 52, 69 60 57 54, 71 62 55 55, 69 62 54 50",
    "67 62 58 43, 70 62 55 46, 69 63 54 48, 67 62 55 50, 69 60 54 51, 66 60 57 50, 67 58 55 48, 67 59 55 43",
)
Row = tuple[int, int, int, int]
"""onset, pitch, duration, part"""


def piece(name: str, rows: list[Row]) -> Piece:
    """Notes in the paper's order."""
    time, pitch, length, part = np.array(sorted(rows, key=lambda row: row[:3]), np.int64).T
    return Piece(name, time, pitch, part, time + length, 96 - 12 * part)


def voices() -> list[list[Row]]:
    """The four voices; where one steps by a third it passes through the note between."""
    chords = [[int(x) for x in chord.split()] for phrase in CADENCES for chord in phrase.split(", ")]
    rows: list[list[Row]] = [[], [], [], []]
    for i, chord in enumerate(chords):
        following = chords[i + 1] if i + 1 < len(chords) else chord
        for part, pitch in enumerate(chord):
            leap = following[part] - pitch
            passes = abs(leap) in (3, 4)
            rows[part].append((TICKS * i, pitch, TICKS // 2 if passes else TICKS, part))
            if passes:
                rows[part].append((TICKS * i + TICKS // 2, pitch + (2 if leap > 0 else -2), TICKS // 2, part))
    return rows


def hymn() -> Piece:
    """Four voices, four phrases."""
    return piece("hymn", [row for voice in voices() for row in voice])


def quartet() -> Piece:
    """The hymn with repeated quavers in the second violin and a cello that rests now and then."""
    first, second, viola, cello = voices()
    quavers = [(t + i * TICKS // 2, p, TICKS // 2, 1) for t, p, n, _ in second for i in range(max(1, n * 2 // TICKS))]
    return piece("quartet", [*((t, p + 12, n, 0) for t, p, n, _ in first), *quavers, *viola, *cello[4:]])


def game() -> Piece:
    """Two pulses, the second an arpeggio, and a bass, at about four chords a second."""
    soprano, alto, tenor, bass = voices()
    rows = [(t, p + 12, n, 0) for t, p, n, _ in soprano]
    for (t, a, n, _), (_, b, _, _) in zip(alto, tenor, strict=False):
        rows += [(t + i * n // 4, p, n // 4, 1) for i, p in enumerate((a, b, a, b))]
    return piece("game", rows + [(t, p, n * 3 // 4, 2) for t, p, n, _ in bass])


def band() -> Piece:
    """Piano chords, guitar off the beat, bass, held strings and a brass tune that enters late."""
    soprano, alto, tenor, bass = voices()
    rows = [(t, p + 12 * k, n, 0) for t, p, n, _ in alto for k in (0, 1)]
    rows += [(t + TICKS // 2, p + k, TICKS // 4, 1) for t, p, _, _ in tenor for k in (0, 5)]
    rows += [(t, p - 12, n, 2) for t, p, n, _ in bass]
    rows += [(t, p + 12, 4 * TICKS, 3) for t, p, _, _ in soprano if t % (4 * TICKS) == 0]
    return piece("band", rows + [(t, p, n, 4) for t, p, n, _ in soprano if t >= 4 * TICKS])


PIECES = {"chorale": hymn, "quartet": quartet, "game": game, "pop": band}
