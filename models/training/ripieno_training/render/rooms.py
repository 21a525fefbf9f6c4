"""Rooms: what a performance adds to the dry sound of a player.

A room gives each player the direct sound at once (a note's onset stays where it is) plus the reflections of
the room at that player's place. Simulated rooms are shoe boxes by the image-source method (Allen and Berkley
1979, pyroomacoustics) with a decaying noise tail after the last complete reflection order; measured rooms
are impulse responses whose direct sound is taken out.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyroomacoustics
import soundfile
import soxr
from scipy.signal import butter, oaconvolve, sosfilt

from .sampler import SAMPLE_RATE

SPEED_OF_SOUND = 343.0
ORDER = 14
"""Reflection order of the image-source part; complete for about ORDER * shortest side / speed of sound."""
BANDS_HZ = [125, 250, 500, 1000, 2000, 4000, 8000]
LOW_CUT_HZ = 200.0
"""Low cut of the reflections: below it a few standing waves would make single keys 10 dB louder."""
BAND_RT60 = [1.15, 1.1, 1.0, 1.0, 0.92, 0.78, 0.55]
"""Reverberation time of each band over the mid-frequency one: halls lose their treble to the air first."""


@dataclass(frozen=True)
class Room:
    """`wet` is the level of the reflections over the direct sound, as an RMS ratio for a steady sound."""

    wet: float
    size: tuple[float, float, float] | None = None
    """Metres; a simulated room."""
    rt60: float = 0.0
    """Seconds at mid frequencies; a simulated room."""
    measured: str | None = None
    """Impulse response, relative to the sample pack; a measured room."""
    near: float = 0.0
    """Metres from the microphones at which `wet` holds; farther players are wetter in proportion. 0: `wet` everywhere.

    The direct sound falls with the distance and the reverberation does not; players are levelled by their gains.
    """

    def reflections(self, audio_root: Path, position: tuple[float, float]) -> np.ndarray:
        """Impulse response of the reflections, float32 [2, n] of unit energy; sample 0 is the direct sound.

        `position` is the player's place: metres to the right of the centre line, metres behind the pair of
        microphones. Measured rooms have one place.
        """
        if self.measured is not None:
            return _measured(Path(audio_root) / self.measured)
        return _simulated(self.size, self.rt60, position)

    def wetness(self, position: tuple[float, float]) -> float:
        """Level of the reflections over the direct sound of a player at `position`."""
        return self.wet * float(np.hypot(*position)) / self.near if self.near else self.wet

    def place(
        self, dry: list[np.ndarray], reflections: np.ndarray, position: tuple[float, float], right: list[float]
    ) -> np.ndarray:
        """Sound of a section at `position`: float32 [2, frames] from `dry` [2, frames] of each desk.

        `right` says how far to the right of the section's middle each desk sits. The direct sound keeps the
        instrument's own stereo image, moved by balance; the room hears the middle of all desks, at one place.
        """
        frames = dry[0].shape[1]
        direct = sum(_balance(position[0] + aside, position[1]) * desk for desk, aside in zip(dry, right, strict=True))
        middle = sum(desk.mean(0) for desk in dry)
        reflected = np.stack([oaconvolve(middle, channel)[:frames] for channel in reflections])
        return (direct + self.wetness(position) * reflected).astype(np.float32)


def _balance(right: float, behind: float) -> np.ndarray:
    """Gains [2, 1] of left and right for a place."""
    pan = np.clip(np.arctan2(right, behind) / (np.pi / 2), -1.0, 1.0)
    return np.sqrt(2.0) * np.array([[np.cos((pan + 1) * np.pi / 4)], [np.sin((pan + 1) * np.pi / 4)]])


def _unit_energy(response: np.ndarray) -> np.ndarray:
    """Without the boom of the room's lowest modes, scaled so that each channel has unit energy on average."""
    response = sosfilt(butter(1, LOW_CUT_HZ, "highpass", fs=SAMPLE_RATE, output="sos"), response)
    return (response / np.sqrt((response**2).sum() / len(response))).astype(np.float32)


