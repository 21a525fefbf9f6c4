"""What the networks see and what they make: mel frames, note rolls and the harmonic excitation.

The engine builds the same values in Rust; `tests/golden/features.json` holds both to them.
Frame m is centred on absolute sample m * HOP. Layout is [frames, channels].
"""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse

MODELS = Path(__file__).resolve().parents[2]
RATES = tomllib.loads((MODELS / "manifest.toml").read_text())["rates"]
SAMPLE_RATE: int = RATES["sample_rate"]
HOP: int = RATES["hop"]
WINDOW: int = RATES["window"]
BANDS: int = RATES["mel_bands"]
FLOOR: float = RATES["log_floor"]
FPS = SAMPLE_RATE / HOP
BINS = WINDOW // 2 + 1
BIN_HZ = SAMPLE_RATE / WINDOW
GOLDEN_RATIO = (5.0**0.5 - 1.0) / 2.0
LOW_KEY, KEYS = 21, 88
PLANES = 4
"""onset, held, age, release"""
AGE_HALF_LIFE = 50.0
RELEASE_HALF_LIFE = 50.0
RELEASE_END = RELEASE_HALF_LIFE * 8
"""frames after which a release counts as 0 (2^-8)"""


@cache
def hann() -> np.ndarray:
    """Periodic Hann window [WINDOW]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


@cache
def mel_filters() -> np.ndarray:
    """Triangular HTK mel filters [BANDS, BINS]; each row sums to 1, so a band is a mean magnitude."""

    def to_mel(hz: float) -> float:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    mels = np.linspace(to_mel(RATES["mel_fmin"]), to_mel(RATES["mel_fmax"]), BANDS + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    hz = np.arange(BINS) * BIN_HZ
    up = (hz[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - hz[None]) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0.0, np.minimum(up, down))
    for row in np.flatnonzero(filters.sum(1) == 0.0):
        # The lowest bands are narrower than a bin: such a band hears the bin nearest to its centre.
        filters[row, int(round(edges[row + 1] / BIN_HZ))] = 1.0
    return filters / filters.sum(1, keepdims=True)


@cache
def band_spread() -> np.ndarray:
    """What each band means for each bin [BANDS, BINS]: a bin takes the mean of its bands, by their weights.

    Bins below the lowest band take that one; above the highest there is none.
    """
    filters = mel_filters()
    total = filters.sum(0)
    spread = filters / np.maximum(total, 1e-8)
    spread[0, (total == 0) & (np.arange(BINS) < BINS // 2)] = 1.0
    return spread


def stft(signal: np.ndarray, first_frame: int, frames: int) -> np.ndarray:
    """Centre-referenced spectrum [frames, BINS] of a signal [samples]; a full-scale sine peaks at 1."""
    half = WINDOW // 2
    start = first_frame * HOP - half
    need = (frames - 1) * HOP + WINDOW
    padded = np.zeros(need)
    lo, hi = max(start, 0), min(start + need, len(signal))
    if hi > lo:
        padded[lo - start : hi - start] = signal[lo:hi]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(windows * hann(), axis=-1) * (2.0 / hann().sum())
    spectrum[:, 1::2] *= -1.0
    return spectrum


def istft(spectrum: np.ndarray) -> np.ndarray:
    """Overlap-add inverse of `stft`: [frames, BINS] -> [(frames - 1) * HOP + WINDOW], from WINDOW/2 before frame 0."""
    frames = len(spectrum)
    turned = spectrum.copy()
    turned[:, 1::2] *= -1.0
    grains = np.fft.irfft(turned * (hann().sum() / 2.0), n=WINDOW, axis=-1) * hann()
    out = np.zeros((frames - 1) * HOP + WINDOW)
    norm = np.zeros_like(out)
    for i in range(frames):
        out[i * HOP : i * HOP + WINDOW] += grains[i]
        norm[i * HOP : i * HOP + WINDOW] += hann() ** 2
    return out / np.maximum(norm, 1e-3)


def mel_of_magnitudes(mid: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Magnitudes [frames, BINS] of mid and side -> mel [frames, 2 * BANDS]: log mid, then log side - log mid."""
    log_mid = np.log(np.maximum(mid @ mel_filters().T, FLOOR))
    log_side = np.log(np.maximum(side @ mel_filters().T, FLOOR))
    return np.concatenate([log_mid, log_side - log_mid], -1).astype(np.float32)


def mel_of_audio(audio: np.ndarray, first_frame: int, frames: int) -> np.ndarray:
    """Stereo audio [2, samples] -> mel [frames, 2 * BANDS]."""
    mid, side = (audio[0] + audio[1]) / 2, (audio[0] - audio[1]) / 2
    return mel_of_magnitudes(np.abs(stft(mid, first_frame, frames)), np.abs(stft(side, first_frame, frames)))


def fold(pitch: int) -> int:
    """Key 0..87 of a MIDI pitch; pitches beyond the piano are folded by octaves."""
    while pitch < LOW_KEY:
        pitch += 12
    while pitch >= LOW_KEY + KEYS:
        pitch -= 12
    return int(pitch) - LOW_KEY


