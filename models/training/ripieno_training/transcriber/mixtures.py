"""Random ensembles of clips: what the transcriber hears."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from tqdm import tqdm

from .. import features as ft
from ..dataset import clip_files, indices
from .spectrum import FPS, HOP, RATE, key_of

MOST_PARTS = 5
TOGETHER = 0.75
"""share of mixtures whose parts are all by one performance"""
GAIN_DB = 8.0
"""parts are at most so much louder or softer than they were rendered"""
BLUR = 2.0
"""frames from an onset at which its target has fallen to 0"""


@dataclass
class Mono:
    """A clip for the transcriber."""

    audio: np.ndarray
    """int16 [samples] at `RATE`"""
    notes: np.ndarray
    """[n, 4]: onset s, end s, pitch, velocity"""
    instrument: int
    performance: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / RATE


def mono(audio: np.ndarray) -> np.ndarray:
    """Stereo [2, samples] at 48 kHz -> float32 [samples] at `RATE`."""
    return soxr.resample(audio.mean(0, dtype=np.float32), ft.SAMPLE_RATE, RATE, quality="MQ")


def load(path: Path) -> Mono:
    """Reads a clip; its sound at `RATE` is kept beside it."""
    data, made = np.load(path), path.with_suffix(".mono.npy")
    if not made.exists():
        part = made.with_suffix(".part.npy")
        np.save(part, np.clip(np.round(mono(data["audio"])), -32768, 32767).astype(np.int16))
        part.rename(made)
    return Mono(np.load(made), data["notes"], *indices(str(data["instrument"]), str(data["performance"])))


def load_split(root: Path, split: str) -> list[Mono]:
    """All clips of a split, as `clip_files` has them."""
    return [load(path) for path in tqdm(clip_files(root, split), desc=f"{split} clips", mininterval=10)]


def onset_target(notes: np.ndarray, frames: int) -> np.ndarray:
    """1 where a note of [n, >= 3] (onset s, ., pitch) begins, falling to 0 over `BLUR` frames: [frames, KEYS]."""
    target = np.zeros((frames, ft.KEYS), np.float32)
    at = np.arange(frames)
    for onset, key in zip(notes[:, 0] * FPS, key_of(notes[:, 2]), strict=True):
        if 0 <= key < ft.KEYS:
            target[:, key] = np.maximum(target[:, key], 1.0 - np.abs(at - onset) / BLUR)
    return np.maximum(target, 0.0)


class Mixtures:
    """Draws ensembles of 1 to 5 parts, of `frames` frames each."""

    def __init__(self, clips: list[Mono], frames: int, seed: int) -> None:
        self.frames, self.samples = frames, (frames - 1) * HOP
        self.random = np.random.default_rng(seed)
        self.players: dict[int, dict[int, list[Mono]]] = {}
        for clip in clips:
            if len(clip.audio) >= self.samples:
                self.players.setdefault(clip.performance, {}).setdefault(clip.instrument, []).append(clip)

    def _one(self, choices: list):
        return choices[self.random.integers(len(choices))]

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Sound float32 [samples], and the notes that begin in it [n, 4]: onset s, end s, pitch, instrument."""
        performance = self._one(list(self.players))
        together = self.random.random() < TOGETHER
        sound, notes = np.zeros(self.samples, np.float32), []
        for _ in range(self.random.integers(1, MOST_PARTS + 1)):
            players = self.players[performance if together else self._one(list(self.players))]
            clip = self._one(players[self._one(list(players))])
            first = int(self.random.integers(len(clip.audio) - self.samples + 1))
            gain = 10.0 ** (self.random.uniform(-GAIN_DB, GAIN_DB) / 20.0) / 32768.0
            sound += gain * clip.audio[first : first + self.samples]
            began = clip.notes[:, 0] - first / RATE
            inside = (began >= 0) & (began < self.samples / RATE)
            ends, pitches = clip.notes[inside, 1] - first / RATE, clip.notes[inside, 2]
            notes.append(np.column_stack([began[inside], ends, pitches, np.full(inside.sum(), clip.instrument)]))
        return sound, np.concatenate(notes)

    def batch(self, size: int) -> dict[str, np.ndarray]:
        """audio [B, samples], onsets [B, frames, KEYS], notes [N, 4]: piece, frame, key, instrument."""
        drawn = [self.draw() for _ in range(size)]
        notes = []
        for piece, (_, played) in enumerate(drawn):
            frame = np.minimum(np.round(played[:, 0] * FPS), self.frames - 1)
            found = np.column_stack([np.full(len(played), piece), frame, key_of(played[:, 2]), played[:, 3]])
            notes.append(found[(found[:, 2] >= 0) & (found[:, 2] < ft.KEYS)])
        return {
            "audio": np.stack([sound for sound, _ in drawn]),
            "onsets": np.stack([onset_target(played, self.frames) for _, played in drawn]),
            "notes": np.concatenate(notes).astype(np.int64),
        }
