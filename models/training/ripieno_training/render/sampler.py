"""Plays a recorded instrument: a folder of OGG samples and the JSON that maps keys and velocities to them.

`SampledInstrument.render` returns dry stereo audio at `SAMPLE_RATE`, sample-accurate: nothing of a note
sounds before its onset, and its recording begins where the ear hears it begin (`ATTACK_LEVEL`).
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
import soundfile

from .ensemble import PLAIN, Touch

SAMPLE_RATE = 48_000
"""Hz, of everything this package writes."""

ATTACK_LEVEL = 10 ** (-16 / 20)
"""A note begins where its envelope reaches this share of its attack's peak; what comes before is cut.

Vos and Rasch (1981) place the perceived onset of a tone 6 to 15 dB below its maximum. Slow bows and choirs
take 100 ms from their first sound to there: labelled by the first sound, an ensemble would play late.
"""

TAPS = 16
PHASES = 512
FADE_IN_S = 0.005
FADE_OUT_S = 0.03
NOTE_RMS = 10 ** (-26 / 20)
"""RMS of a note of velocity 90 between 50 ms and 1 s after its onset, in every instrument."""
LOOPED_S = 8.0
"""A looped sample is unrolled to this many seconds at first; longer notes unroll it further."""


def _sinc_table() -> np.ndarray:
    """Kaiser-windowed sinc, shape [PHASES + 1, TAPS]: row p interpolates p/PHASES after the middle tap."""
    offsets = np.arange(TAPS) - (TAPS // 2 - 1)
    fractions = np.arange(PHASES + 1)[:, None] / PHASES
    distance = offsets[None, :] - fractions
    window = np.i0(8.0 * np.sqrt(np.clip(1.0 - (distance / (TAPS / 2)) ** 2, 0.0, 1.0))) / np.i0(8.0)
    table = np.sinc(distance) * window
    return (table / table.sum(1, keepdims=True)).astype(np.float32)


SINC = _sinc_table()


@numba.njit(cache=True, fastmath=True)
def _add_note(out, begin, samples, start, ratio, count, table, fade, held, decay, gain):
    """Adds `count` frames of `samples` [channels, n], read from `start` in steps of `ratio`, to `out` [2, n].

    The first `fade` frames fade in; after `held` frames every frame is `decay` times the one before.
    """
    channels, length = samples.shape
    taps = table.shape[1]
    phases = table.shape[0] - 1
    level = gain
    for frame in range(count):
        at = begin + frame
        if at >= out.shape[1]:
            break
        if frame >= held:
            level *= decay
            if level < gain * 1e-5:
                break
        position = start + frame * ratio
        whole = int(position)
        first = whole - (taps // 2 - 1)
        if first + taps > length:
            break
        row = int((position - whole) * phases + 0.5)
        scale = level * ((frame + 1) / fade if frame < fade else 1.0)
        left = np.float32(0.0)
        right = np.float32(0.0)
        for tap in range(taps):
            index = first + tap
            if index >= 0:
                weight = table[row, tap]
                left += weight * samples[0, index]
                if channels == 2:
                    right += weight * samples[1, index]
        if at >= 0:
            out[0, at] += scale * left
            out[1, at] += scale * (right if channels == 2 else left)


def attack_start(audio: np.ndarray, rate: float, search_s: float = 0.3) -> int:
    """Frame at which the attack in `audio` [channels, frames] reaches `ATTACK_LEVEL` of its peak.

    The envelope is the 2 ms running RMS; the peak is sought in the first `search_s` seconds.
    """
    power = (audio[:, : int(search_s * rate)].astype(np.float64) ** 2).mean(0)
    width = max(1, int(0.002 * rate))
    running = np.convolve(power, np.ones(width) / width)[: len(power)]
    above = np.flatnonzero(running > running.max() * ATTACK_LEVEL**2)
    # The running window looks back: a crossing at its end began at most `width` frames before.
    return max(0, int(above[0]) - width // 2) if len(above) and running.max() > 0 else 0


def shape_edges(sound: np.ndarray) -> None:
    """Fades `sound` [channels, frames] in over `FADE_IN_S` and out over `FADE_OUT_S`, in place."""
    for seconds, part in ((FADE_IN_S, sound), (FADE_OUT_S, sound[:, ::-1])):
        count = min(int(seconds * SAMPLE_RATE), sound.shape[1])
        part[:, :count] *= np.sin(0.5 * np.pi * np.arange(1, count + 1) / count).astype(np.float32) ** 2


@dataclass
class Region:
    """One recording and the keys and velocities (both included) that play it."""

    path: Path
    lokey: int
    hikey: int
    lovel: int
    hivel: int
    root: float
    volume: float
    rate: int
    loop: tuple[int, int] | None

    @cached_property
    def recording(self) -> np.ndarray:
        """float32 [channels, frames] at `self.rate`, read once."""
        return np.ascontiguousarray(soundfile.read(self.path, dtype="float32", always_2d=True)[0].T)

    @cached_property
    def start(self) -> int:
        return attack_start(self.recording, self.rate)

    def unrolled(self, frames: int) -> np.ndarray:
        """The recording, its loop repeated until it is at least `frames` long (if it has a loop)."""
        if self.loop is None:
            return self.recording
        have = self.__dict__.get("_unrolled")
        if have is None or have.shape[1] < frames:
            first, last = self.loop[0], self.loop[1] + 1
            wanted = max(frames, int(LOOPED_S * self.rate))
            repeats = max(1, -(-(wanted - first) // (last - first)))
            have = np.concatenate([self.recording[:, :first], np.tile(self.recording[:, first:last], (1, repeats))], 1)
            self.__dict__["_unrolled"] = have
        return have


class SampledInstrument:
    """An instrument of the sample pack, `root/<name>/<name>.json`."""

    def __init__(self, root: Path, name: str):
        folder = Path(root) / name
        with open(folder / f"{name}.json", encoding="utf-8") as file:
            sheet = json.load(file)
        self.release_s = float(sheet["release"])
        self.decays = bool(sheet["decay"])
        self._levels: dict[int, float] = {}
        self.velocity_track = sheet["amp_veltrack"] / 100
        self.regions = [
            Region(
                path=folder / region["file"],
                lokey=region["lokey"],
                hikey=region["hikey"],
                lovel=region["lovel"],
                hivel=region["hivel"],
                root=region["root"] - region["tune"] / 100,
                volume=region["volume"],
                rate=region["sr"],
                loop=(region["loop_start"], region["loop_end"]) if "loop_start" in region else None,
            )
            for region in sheet["regions"]
            if "noise" not in Path(region["src"]).name
        ]

    def region(self, pitch: int, velocity: int) -> Region:
        """The recording for a key; where no key range holds it, the nearest root."""
        keys = [r for r in self.regions if r.lokey <= pitch <= r.hikey]
        if not keys:
            nearest = min(abs(r.root - pitch) for r in self.regions)
            keys = [r for r in self.regions if abs(r.root - pitch) == nearest]
        return min(keys, key=lambda r: max(r.lovel - velocity, velocity - r.hivel, 0))

    def _velocity_gain(self, region: Region, velocity: float) -> float:
        amount = 1 - self.velocity_track + self.velocity_track * (velocity / 127) ** 2
        return 10 ** (region.volume / 20) * amount

    def _levelling(self, pitch: int) -> float:
        """Gain that brings a sustained key to `NOTE_RMS`; 1 where notes decay, which they do by nature.

        Libraries leave single keys of one instrument up to 24 dB apart. All velocity layers of a key get the
        gain of velocity 90, so that the steps between them stay.
        """
        if self.decays:
            return 1.0
        if pitch not in self._levels:
            region = self.region(pitch, 90)
            begin = region.start + int(0.05 * region.rate)
            steady = region.unrolled(region.start + region.rate)[:, begin : region.start + region.rate]
            level = float(np.sqrt((steady.astype(np.float64) ** 2).mean())) * self._velocity_gain(region, 90)
            self._levels[pitch] = float(np.clip(NOTE_RMS / max(level, 1e-9), 0.2, 5.0))
        return self._levels[pitch]

    def render(self, notes: np.ndarray, frames: int, touch: Touch = PLAIN) -> np.ndarray:
        """Dry audio, float32 [2, frames], of `notes` [n, 4] (onset s, end s, pitch, velocity)."""
        out = np.zeros((2, frames), np.float32)
        # Five time constants of the release: the tail ends below -90 dB.
        tail = self.release_s / 4.6
        decay = float(np.exp(-1.0 / (tail * SAMPLE_RATE)))
        for onset, end, pitch, velocity in notes:
            key = int(pitch) + touch.neighbour
            region = self.region(key, int(velocity))
            ratio = 2.0 ** ((pitch + touch.cents / 100 - region.root) / 12) * region.rate / SAMPLE_RATE
            held = max(1, round((end - onset) * SAMPLE_RATE))
            count = held + int(10 * tail * SAMPLE_RATE)
            samples = region.unrolled(region.start + int(count * ratio) + TAPS + 1)
            _add_note(
                out,
                round(onset * SAMPLE_RATE),
                samples,
                float(region.start),
                ratio,
                count,
                SINC,
                FADE_IN_S * SAMPLE_RATE,
                held,
                decay,
                self._velocity_gain(region, velocity) * self._levelling(key),
            )
        return out
