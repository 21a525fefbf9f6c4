"""One excerpt by one performance: every system plays it, and is measured."""

import argparse
import hashlib
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from .. import features as ft
from ..dataset import catalogue
from ..evaluate_synth import EDGE, Chain
from ..manifest import MANIFEST
from ..render.recipes import Performance
from ..render.renderer import Stage
from . import keeping
from .excerpts import SEED, Excerpt, PlayedPart, played
from .judge import Judge, Sound
from .stages import mixed, true_parts
from .summary import Heard
from .systems import ENGINE, FLUID, TRUTH, Parts, System, by_engine, general_midi, sound_of


def inner(audio: np.ndarray, frames: int) -> np.ndarray:
    """The samples of `audio` [2, samples] that a chain makes whole: first frame to last, less the edges."""
    return audio[:, EDGE : (frames - 1) * ft.HOP + 1 - EDGE]


def inner_notes(plays: list[PlayedPart]) -> np.ndarray:
    """The notes that begin there [n, 5]: onset s, end s, pitch, velocity, instrument's index."""
    parts = [np.column_stack([part.notes, np.full(len(part.notes), part.player.instrument.index)]) for part in plays]
    notes = np.concatenate(parts) - np.array([1.0, 1.0, 0.0, 0.0, 0.0]) * EDGE / ft.SAMPLE_RATE
    return notes[notes[:, 0] >= 0]


class Bench:
    """One excerpt by one performance: its true parts are rendered when they are first needed."""

    def __init__(self, options: argparse.Namespace, stage: Stage, number: int, piece: Excerpt, by: Performance) -> None:
        self.options, self.stage, self.number, self.performance = options, stage, number, by
        self.plays = played(piece, by, SEED)

    @cached_property
    def parts(self) -> Parts:
        return Parts(true_parts(self.stage, self.performance, self.plays, self.options.seconds))

    def made(self, system: System, chain: Chain | None) -> np.ndarray:
        """A system's sound [2, samples], without its edges."""
        clips = self.parts.clips
        frames = len(clips[0].mel)
        if system is TRUTH:
            return inner(mixed(clips), frames)
        if system is FLUID:
            return inner(general_midi(self.performance, clips, catalogue()[1], self.stage.soundfonts), frames)
        if system is ENGINE:
            return inner(by_engine(self.performance, clips, catalogue()[1], self.options.engine), frames)
        # All systems share their noise, so that they differ by what they are.
        return sound_of(chain, self.parts, system.setting, 1000 * self.number + 10 * self.performance.index)

    def file(self, system: System, kind: str) -> Path:
        """Where a system's sound or figures stay. The truth and the baseline are the same for all checkpoints."""
        owner = self.options.checkpoints.name if system.setting else "given"
        if system is ENGINE:
            # It has models of its own.
            owner = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8]
        piece = f"{self.options.pieces}x{self.options.seconds:g}-{self.number:03d}-{self.performance.id}"
        return self.options.work / f"{owner}-{_slug(system.name)}-{piece}.{kind}.npz"

    def sound(self, system: System, chain: Chain | None) -> Sound:
        """A system's sound beside the true one."""
        audio, true = (
            keeping.sound(self.file(each, "sound"), partial(self.made, each, chain)) for each in (system, TRUTH)
        )
        return Sound(audio, true, inner_notes(self.plays))

    def heard(self, system: System, chain: Chain | None, judge: Judge) -> Heard:
        """What is measured of it."""
        pianos = all(part.player.instrument.id == "piano" for part in self.plays)
        sound = partial(self.sound, system, chain)
        figures, embeddings = judge.heard(self.file(system, "row"), system is TRUTH, sound, pianos)
        return Heard(self.performance.id, embeddings, figures)


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
