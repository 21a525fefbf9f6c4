"""Plays a SoundFont preset through the `fluidsynth` command, dry, with its onset delay taken out.

A SoundFont's samples begin with a lead-in and its envelopes with a delay; both differ by key. Each key is
played once, its attack measured, and every note sent that much earlier, so that the sound of a note crosses
-30 dB of its attack's peak at its onset. What remains is fluidsynth's event grid: 64 samples (1.3 ms).
"""

import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

import mido
import numpy as np

from .sampler import NOTE_RMS, SAMPLE_RATE, attack_start

TICKS_PER_SECOND = 4000
PRE_ROLL_S = 0.5
"""Silence before the first note, for notes that must be sent before time zero."""
TAIL_S = 0.5


class SoundFontError(RuntimeError):
    """fluidsynth or a SoundFont is missing, or fluidsynth failed. The message says which and what to do."""


def find_soundfont(name: str, folders: list[Path]) -> Path:
    """The file `name`.sf2 or `name`.sf3 in `folders` or their sub-folders sf2 and sf3."""
    for folder in folders:
        for candidate in (f"sf2/{name}.sf2", f"{name}.sf2", f"sf3/{name}.sf3", f"{name}.sf3"):
            if (folder / candidate).is_file():
                return folder / candidate
    raise SoundFontError(
        f"SoundFont {name} is in none of {', '.join(map(str, folders))}; install it "
        "(Debian: fluid-soundfont-gm, musescore-general-soundfont-lossless) or name its folder."
    )


class SoundFontInstrument:
    """One preset (bank 0) of a SoundFont. `lo` and `hi` are the keys measured, both included."""

    def __init__(self, soundfont: Path, program: int, lo: int, hi: int):
        self.soundfont = soundfont
        self.program = program
        self.keys = np.arange(lo, hi + 1)

    def render(self, notes: np.ndarray, frames: int) -> np.ndarray:
        """Dry audio, float32 [2, frames], of `notes` [n, 4] (onset s, end s, pitch, velocity)."""
        leads, gain = self._measured
        lead = leads[np.clip(notes[:, 2].astype(int) - self.keys[0], 0, len(leads) - 1)]
        shifted = notes.copy()
        shifted[:, 0] += PRE_ROLL_S - lead
        shifted[:, 1] += PRE_ROLL_S - lead
        skip = int(PRE_ROLL_S * SAMPLE_RATE)
        return gain * self._play(shifted, skip + frames)[:, skip:]

    @cached_property
    def _measured(self) -> tuple[np.ndarray, np.float32]:
        """Onset delay in seconds of every key, and the gain that brings velocity 90 to `NOTE_RMS`."""
        spacing, length = 2.5, 1.0
        notes = np.array(
            [(i * spacing, i * spacing + length, key, 90) for i, key in enumerate(self.keys)], np.float64
        )
        audio = self._play(notes, int(len(notes) * spacing * SAMPLE_RATE))
        leads, levels = [], []
        for onset in notes[:, 0]:
            note = audio[:, int(onset * SAMPLE_RATE) : int((onset + spacing) * SAMPLE_RATE)]
            start = attack_start(note, SAMPLE_RATE, search_s=length)
            steady = note[:, start + int(0.05 * SAMPLE_RATE) : int(length * SAMPLE_RATE)]
            leads.append(start / SAMPLE_RATE)
            levels.append(float(np.sqrt((steady**2).mean())))
        level = float(np.median(levels))
        if level == 0.0:
            raise SoundFontError(f"{self.soundfont.name} is silent at program {self.program}.")
        return np.array(leads), np.float32(NOTE_RMS / level)

    def _play(self, notes: np.ndarray, frames: int) -> np.ndarray:
        """float32 [2, frames] as fluidsynth plays it."""
        events = []
        for onset, end, pitch, velocity in notes:
            begin = max(0, round(onset * TICKS_PER_SECOND))
            stop = max(begin + 1, round(end * TICKS_PER_SECOND))
            events.append((begin, 1, int(pitch), int(velocity)))
            # At one tick a note ends before the same key begins again.
            events.append((stop, 0, int(pitch), 0))
        last = round((frames / SAMPLE_RATE + TAIL_S) * TICKS_PER_SECOND)
        track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
        track.append(mido.Message("program_change", program=self.program))
        now = 0
        for tick, kind, pitch, velocity in sorted(events):
            name = "note_on" if kind else "note_off"
            track.append(mido.Message(name, note=pitch, velocity=velocity, time=tick - now))
            now = tick
        # An event that sounds like nothing keeps fluidsynth rendering to the end.
        track.append(mido.Message("control_change", control=119, value=0, time=max(0, last - now)))
        midi = mido.MidiFile(ticks_per_beat=TICKS_PER_SECOND)
        midi.tracks.append(track)
        with tempfile.TemporaryDirectory(prefix="ripieno-render-") as folder:
            source, sink = Path(folder, "part.mid"), Path(folder, "part.raw")
            midi.save(source)
            command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE)]
            command += ["-o", "synth.dynamic-sample-loading=1", "-O", "float", "-T", "raw", "-F", str(sink)]
            try:
                subprocess.run(
                    [*command, str(self.soundfont), str(source)],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                audio = np.fromfile(sink, "<f4").reshape(-1, 2).T
            except FileNotFoundError as error:
                raise SoundFontError(
                    "The fluidsynth command was not found; install it (Debian: fluidsynth)."
                ) from error
            except subprocess.CalledProcessError as error:
                raise SoundFontError(
                    f"fluidsynth failed on {self.soundfont.name} with exit status {error.returncode}."
                ) from error
        out = np.zeros((2, frames), np.float32)
        count = min(frames, audio.shape[1])
        out[:, :count] = audio[:, :count]
        return out
