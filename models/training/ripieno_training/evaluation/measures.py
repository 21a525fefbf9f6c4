"""Distances of one excerpt to its true rendering that need no other excerpt."""

import numpy as np
from scipy.signal import lfilter

from .. import features as ft

BLOCK_S, STEP_S = 0.4, 0.1
"""momentary loudness of ITU-R BS.1770"""
SILENCE_LU = -70.0
# BS.1770-4, tables 1 and 2: the coefficients at 48 kHz.
SHELF = [1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585]
HIGH_PASS = [1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621]


def loudness_curve(audio: np.ndarray) -> np.ndarray:
    """Momentary loudness in LUFS of stereo audio [2, samples], every 100 ms."""
    weighted = lfilter(*HIGH_PASS, lfilter(*SHELF, audio.astype(np.float64)))
    block, step = int(BLOCK_S * ft.SAMPLE_RATE), int(STEP_S * ft.SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum((weighted**2).sum(0))])
    starts = np.arange(0, audio.shape[1] - block + 1, step)
    power = (energy[starts + block] - energy[starts]) / block
    return np.maximum(-0.691 + 10 * np.log10(np.maximum(power, 1e-12)), SILENCE_LU)


def loudness_distance(ours: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """How far the loudness curves lie apart in LU once their medians agree, and how far the medians were apart."""
    apart = loudness_curve(ours) - loudness_curve(true)
    level = float(np.median(apart))
    return float(np.abs(apart - level).mean()), level


def levelled(ours: np.ndarray, true: np.ndarray) -> np.ndarray:
    """`ours` at the RMS of `true`: a synthesizer's output gain is no part of its sound."""
    return ours * np.sqrt((true**2).mean() / max(float((ours**2).mean()), 1e-12))
