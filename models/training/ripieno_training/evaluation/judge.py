"""Everything that is measured of one excerpt's sound, as far as it was not measured before."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..listening import embed, note_f1, stft_distance
from ..transcriber.decode import Listener
from ..transcriber.score import note_instrument_f1
from . import keeping
from .measures import levelled, loudness_distance
from .piano import piano_f1


@dataclass(frozen=True)
class Sound:
    """A system's sound of an excerpt."""

    audio: np.ndarray
    """[2, samples]"""
    true: np.ndarray
    """the true rendering, as long"""
    notes: np.ndarray
    """[n, 5] that begin in it: onset s, end s, pitch, velocity, instrument's index"""


@dataclass(frozen=True)
class Judge:
    """Who is asked: musicnn always, the transcribers where they are wanted."""

    musicnn: Path
    basic_pitch: bool = True
    listener: Listener | None = None
    piano: bool = False
    """whether transkun hears what pianos play"""

    def measures(self, true: bool, pianos: bool = False) -> dict[str, Callable[[Sound], dict[str, float]]]:
        """What is to be measured of the true rendering, or of another; `pianos` alone may play it."""
        chosen: dict[str, Callable[[Sound], dict[str, float]]] = {}
        if self.basic_pitch:
            chosen["note_f1"] = lambda s: {"note_f1": note_f1(s.audio, s.notes)}
        if self.listener:
            chosen[f"listener_{self.listener.steps}"] = self._by_instrument
        if self.piano and pianos:
            chosen["piano_f1"] = lambda s: {"piano_f1": piano_f1(s.audio, s.notes)}
        if not true:
            chosen["stft_distance"] = lambda s: {"stft_distance": stft_distance(levelled(s.audio, s.true), s.true)}
            chosen["loudness_distance"] = _loudness
        return chosen

    def _by_instrument(self, sound: Sound) -> dict[str, float]:
        heard = self.listener.notes(sound.audio)
        value = note_instrument_f1(sound.notes[:, [0, 2, 4]], heard)
        return {"note_instrument_f1": value, f"listener_{self.listener.steps}": value}

    def heard(
        self, file: Path, true: bool, sound: Callable[[], Sound], pianos: bool = False
    ) -> tuple[dict[str, float], np.ndarray]:
        """Figures and embeddings [n, d], read from a file as far as they are in it, and kept there."""
        figures, embeddings = keeping.row(file)
        missing = [measure for key, measure in self.measures(true, pianos).items() if key not in figures]
        if missing or embeddings is None:
            heard = sound()
            for measure in missing:
                figures |= measure(heard)
            embeddings = embed(heard.audio, self.musicnn) if embeddings is None else embeddings
            keeping.keep_row(file, figures, embeddings)
        return figures, embeddings


def _loudness(sound: Sound) -> dict[str, float]:
    distance, level = loudness_distance(sound.audio, sound.true)
    return {"loudness_distance": distance, "level": level}
