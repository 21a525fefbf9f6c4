"""What a network is shown of a piece, and the crops it trains on.

Every input of a network is an array by its name in the manifest: pitch, beat, position, duration int64 [notes], context
float32 [notes, 12], velocity int64 [notes], entry float32 [notes, parts], entry_known float32 [1], hint int64 [parts],
history float32 [notes, 9 + 4 * parts]. The answer is label, int64 [notes]: part + 1.
"""

import numpy as np

from .context import SCALE, neighbours, since_last_onset
from .corpus import TOUCHES, Corpus, ends_of
from .history import true_history
from .kinds import TICKS, UNKNOWN_VELOCITY, Piece

LAST_BEAT = 4096
LONGEST_NOTE = 192
"""ticks; a longer note counts as this long"""
Arrays = dict[str, np.ndarray]
NOTE_COLUMNS = ("time", "pitch", "part", "duration", "velocity", "near", "hint")


def entries(part: np.ndarray, parts: int) -> np.ndarray:
    """float32 [notes, parts]: -1 before the first note of a part, 0 at it, 1 after it; -1 throughout if it has none."""
    own = part[:, None] == np.arange(parts)
    return np.where(own.any(0), np.sign(np.arange(len(part))[:, None] - own.argmax(0)), -1).astype(np.float32)


def first_of(values: np.ndarray, part: np.ndarray, parts: int) -> np.ndarray:
    """int64 [parts]: the value (pitch or velocity) each part begins with + 1; 0 for a part without notes."""
    own = part[:, None] == np.arange(parts)
    return np.where(own.any(0), values[own.argmax(0)] + 1, 0)


def mean_pitches(pitch: np.ndarray, part: np.ndarray, parts: int) -> np.ndarray:
    """int64 [parts]: the rounded mean pitch of each part + 1, halves up; 0 for a part without notes."""
    count = np.bincount(part, minlength=parts)
    total = np.bincount(part, weights=pitch, minlength=parts)
    return np.where(count > 0, np.floor(total / np.maximum(count, 1) + 0.5).astype(np.int64) + 1, 0)


