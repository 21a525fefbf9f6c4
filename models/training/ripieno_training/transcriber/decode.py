"""Notes of what the transcriber says."""

from pathlib import Path

import numpy as np
import torch

from ..features import LOW_KEY
from ..train.checkpoint import averaged, learned, read
from .mixtures import mono
from .network import Transcriber
from .spectrum import FPS

NEAR = 2
"""frames to either side in which an onset is the likeliest"""
SECOND = 0.35
"""probability from which on a second instrument plays the same note"""


class Listener:
    """A trained transcriber."""

    def __init__(self, folder: Path, threshold: float | None = None) -> None:
        state = read(folder, "transcriber")
        vocabulary = learned(state)
        self.model: Transcriber = averaged(state, vocabulary)
        self.instruments, self.steps = vocabulary.instruments, state["step"]
        self.threshold = threshold if threshold is not None else state["kept"].get("threshold", 0.4)
        """probability from which on an onset is a note"""

    def notes(self, audio: np.ndarray) -> np.ndarray:
        """Stereo sound [2, samples] at 48 kHz -> [n, 3]: onset s, pitch, index of its instrument."""
        return self.notes_of_mono(mono(audio))

    @torch.no_grad()
    def notes_of_mono(self, audio: np.ndarray) -> np.ndarray:
        """The same of mono sound [samples] at 16 kHz."""
        spectrum = self.model.spectrum(torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None])
        likely = self.model.onsets(spectrum)[0].sigmoid().numpy()
        frame, key = peaks(likely, self.threshold)
        if len(frame) == 0:
            return np.zeros((0, 3))
        at = torch.from_numpy(frame), torch.from_numpy(key)
        who = self.model.players(spectrum, torch.zeros_like(at[0]), *at).softmax(-1).numpy()
        best = who.argmax(-1)
        chosen = who > SECOND
        chosen[np.arange(len(who)), best] = True
        note, instrument = np.nonzero(chosen)
        onset = (frame + between(likely, frame, key)) / FPS
        return np.column_stack([onset[note], key[note] + LOW_KEY, instrument])


def peaks(likely: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames [n] and keys [n] of the onsets in probabilities [frames, keys]: local maxima above the threshold."""
    padded = np.pad(likely, ((NEAR, NEAR), (0, 0)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1, axis=0)
    highest = (likely >= threshold) & (likely == around.max(-1))
    # Of equals the first.
    highest &= ~(around[..., :NEAR] == likely[..., None]).any(-1)
    return np.nonzero(highest)


def between(likely: np.ndarray, frame: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Where in -0.5 to 0.5 frames from a peak [n] its parabola is highest."""
    padded = np.pad(likely, ((1, 1), (0, 0)))
    before, here, after = (padded[frame + i, key] for i in range(3))
    bend = before - 2 * here + after
    return np.where(bend < -1e-9, 0.5 * (before - after) / np.where(bend < -1e-9, bend, -1.0), 0.0)
