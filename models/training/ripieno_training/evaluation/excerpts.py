"""Stretches of pieces, all parts of them, and who plays them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..render.habits import limit_voices, perform
from ..render.recipes import Performance, Player
from ..render.scores import FOLDERS, Corpus, fold, material, read_tracks

SEED = 20261121
MOST_PARTS = 5
LEAST_NOTES = 20
QUARTERS_A_MINUTE = (66, 116)
LONGEST_NOTE_S = 6.0
ATTEMPTS = 200


@dataclass(frozen=True)
class Excerpt:
    """Score notes of a stretch, part by part, in seconds from its beginning."""

    work: str
    programs: tuple[int, ...]
    """General MIDI program of each part, 0-based"""
    parts: tuple[np.ndarray, ...]
    """[n, 3] each: onset s, end s, pitch; parts from high to low"""


@dataclass(frozen=True)
class PlayedPart:
    player: Player
    notes: np.ndarray
    """[n, 4]: onset s, end s, pitch, velocity, as played"""


def excerpts(corpus: Corpus, count: int, seconds: float, seed: int) -> Iterator[Excerpt]:
    """`count` excerpts of different works, the sets in turn; the same for the same arguments."""
    rng = np.random.default_rng([seed, count])
    sets = [name for name in FOLDERS if corpus.files[name]]
    seen: set[str] = set()
    made, attempts = 0, 0
    while made < count:
        attempts += 1
        if attempts > ATTEMPTS * count:
            raise LookupError(f"only {made} of {count} excerpts of {seconds:g} s were found")
        files = corpus.files[sets[made % len(sets)]]
        work, path = files[rng.integers(len(files))]
        if work in seen:
            continue
        excerpt = _cut(work, read_tracks(path), seconds, rng)
        if excerpt is not None:
            seen.add(work)
            made += 1
            yield excerpt


def _cut(work: str, tracks, seconds: float, rng: np.random.Generator) -> Excerpt | None:
    """A stretch in which all parts play, or None."""
    if not 1 <= len(tracks) <= MOST_PARTS:
        return None
    beat = 60 / rng.uniform(*QUARTERS_A_MINUTE)
    whole = min(track.notes[-1, 0] for track in tracks) - seconds / beat
    if whole <= 0:
        return None
    first = rng.uniform(0, whole)
    parts = []
    for track in tracks:
        onset, length, pitch = track.notes.T
        inside = (onset >= first) & ((onset - first) * beat < seconds - 0.5)
        begin = (onset[inside] - first) * beat + 0.1
        end = np.minimum(begin + np.minimum(length[inside] * beat, LONGEST_NOTE_S), seconds)
        parts.append(np.stack([begin, end, pitch[inside]], 1))
    if sum(len(part) for part in parts) < LEAST_NOTES or min(len(part) for part in parts) == 0:
        return None
    order = np.argsort([-part[:, 2].mean() for part in parts], kind="stable")
    return Excerpt(work, tuple(tracks[i].program for i in order), tuple(parts[i] for i in order))


def played(excerpt: Excerpt, performance: Performance, seed: int) -> list[PlayedPart]:
    """The excerpt with the habits of a performance's players, a part each."""
    parts = []
    for index, (program, score) in enumerate(zip(excerpt.programs, excerpt.parts, strict=True)):
        player = performance.player_for(program, index, len(excerpt.parts))
        score = np.column_stack([score[:, :2], fold(score[:, 2], player.instrument)])
        rng = np.random.default_rng([seed, performance.index, index])
        voices = material(player.instrument.id).voices
        parts.append(PlayedPart(player, limit_voices(perform(score, performance.habits, voices, rng), voices)))
    return parts
