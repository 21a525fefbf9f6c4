"""Players' habits: how a performance departs from its score.

`perform` turns score notes in seconds into notes as played. The notes it returns are the truth of the clip:
they are rendered exactly as they stand.
"""

from dataclasses import dataclass

import numpy as np

MIN_LENGTH_S = 0.06
SOFTEST, LOUDEST = 20, 122


@dataclass(frozen=True)
class Habits:
    """One way of playing. Velocities in MIDI units."""

    timing_ms: float
    """Standard deviation of a chord's onset from the score."""
    spread_ms: float
    """Standard deviation of the notes of one chord from each other."""
    articulation: float
    """Sounding length over written length; above 1 notes overlap where the instrument can."""
    articulation_sd: float
    arc: float
    """How far velocity rises in the middle of a phrase."""
    voicing: float
    """How much louder the top note of a chord is."""
    rubato: float
    """How far the tempo swings within phrases, as a share of it."""
    pedal: float = 0.0
    """Share of clips that use the sustain pedal."""


def perform(notes: np.ndarray, habits: Habits, voices: int, rng: np.random.Generator) -> np.ndarray:
    """Notes as played, [n, 4] (onset s, end s, pitch, velocity), from score notes [n, 3] (onset, end, pitch).

    `voices` is how many notes the instrument can hold at once; 1 plays a line whose notes never overlap.
    """
    order = np.lexsort((notes[:, 2], notes[:, 0]))
    onset, end, pitch = notes[order].T
    stretch = _rubato(habits, rng)
    onset, end = stretch(onset), stretch(end)
    velocity = _dynamics(onset, pitch, habits, rng)
    chord = np.unique(np.round(onset, 3), return_inverse=True)[1]
    late = rng.normal(0, habits.timing_ms / 1000, chord.max() + 1)[chord]
    late += rng.normal(0, habits.spread_ms / 1000, len(onset)) * (np.bincount(chord)[chord] > 1)
    length = (end - onset) * rng.normal(habits.articulation, habits.articulation_sd, len(onset))
    # A shortened long note loses no more than a quarter of a second: players do not cut held notes in half.
    length = np.maximum(length, end - onset - 0.25)
    onset = np.maximum(onset + late, 0.02)
    end = onset + np.maximum(length, MIN_LENGTH_S)
    if rng.random() < habits.pedal:
        end = _pedalled(onset, end, rng)
    played = np.stack([onset, end, pitch, velocity], 1)
    return limit_voices(played, voices)


def _rubato(habits: Habits, rng: np.random.Generator):
    """A smooth, increasing map of score seconds to played seconds, 0 to 0."""
    period = rng.uniform(5, 12)
    phase = rng.uniform(0, 2 * np.pi)
    swing = habits.rubato * rng.uniform(0.3, 1.0) * period / (2 * np.pi)

    def stretch(seconds: np.ndarray) -> np.ndarray:
        return seconds + swing * (np.sin(2 * np.pi * seconds / period + phase) - np.sin(phase))

    return stretch


def _dynamics(onset: np.ndarray, pitch: np.ndarray, habits: Habits, rng: np.random.Generator) -> np.ndarray:
    """A velocity for each note: a level, phrase arcs, a little contour, accents and the voicing of chords."""
    level = rng.uniform(42, 92)
    period = rng.uniform(4, 11)
    phase = rng.uniform(0, 1)
    curve = level + habits.arc * (1 - np.cos(2 * np.pi * (onset / period + phase))) / 2
    if rng.random() < 0.3:
        # A step between two dynamics, as between two themes.
        curve += np.where(onset > rng.uniform(0.3, 0.7) * onset.max(), 1, -1) * rng.uniform(8, 20)
    elif rng.random() < 0.4:
        curve += np.interp(onset, [0, onset.max() + 1e-3], [-1, 1]) * rng.uniform(-28, 28)
    curve += 0.35 * (pitch - np.median(pitch))
    curve += rng.normal(0, 4, len(onset)) + 14 * (rng.random(len(onset)) < 0.04)
    if habits.voicing:
        starts = np.round(onset, 3)
        top = np.array([pitch[starts == start].max() for start in starts])
        curve += np.where(pitch >= top, habits.voicing, 0) - habits.voicing / 2
    return np.clip(np.round(curve), SOFTEST, LOUDEST)


def _pedalled(onset: np.ndarray, end: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends held on to the next change of a pedal that changes every 0.8 to 2.4 s."""
    changes = np.arange(0, end.max() + 3, rng.uniform(0.8, 2.4)) + 0.05
    held = changes[np.searchsorted(changes, onset + 0.05)]
    return np.maximum(end, held)


def limit_voices(notes: np.ndarray, voices: int) -> np.ndarray:
    """Notes sorted by onset of which at most `voices` sound at once and no key sounds twice at once.

    A new note ends the same key, or the oldest note when all voices are busy.
    """
    notes = notes[np.lexsort((-notes[:, 2], notes[:, 0]))].copy()
    keep = np.ones(len(notes), bool)
    sounding: list[int] = []
    for index, (onset, _, pitch, _) in enumerate(notes):
        sounding = [other for other in sounding if notes[other, 1] > onset]
        stolen = [other for other in sounding if notes[other, 2] == pitch]
        rest = [other for other in sounding if notes[other, 2] != pitch]
        while len(rest) >= voices:
            stolen.append(rest.pop(0))
        if any(onset - notes[other, 0] < MIN_LENGTH_S for other in stolen):
            # The note would cut one that has hardly begun: a chord wider than the instrument.
            keep[index] = False
            continue
        for other in stolen:
            notes[other, 1] = onset
        sounding = [*rest, index]
    return notes[keep]
