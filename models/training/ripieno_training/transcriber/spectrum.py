"""Log magnitudes at three bands a semitone, from a short window for attacks and a long one for low notes."""

import numpy as np
import torch
from torch import Tensor, nn

from ..features import KEYS, LOW_KEY

RATE = 16_000
HOP = 320
"""samples; 20 ms"""
FPS = RATE / HOP
WINDOWS = (1024, 4096)
PER_SEMITONE = 3
LOUDNESS = 0.1
"""RMS that every signal is brought to: a transcriber must not hear level"""
FLOOR, CENTRE, SCALE = 1e-4, -6.5, 2.0
SILENCE = (float(np.log(FLOOR)) - CENTRE) / SCALE
BANDS = int(12 * PER_SEMITONE * np.log2(RATE / 2 / 27.5))
"""up to half the sampling rate; a key's own band is 1 + PER_SEMITONE * key"""


def harmonic_bands(harmonics: tuple[float, ...], around: tuple[int, ...]) -> Tensor:
    """Bands of each key's harmonics and of their neighbours [len(harmonics) * len(around), KEYS].

    `BANDS` stands for what lies outside the spectrum; a spectrum is silent there.
    """
    own = 1 + PER_SEMITONE * np.arange(KEYS)
    up = np.round(12 * PER_SEMITONE * np.log2(harmonics)).astype(int)
    bands = (up[:, None, None] + np.array(around)[None, :, None] + own).reshape(-1, KEYS)
    return torch.from_numpy(np.where((bands < 0) | (bands >= BANDS), BANDS, bands))


def filters(window: int) -> Tensor:
    """Triangles [window / 2 + 1, BANDS] a third of a semitone or one bin wide to either side, each of sum 1."""
    bin_hz = RATE / window
    centre = 27.5 * 2.0 ** ((np.arange(BANDS) - 1) / (12 * PER_SEMITONE))
    width = np.maximum(centre * (2.0 ** (1 / (12 * PER_SEMITONE)) - 1), bin_hz)
    hz = np.arange(window // 2 + 1) * bin_hz
    weights = np.maximum(0.0, 1.0 - np.abs(hz[:, None] - centre) / width)
    return torch.from_numpy((weights / weights.sum(0)).astype(np.float32))


class Spectrum(nn.Module):
    """Mono sound [B, samples] at `RATE` -> [B, len(WINDOWS), samples // HOP + 1, BANDS + 1], the last band silent."""

    def __init__(self) -> None:
        super().__init__()
        for window in WINDOWS:
            self.register_buffer(f"filters_{window}", filters(window), persistent=False)
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        audio = audio.float()
        audio = audio * LOUDNESS / (audio.square().mean(-1, keepdim=True).sqrt() + 1e-6)
        out = []
        with torch.autocast(audio.device.type, enabled=False):
            for window in WINDOWS:
                shape, weights = getattr(self, f"window_{window}"), getattr(self, f"filters_{window}")
                bins = torch.stft(audio, window, HOP, window=shape, pad_mode="constant", return_complex=True)
                out.append(torch.matmul(bins.abs().transpose(1, 2) * (2.0 / shape.sum()), weights))
            levels = (torch.log(torch.stack(out, 1) + FLOOR) - CENTRE) / SCALE
        return nn.functional.pad(levels, (0, 1), value=SILENCE)


def key_of(pitch: np.ndarray) -> np.ndarray:
    """Keys 0..87 of MIDI pitches; those beyond the piano are negative or at least `KEYS`."""
    return pitch.astype(int) - LOW_KEY