def ids(time: np.ndarray, pitch: np.ndarray, part: np.ndarray) -> Arrays:
    """Ids of a sequence of notes. A beat after the last one counts as the last one."""
    return {
        "pitch": pitch + 1,
        "beat": np.minimum(time // TICKS, LAST_BEAT),
        "position": time % TICKS,
        "label": part + 1,
    }


def view(
    piece: Piece, near: np.ndarray, parts: int, entry: bool = False, hint: bool = False, velocity: bool = False
) -> Arrays:
    """All inputs of a whole piece from a fresh state, its velocities or one for all.

    near int8 [notes, 11]: context.neighbours.
    """
    return ids(piece.time, piece.pitch, piece.part) | {
        "velocity": piece.velocity if velocity else np.full(len(piece), UNKNOWN_VELOCITY),
        "time": piece.time,
        "duration": np.minimum(piece.end - piece.time, LONGEST_NOTE),
        "context": np.concatenate([near / SCALE, since_last_onset(piece.time)[:, None]], axis=1),
        "entry": entries(piece.part, parts) * np.float32(entry),
        "entry_known": np.array([entry], np.float32),
        "hint": mean_pitches(piece.pitch, piece.part, parts) * int(hint),
    }


def cut(arrays: Arrays, notes: int) -> Arrays:
    """The first notes."""
    return {name: x if name in ("entry_known", "hint") else x[:notes] for name, x in arrays.items()}


def human_time(time: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Onsets moved as a player moves them: whole chords, normally distributed by `spread` ticks, never out of order."""
    new = np.r_[True, time[1:] != time[:-1]]
    onsets = time[new]
    moved = np.maximum.accumulate(np.maximum(onsets + rng.normal(0, spread, len(onsets)), 0))
    return np.rint(moved).astype(np.int64)[np.cumsum(new) - 1]


def off_the_grid(time: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The piece as played against a beat clock that knows nothing of it: any tempo, any start, uneven chords.

    Also returns how much slower it is.
    """
    factor = 2.0 ** rng.uniform(-1, 1)
    return human_time(time * factor + rng.uniform(0, TICKS), 1.5, rng), factor


def touched(velocity: np.ndarray, time: np.ndarray, pitch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Velocities of one player instead of a file's tracks, which say nothing of parts: a slow swell, uneven fingers,
    and the highest key of a chord a little louder; or the same for all notes, as in what was written and not played."""
    if rng.random() < 0.4:
        return np.full_like(velocity, rng.integers(40, 112))
    steps = rng.normal(0, 3, len(velocity))
    swell = rng.uniform(50, 100) + np.cumsum(steps) - np.linspace(0, steps.sum(), len(steps))
    highest = np.r_[time[1:] != time[:-1], True]
    louder = swell + rng.normal(0, rng.uniform(2, 10), len(velocity)) + highest * rng.uniform(0, 15)
    return np.clip(np.rint(louder), 1, 127).astype(np.int64)


class Crops:
    """Random crops of a fixed length, every one full.

    A crop begins at a piece's first note or in its middle and goes on into further pieces: a player's evening has no
    reset between pieces, and no computation is spent on padding. Pieces are transposed by -5 to +6 semitones, hints
    with them. Hints are given or not for a whole crop; each piece in it has its own.
    """

    def __init__(self, corpus: Corpus, config: dict, seed: int) -> None:
        self.corpus, self.config = corpus, config
        self.parts = len(corpus.kind.parts)
        self.rng = np.random.default_rng(seed)
        self.deck: list[int] = []
        copies = [1 + len(piece) // config["notes_per_turn"] for piece in corpus.pieces]
        self.turns = np.repeat(np.arange(len(corpus)), copies)
        self.mean = [mean_pitches(piece.pitch, piece.part, self.parts) for piece in corpus.pieces]

    def next_piece(self) -> int:
        """Every turn once before any comes again; a long piece has several."""
        if not self.deck:
            self.deck = self.rng.permutation(self.turns).tolist()
        return self.deck.pop()

    def playing(self, which: int) -> np.ndarray:
        """bool [parts]: the parts of a piece that play. Sometimes one or two are left out, but never so that fewer than
        two play: of a few pieces that makes many mixtures."""
        plays = self.mean[which] > 0
        if self.rng.random() < self.config["parts_left_out"]:
            fewer = min(int(self.rng.choice([1, 2], p=[0.7, 0.3])), int(plays.sum()) - 2)
            plays[self.rng.permutation(np.flatnonzero(plays))[: max(0, fewer)]] = False
        return plays

    def hints(self, which: int, plays: np.ndarray, transposed: int, dice: np.ndarray) -> np.ndarray:
        """Pitch hints [parts] of a piece: sometimes inexact, sometimes not for every part, as people give them."""
        hint, given = self.mean[which], plays
        if dice[0] < self.config["hint_inexact"]:
            hint = hint + np.rint(self.rng.normal(0, 2, self.parts)).astype(np.int64)
        if dice[1] < self.config["hint_partial"]:
            given = given & (self.rng.random(self.parts) < 0.5)
        return np.where(given, np.clip(hint + transposed, 1, 128), 0)

    def crop(self) -> Arrays:
        """Inputs and labels of one crop; hint is [crop, parts] here, for it changes with the piece.

        first and first_velocity, int64 [crop, parts], are what entry hints say of a piece's beginning: the first pitch
        and the first velocity of each part, + 1.
        """
        config, rng, length = self.config, self.rng, self.config["crop"]
        entry, hint = rng.random() < config["entry_given"], rng.random() < config["hint_given"]
        columns: dict[str, list[np.ndarray]] = {n: [] for n in NOTE_COLUMNS}
        starts: list[int] = []
        have = 0
        clock = TICKS * int(rng.integers(config["latest_start"])) if rng.random() < config["shifted"] else 0
        while have < length:
            which = self.next_piece()
            piece = self.corpus.pieces[which]
            first = 0
            if not starts and rng.random() < config["from_the_middle"]:
                first = int(rng.integers(len(piece) * 3 // 4))
                # A chord is never cut.
                first = int(np.searchsorted(piece.time, piece.time[first]))
            plays = self.playing(which)
            some = (first + np.flatnonzero(plays[piece.part[first:]]))[: length - have]
            if not len(some):
                continue
            time = piece.time[some]
            duration = piece.end[some] - time
            touch = int(rng.choice(len(TOUCHES), p=config["touches"]))
            near = self.corpus.near[which][touch, some]
            if (plays != (self.mean[which] > 0)).any():
                near = neighbours(time, piece.pitch[some], ends_of(time, piece.end[some], TOUCHES[touch]))
            # Whole beats: the position within the beat is the piece's own. A crop from a middle keeps its own beat.
            time = time + clock if first or not starts else time + clock - time[0] // TICKS * TICKS
            dice = rng.random()
            if dice < config["off_the_grid"]:
                time, factor = off_the_grid(time - clock, rng)
                time, duration = time + clock, np.rint(duration * factor).astype(np.int64)
            elif dice < config["off_the_grid"] + config["human"]:
                time = human_time(time, 1.0, rng)
            transposed = int(rng.integers(-5, 7))
            pitch = np.clip(piece.pitch[some] + transposed, 0, 127)
            velocity = piece.velocity[some]
            if rng.random() < config["velocity_touched"]:
                velocity = touched(velocity, time, pitch, rng)
            elif config["velocity_scaled"]:
                scale = 1 + config["velocity_scaled"] * rng.uniform(-1, 1)
                velocity = np.clip(np.rint(velocity * scale), 1, 127).astype(np.int64)
            columns["time"].append(time)
            columns["pitch"].append(pitch)
            columns["part"].append(piece.part[some])
            columns["velocity"].append(velocity)
            columns["duration"].append(np.minimum(duration, LONGEST_NOTE))
            columns["near"].append(near)
            given = self.hints(which, plays, transposed, rng.random(2)) if hint else np.zeros(self.parts, np.int64)
            columns["hint"].append(np.broadcast_to(given, (len(time), self.parts)))
            starts.append(have)
            have += len(time)
            clock = (int(time[-1]) // TICKS + int(rng.integers(1, 9))) * TICKS
        whole = {name: np.concatenate(rows) for name, rows in columns.items()}
        spans = list(zip(starts, [*starts[1:], length], strict=True))
        lengths = [b - a for a, b in spans]
        entered = [entries(whole["part"][a:b], self.parts) for a, b in spans]
        firsts, loud = (
            [first_of(whole[name][a:b], whole["part"][a:b], self.parts) for a, b in spans]
            for name in ("pitch", "velocity")
        )
        crop = ids(whole["time"], whole["pitch"], whole["part"])
        if "history" in config["inputs"]:
            x = crop | {"time": whole["time"], "duration": whole["duration"]}
            rows = [true_history({name: column[a:b] for name, column in x.items()}, self.parts) for a, b in spans]
            return crop | {"history": np.concatenate(rows)}
        return crop | {
            "duration": whole["duration"],
            "context": np.concatenate([whole["near"] / SCALE, since_last_onset(whole["time"])[:, None]], axis=1),
            "entry": np.concatenate(entered) * np.float32(entry),
            "entry_known": np.array([entry], np.float32),
            "hint": whole["hint"],
            "velocity": whole["velocity"],
            "first": np.repeat(firsts, lengths, axis=0) * int(entry),
            "first_velocity": np.repeat(loud, lengths, axis=0) * int(entry),
        }

    def batch(self) -> Arrays:
        """[batch, ...] each."""
        crops = [self.crop() for _ in range(self.config["batch"])]
        return {name: np.stack([crop[name] for crop in crops]) for name in crops[0]}