@lru_cache(maxsize=8)
def _measured(path: Path) -> np.ndarray:
    recorded, rate = soundfile.read(path, dtype="float64", always_2d=True)
    response = soxr.resample(recorded, rate, SAMPLE_RATE, quality="VHQ")
    response = response[int(np.abs(response).max(1).argmax()) :].T
    # The direct sound comes from the dry path; its copy here would comb with it.
    begin, end = int(0.0015 * SAMPLE_RATE), int(0.003 * SAMPLE_RATE)
    response = np.repeat(response, 2, 0)[:2] if len(response) == 1 else response[:2].copy()
    response[:, :begin] = 0.0
    response[:, begin:end] *= np.sin(np.linspace(0, np.pi / 2, end - begin)) ** 2
    fade = int(0.1 * SAMPLE_RATE)
    response[:, -fade:] *= np.linspace(1, 0, fade)
    return _unit_energy(response)


@lru_cache(maxsize=32)
def _simulated(size: tuple[float, float, float], rt60: float, position: tuple[float, float]) -> np.ndarray:
    width, depth, height = size
    front = 0.35 * depth
    microphones = np.array([[width / 2 - 0.25, width / 2 + 0.25], [front] * 2, [min(2.2, height * 0.6)] * 2])
    source = np.array([width / 2 + position[0], front + position[1], 1.2])
    volume, surface = width * depth * height, 2 * (width * depth + width * height + depth * height)
    # Eyring's formula, band by band.
    absorption = [1 - np.exp(-0.161 * volume / (surface * rt60 * band)) for band in BAND_RT60]
    full = _image_sources(size, absorption, source, microphones, ORDER)
    direct = _image_sources(size, absorption, source, microphones, 0)
    full[:, : direct.shape[1]] -= direct[:, : full.shape[1]]
    distance = np.linalg.norm(microphones - source[:, None], axis=0).min()
    arrival = int(distance / SPEED_OF_SOUND * SAMPLE_RATE) + pyroomacoustics.constants.get("frac_delay_length") // 2
    early = full[:, arrival:]
    return _unit_energy(_with_tail(early, size, rt60))


def _image_sources(size, absorption, source, microphones, order) -> np.ndarray:
    material = pyroomacoustics.Material({"coeffs": absorption, "center_freqs": BANDS_HZ})
    room = pyroomacoustics.ShoeBox(list(size), fs=SAMPLE_RATE, materials=material, max_order=order)
    room.add_source(source)
    room.add_microphone_array(microphones)
    room.compute_rir()
    responses = [np.asarray(room.rir[channel][0]) for channel in range(2)]
    length = max(len(r) for r in responses)
    return np.stack([np.pad(r, (0, length - len(r))) for r in responses])


def _with_tail(early: np.ndarray, size: tuple[float, float, float], rt60: float) -> np.ndarray:
    """Continues `early` where its reflections stop being complete with noise that decays band by band."""
    join = int(0.8 * ORDER * min(size) / SPEED_OF_SOUND * SAMPLE_RATE)
    join = min(join, int(0.5 * rt60 * SAMPLE_RATE), early.shape[1] - 1)
    frames = int(1.1 * rt60 * SAMPLE_RATE)
    time = np.arange(frames) / SAMPLE_RATE
    noise = np.random.default_rng(20).standard_normal((2, frames))
    tail = np.zeros((2, frames))
    edges = [60.0, *(np.sqrt(a * b) for a, b in zip(BANDS_HZ, BANDS_HZ[1:], strict=False)), 16_000.0]
    window = slice(max(0, join - int(0.04 * SAMPLE_RATE)), join)
    for low, high, share in zip(edges, edges[1:], BAND_RT60, strict=False):
        band = butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
        shaped = sosfilt(band, noise) * 10 ** (-3 * time / (rt60 * share))
        wanted = np.sqrt((sosfilt(band, early)[:, window] ** 2).mean())
        tail += shaped * wanted / max(1e-12, np.sqrt((shaped[:, window] ** 2).mean()))
    length = min(frames, early.shape[1])
    cross = int(0.03 * SAMPLE_RATE)
    fade_out = np.clip((join - np.arange(length)) / cross + 0.5, 0, 1)
    fade_in = np.clip((np.arange(frames) - join) / cross + 0.5, 0, 1)
    joined = tail * np.sqrt(fade_in)
    joined[:, :length] += early[:, :length] * np.sqrt(fade_out)
    return joined
