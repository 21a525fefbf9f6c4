"""`python -m ripieno_training.recordings --out clips`: real recordings with aligned notes, as clips the trainers read.

A recording NAME of the sample pack's `real_violin` is its sound, `NAME.notes.csv` (pitch) and `NAME.align.csv` (start
and end s, of the same rows). Those there are CC BY 3.0: John Garner (BWV 1002) and MinJi Kim (BWV 1003), from the Bach
Violin Dataset; credit both for a network that heard them.

What a clip must be and a recording is not, is measured from its sound (`Listened`): three of the five alignments lie a
second early, players tune above 440 Hz, and the score has one velocity. Without `--performance` nobody in particular
plays: networks learn the sound as a violin by a performance unknown, which is what they fall back on.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from . import features as ft
from .dataset import RECORDED
from .vocabulary import current

FOLDER, INSTRUMENT = "real_violin", "violin"
SOUNDS = (".mp3", ".opus", ".flac", ".ogg", ".wav")
WINDOW, TRANSFORM, STEP_S = 4096, 16384, 0.01
HARMONICS, HIGHEST_HZ = (1, 2, 3, 4), 10_000
LAGS_S, CENTS = (-0.3, 2.0), range(-60, 65, 5)
"""how much later than its alignment a recording may be, and higher than 440 Hz"""
SLOPE_S = 0.04
"""before and after a beginning note, between which its rise is looked for; longer than half a window it has no peak"""
LEVEL_DB, MIDDLE, PER_DB = -26.0, 80.0, 4.5
"""RMS of the note in the middle, its velocity, and velocities per decibel: the sample pack's"""
SOFTEST, LOUDEST = 30, 120
CLIP_S = 30.0


