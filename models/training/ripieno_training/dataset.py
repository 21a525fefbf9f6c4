"""Clips of the data renderer as random crops in memory."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import features as ft
from .vocabulary import current


def catalogue() -> tuple[list[str], list[str]]:
    """Ids of the performances and of the instruments, each in the order of its index."""
    vocabulary = current()
    return list(vocabulary.performances), list(vocabulary.instruments)


RECORDED = "recorded"
"""folder of clips that nobody in particular plays: their performance is empty"""


def indices(instrument: str, performance: str) -> tuple[int, int]:
    """Of whom a clip names, in today's vocabulary; without a performance it is the null one."""
    performances, instruments = catalogue()
    return instruments.index(instrument), performances.index(performance) if performance else len(performances)


def clip_files(root: Path, split: str) -> list[Path]:
    """Files of a split by the performances of today's vocabulary, and by nobody in particular, sorted by name."""
    heard = {*catalogue()[0], RECORDED}
    paths = sorted(path for path in (root / split).glob("*/*.npz") if path.parent.name in heard)
    if not paths:
        raise SystemExit(f"no clips in {root / split}: run `python -m ripieno_training.render` first")
    return paths


@dataclass
class Clip:
    """One part of one performance."""

    audio: np.ndarray
    """int16 [2, samples], or none where they were not asked for"""
    notes: np.ndarray
    roll: np.ndarray
    """float16 [frames, PLANES, KEYS]"""
    mel: np.ndarray
    """float16 [frames, 2 * BANDS]"""
    instrument: int
    performance: int
    path: str

    @property
    def seconds(self) -> float:
        return len(self.mel) / ft.FPS


def kept_features(file: Path, audio: np.ndarray, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roll and mel of a clip from a file, or made of int16 audio [2, samples] and notes and kept there."""
    if file.exists():
        with np.load(file) as kept:
            return kept["roll"], kept["mel"]
    frames = audio.shape[1] // ft.HOP
    roll = ft.note_roll(notes, 0, frames).astype(np.float16)
    mel = ft.mel_of_audio(audio.astype(np.float64) / 32768.0, 0, frames).astype(np.float16)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with open(part, "wb") as whole:
        np.savez(whole, roll=roll, mel=mel)
    part.rename(file)
    return roll, mel


def load(path: Path, with_audio: bool = True) -> Clip:
    """Reads a clip, or its features if they were made before (kept beside it)."""
    data, made = np.load(path), path.with_suffix(".features")
    # Most of a clip is its audio, which is read only where it is wanted.
    audio = data["audio"] if with_audio or not made.exists() else np.zeros((2, 0), np.int16)
    roll, mel = kept_features(made, audio, data["notes"])
    return Clip(
        audio if with_audio else np.zeros((2, 0), np.int16), data["notes"], roll, mel,
        *indices(str(data["instrument"]), str(data["performance"])), str(path),
    )  # fmt: skip


def load_split(root: Path, split: str, processes: int = 1, with_audio: bool = True) -> list[Clip]:
    """All clips of a split, as `clip_files` has them."""
    paths = clip_files(root, split)
    read = partial(load, with_audio=with_audio)
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            clips = list(tqdm(pool.map(read, paths), total=len(paths), desc=f"{split} clips"))
    else:
        clips = [read(path) for path in tqdm(paths, desc=f"{split} clips")]
    return clips


LEAD_IN_SHARE = 0.2
"""share of crops that begin in the silence before a clip"""
SILENCE = np.concatenate([np.full(ft.BANDS, np.log(ft.FLOOR)), np.zeros(ft.BANDS)])


def cut(values: np.ndarray, first: int, length: int, before: np.ndarray | float = 0.0) -> np.ndarray:
    """float32 [length, ...] of values [n, ...] from an index that may be negative: `before` stands there."""
    out = np.empty((length, *values.shape[1:]), np.float32)
    lead = max(0, -first)
    out[:lead] = before
    out[lead:] = values[first + lead : first + length]
    return out


class Crops:
    """Random crops: every performance is equally likely, then every instrument in it, then every position.

    A piano is the whole of its performance, and has as much to learn as an orchestra of fourteen.

    Some begin before their clip, in silence. Without these, a network meets the first note after a rest so rarely
    that it answers tens of decibels too loud where an instrument otherwise never rests.
    """

    def __init__(self, clips: list[Clip], frames: int, seed: int) -> None:
        self.frames = frames
        self.random = np.random.default_rng(seed)
        players: dict[int, dict[int, list[Clip]]] = {}
        for clip in clips:
            if len(clip.mel) >= frames:
                players.setdefault(clip.performance, {}).setdefault(clip.instrument, []).append(clip)
        self.performances = [[players[who][which] for which in sorted(players[who])] for who in sorted(players)]

    def draw(self) -> tuple[Clip, int]:
        """A clip and the first frame of a crop in it, negative for one that begins in silence."""
        instruments = self.performances[self.random.integers(len(self.performances))]
        clips = instruments[self.random.integers(len(instruments))]
        clip = clips[self.random.integers(len(clips))]
        if self.random.random() < LEAD_IN_SHARE:
            return clip, -int(self.random.integers(self.frames * 7 // 8))
        return clip, int(self.random.integers(len(clip.mel) - self.frames + 1))

    def batch(self, size: int) -> dict[str, np.ndarray]:
        """roll [B, F, PLANES, KEYS], mel [B, F, 2 * BANDS], instrument [B], performance [B]."""
        drawn = [self.draw() for _ in range(size)]
        return {
            "roll": np.stack([cut(clip.roll, first, self.frames) for clip, first in drawn]),
            "mel": np.stack([cut(clip.mel, first, self.frames, SILENCE) for clip, first in drawn]),
            "instrument": np.array([clip.instrument for clip, _ in drawn]),
            "performance": np.array([clip.performance for clip, _ in drawn]),
        }

    def audio_batch(self, size: int) -> dict[str, np.ndarray]:
        """roll, mel, excitation spectrum E [B, F, BINS] at a random absolute time, audio [B, 2, (F - 1) * HOP + 1]."""
        drawn = [self.draw() for _ in range(size)]
        out: dict[str, list[np.ndarray]] = {"roll": [], "mel": [], "excitation": [], "audio": []}
        for clip, first in drawn:
            roll = cut(clip.roll, first, self.frames)
            out["roll"].append(roll)
            out["mel"].append(cut(clip.mel, first, self.frames, SILENCE))
            out["excitation"].append(ft.excitation_spectrum(roll, int(self.random.integers(100_000))))
            audio = cut(clip.audio.T, first * ft.HOP, (self.frames - 1) * ft.HOP + 1).T
            out["audio"].append(audio / np.float32(32768.0))
        return {key: np.stack(value) for key, value in out.items()}
