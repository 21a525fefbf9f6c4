"""Clips some semitones higher or lower: resampled, as a tape that runs faster or slower.

Timbre, tempo and room shift with the pitch, by at most an eighth over two semitones, so that few clips sound as more
players and rooms. No note leaves the compass of its instrument: what the renderer never plays is not learned.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr

from . import features as ft
from .dataset import Clip, kept_features
from .vocabulary import compasses

LARGEST = 2
"""semitones, both ways"""


def possible(clip: Clip) -> list[int]:
    """Shifts other than 0 that keep all notes of a clip in its instrument's compass."""
    lo, hi = compasses()[clip.instrument]
    pitches = clip.notes[:, 2] if len(clip.notes) else np.array([lo, hi])
    first, last = max(-LARGEST, int(lo - pitches.min())), min(LARGEST, int(hi - pitches.max()))
    return [shift for shift in range(first, last + 1) if shift != 0]


def shifted(clip: Clip, semitones: int) -> Clip:
    """A clip that was read with its audio, higher by some semitones and shorter for it."""
    factor = 2.0 ** (semitones / 12.0)
    audio = soxr.resample(clip.audio.T.astype(np.float32), ft.SAMPLE_RATE * factor, ft.SAMPLE_RATE).T
    # An inter-sample peak may lie above full scale.
    audio = np.clip(np.round(audio), -32768, 32767).astype(np.int16)
    notes = clip.notes * [1.0 / factor, 1.0 / factor, 1.0, 1.0] + [0.0, 0.0, semitones, 0.0]
    roll, mel = kept_features(Path(clip.path).with_suffix(f".{semitones:+d}.features"), audio, notes)
    return replace(clip, audio=audio, notes=notes, roll=roll, mel=mel)


def with_shifted(clips: list[Clip], share: float, seed: int, with_audio: bool) -> list[Clip]:
    """Clips read with their audio, and after them a share of them, drawn at random, shifted at random.

    Without audio if it is not wanted: it is most of a clip's memory.
    """
    random = np.random.default_rng(seed)
    more = []
    for clip in clips:
        shifts = possible(clip)
        if random.random() < share and shifts:
            more.append(shifted(clip, int(random.choice(shifts))))
    if with_audio:
        return [*clips, *more]
    return [replace(clip, audio=clip.audio[:, :0].copy()) for clip in [*clips, *more]]