def note_roll(notes: np.ndarray, first_frame: int, frames: int) -> np.ndarray:
    """Note roll of one part.

    notes: [n, 4] onset s, end s, MIDI pitch, MIDI velocity -> [frames, PLANES, KEYS]:
    onset (a triangle one frame wide, so that sub-frame timing survives), held (share of the frame the key is down),
    age (held, halving every 0.5 s since the onset: live playing cannot know a note's length) and release (halving every
    0.5 s since the end).
    """
    roll = np.zeros((frames, PLANES, KEYS), np.float32)
    i = np.arange(first_frame, first_frame + frames, dtype=np.float64)
    for onset, end, pitch, velocity in sorted(map(tuple, notes)):
        on, off, v, key = onset * FPS, end * FPS, velocity / 127.0, fold(int(pitch))
        if on > i[-1] + 1 or off + RELEASE_END < i[0]:
            continue
        triangle = v * np.maximum(0.0, 1.0 - np.abs(on - i))
        cover = np.clip(np.minimum(i + 0.5, off) - np.maximum(i - 0.5, on), 0.0, 1.0)
        begun = i + 0.5 > on
        age = v * cover * 2.0 ** (-np.maximum(0.0, i - on) / AGE_HALF_LIFE)
        since = i - off
        release = v * (1.0 - cover) * 2.0 ** (-np.maximum(0.0, since) / RELEASE_HALF_LIFE)
        release = np.where((since > -0.5) & (since < RELEASE_END), release, 0.0)
        roll[:, 0, key] = np.maximum(roll[:, 0, key], triangle)
        # From its onset on, the latest note on a key owns the key's state.
        roll[:, 1, key] = np.where(begun, np.maximum(v * cover, roll[:, 1, key] * (1.0 - cover)), roll[:, 1, key])
        roll[:, 2, key] = np.where(begun, age, roll[:, 2, key])
        roll[:, 3, key] = np.where(begun, release, roll[:, 3, key])
    return roll


def main_lobe(distance: np.ndarray) -> np.ndarray:
    """Transform of the Hann window at a distance in bins, 1 at 0 and cut at its main lobe."""
    d = np.abs(distance)
    safe = np.where(np.abs(d - 1.0) < 1e-6, 1.0 + 1e-6, d)
    return np.where(d < 2.0, np.sinc(safe) / (1.0 - safe * safe), 0.0)


@cache
def harmonics(key: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies [H] Hz of a key's harmonics, their 4 nearest bins [H, 4] and weights [H, 4] (1/h times lobe)."""
    f0 = 440.0 * 2.0 ** ((key + LOW_KEY - 69) / 12.0)
    h = np.arange(1, int(RATES["mel_fmax"] / f0) + 1)
    position = h * f0 / BIN_HZ
    bins = np.floor(position).astype(int)[:, None] + np.arange(-1, 3)
    weights = main_lobe(bins - position[:, None]) / h[:, None]
    return h * f0, np.abs(bins), weights


@cache
def lobes(key: int) -> sparse.csr_array:
    """The weights of `harmonics` as a sparse matrix [H, BINS]."""
    hz, bins, weights = harmonics(key)
    rows = np.repeat(np.arange(len(hz)), bins.shape[1])
    return sparse.csr_array((weights.ravel().astype(np.float32), (rows, bins.ravel())), shape=(len(hz), BINS))


@cache
def excitation_table() -> np.ndarray:
    """Mel magnitude [KEYS, BANDS] of each key's harmonics at amplitude 1."""
    table = np.zeros((KEYS, BINS))
    for key in range(KEYS):
        _, bins, weights = harmonics(key)
        np.add.at(table[key], bins, weights)
    return np.abs(table) @ mel_filters().T


GOLDEN_RATIO = (5.0**0.5 - 1.0) / 2.0


def excitation_spectrum(roll: np.ndarray, first_frame: int) -> np.ndarray:
    """Complex spectrum [frames, BINS] of the sounding notes' harmonics, phase counted from absolute time 0.

    Harmonic h begins h^2 times the golden ratio ahead of its crest, so that a period is not one pulse.
    """
    amplitude = roll[:, 1] + roll[:, 3]
    frames = len(roll)
    out = np.zeros((frames, BINS), np.complex64)
    seconds = (first_frame + np.arange(frames)) * (HOP / SAMPLE_RATE)
    for key in np.flatnonzero(amplitude.max(0) > 0):
        hz, bins, weights = harmonics(int(key))
        h = np.arange(1, len(hz) + 1)
        cycles = np.mod(seconds[:, None] * hz[None] + np.mod(GOLDEN_RATIO * h * h, 1.0), 1.0)
        waves = (np.exp(2j * np.pi * cycles) * amplitude[:, key, None]).astype(np.complex64)
        out += waves @ lobes(int(key))
    return out
