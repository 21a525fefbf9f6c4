"""A guitar amplifier: soft clipping between a low cut and a loudspeaker, at twice the rate against aliasing."""

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from .sampler import NOTE_RMS, SAMPLE_RATE

LOW_CUT_HZ = 90.0
SPEAKER_HZ = 4800.0


def amplified(dry: np.ndarray, drive: float) -> np.ndarray:
    """`dry` [2, n] through the amplifier; `drive` is the gain before the clipping (1 is nearly clean).

    A sine of `NOTE_RMS` keeps its level.
    """
    low_cut = butter(1, LOW_CUT_HZ, "highpass", fs=2 * SAMPLE_RATE, output="sos")
    speaker = butter(3, SPEAKER_HZ, "lowpass", fs=2 * SAMPLE_RATE, output="sos")
    middle = resample_poly(dry.mean(0).astype(np.float64), 2, 1)
    sine = NOTE_RMS * np.sqrt(2) * np.sin(np.linspace(0, 2 * np.pi, 256, endpoint=False))
    level = NOTE_RMS / np.sqrt((np.tanh(drive * sine) ** 2).mean())
    clipped = np.tanh(drive * sosfilt(low_cut, middle)) * level
    sound = resample_poly(sosfilt(speaker, clipped), 1, 2)[: dry.shape[1]]
    return np.repeat(sound[None], 2, 0).astype(np.float32)