class Listened:
    """A recording [samples] at a rate, as magnitudes by frequency and time."""

    def __init__(self, signal: np.ndarray, rate: int) -> None:
        frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float32), WINDOW)[:: round(STEP_S * rate)]
        window = np.hanning(WINDOW).astype(np.float32)
        self.rate, self.first_s = rate, WINDOW / 2 / rate
        highest = round(HIGHEST_HZ * TRANSFORM / rate)
        # In stretches: padded frames of minutes would be gigabytes. A frequency's frames lie beside one another.
        stretches = (frames[i : i + 1000] * window for i in range(0, len(frames), 1000))
        self.magnitudes = np.concatenate(
            [np.abs(np.fft.rfft(x, TRANSFORM)[:, :highest]).astype(np.float32).T for x in stretches], axis=1
        )

    def loudness(self, pitch: float, frames: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Mean log magnitude, at some frames, of a pitch's first harmonics."""
        bins = np.round(440.0 * 2.0 ** ((pitch - 69) / 12) * np.array(HARMONICS) * TRANSFORM / self.rate).astype(int)
        bins = bins[bins < len(self.magnitudes) - 1]
        heard = [self.magnitudes[b - 1 : b + 2, frames].max(0) for b in bins]
        return np.log(np.stack(heard) + 1e-3).mean(0)

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Frames of times, within the recording."""
        frames = np.round((seconds - self.first_s) / STEP_S).astype(int)
        return np.clip(frames, 0, self.magnitudes.shape[1] - 1)

    def lag(self, notes: np.ndarray) -> float:
        """Seconds by which notes [n, >= 3] (onset s, end s, pitch) begin later than they say.

        Where, on average of all notes that differ from the one before, their own pitch rises most.
        """
        lags = np.arange(*LAGS_S, STEP_S)
        new = np.append(True, np.diff(notes[:, 2]) != 0)
        rises = np.zeros(len(lags))
        for onset, _, pitch, *_ in notes[new]:
            # Not its logarithm, which rises as soon as the window touches the note.
            before, after = (np.exp(self.loudness(pitch, self.at(onset + lags + far))) for far in (-SLOPE_S, SLOPE_S))
            rises += (after - before) / max(before.max(), after.max())
        return float(lags[np.argmax(rises)])

    def tuning(self, notes: np.ndarray) -> int:
        """Cents by which notes sound higher than they are written: where the middles of all are loudest."""
        middles, pitches = self.at(notes[:, :2].mean(1)), np.unique(notes[:, 2])
        loudest = [
            sum(self.loudness(pitch + cents / 100, middles[notes[:, 2] == pitch]).sum() for pitch in pitches)
            for cents in CENTS
        ]
        return CENTS[int(np.argmax(loudest))]


@dataclass
class Recording:
    """A whole recording as a clip's sound and notes are."""

    audio: np.ndarray
    """float32 [2, n] at the synthesizer's rate, A at 440 Hz, its middle note at `LEVEL_DB`"""
    notes: np.ndarray
    """[n, 4]: onset s, end s, pitch, velocity"""


def levels(audio: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """RMS of every note [n] in dB."""
    power = np.concatenate([[0.0], np.cumsum((audio.astype(np.float64) ** 2).mean(0))])
    first, last = (np.clip(np.round(notes[:, i] * ft.SAMPLE_RATE).astype(int), 0, len(power) - 1) for i in (0, 1))
    return 10 * np.log10((power[last] - power[first]) / np.maximum(last - first, 1) + 1e-10)


def read(sound: Path) -> Recording:
    """A recording with its notes where they are heard."""
    audio, rate = soundfile.read(sound, dtype="float32", always_2d=True)
    stem = sound.with_suffix("")
    rows = [np.loadtxt(f"{stem}.{what}.csv", delimiter=",", skiprows=1, ndmin=2) for what in ("align", "notes")]
    notes = np.column_stack([rows[0][:, :2], rows[1][:, 2], np.full(len(rows[0]), MIDDLE)])
    heard = Listened(audio.mean(1), rate)
    notes[:, :2] += heard.lag(notes)
    # Slower by as much as it was tuned too high.
    slower = 2.0 ** (heard.tuning(notes) / 1200)
    notes[:, :2] *= slower
    audio = soxr.resample(audio, rate / slower, ft.SAMPLE_RATE).T
    audio = np.repeat(audio, 2, 0) if len(audio) == 1 else audio[:2]
    notes = notes[(notes[:, 0] >= 0) & (notes[:, 1] <= audio.shape[1] / ft.SAMPLE_RATE)]
    heard_db = levels(audio, notes)
    middle = np.median(heard_db)
    notes[:, 3] = np.clip(np.round(MIDDLE + PER_DB * (heard_db - middle)), SOFTEST, LOUDEST)
    gain = min(10 ** ((LEVEL_DB - middle) / 20), 0.98 / np.abs(audio).max())
    return Recording(audio * np.float32(gain), notes)


def cut(recording: Recording) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clips (audio, notes) of about `CLIP_S`, from the beginning of a note to that of another."""
    starts = [0.0]
    for onset in recording.notes[:, 0]:
        if onset - starts[-1] > CLIP_S:
            starts.append(float(onset))
    clips = []
    for begin, end in zip(starts, [*starts[1:], recording.audio.shape[1] / ft.SAMPLE_RATE], strict=True):
        audio = recording.audio[:, round(begin * ft.SAMPLE_RATE) : round(end * ft.SAMPLE_RATE)]
        # A note that is still heard from before is held from before: its onset lies outside the clip.
        inside = (recording.notes[:, 0] < end) & (recording.notes[:, 1] > begin)
        clips.append((audio, recording.notes[inside] - [begin, begin, 0, 0]))
    return clips


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.recordings", description=__doc__)
    root = os.environ.get("RIPIENO_AUDIO_ROOT")
    parser.add_argument("--audio-root", type=Path, default=root and Path(root), required=root is None)
    parser.add_argument("--out", type=Path, required=True, help="the clips' folder, beside those of the renderer")
    parser.add_argument("--performance", default="", choices=["", *current().performances], help="who plays; nobody")
    options = parser.parse_args()
    folder = options.out / "train" / (options.performance or RECORDED)
    folder.mkdir(parents=True, exist_ok=True)
    for sound in sorted(p for p in (options.audio_root / FOLDER).iterdir() if p.suffix in SOUNDS):
        clips = cut(read(sound))
        for number, (audio, notes) in enumerate(clips):
            file = folder / f"{INSTRUMENT}-{sound.stem}-{number:04d}.npz"
            np.savez(
                file, audio=np.round(audio * 32767).astype(np.int16), notes=notes, instrument=INSTRUMENT,
                performance=options.performance, work=sound.stem,
            )  # fmt: skip
        print(f"{sound.name}: {len(clips)} clips")


if __name__ == "__main__":
    main()
