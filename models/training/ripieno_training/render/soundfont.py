"""Plays a SoundFont preset through the `fluidsynth` command, dry, with its onset delay taken out.

A SoundFont's samples begin with a lead-in and its envelopes with a delay; both differ by key and velocity.
Each note is therefore rendered by itself, its attack found in the audio and the note laid into the part so
that its sound begins exactly at its onset. fluidsynth renders several hundred times faster than real time, so
this is cheap.
"""

import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

import mido
import numpy as np

from .ensemble import PLAIN, Touch
from .sampler import NOTE_RMS, SAMPLE_RATE, attack_start, shape_edges

TICKS_PER_SECOND = 4000
TAIL_S = 0.5
LONGEST_RELEASE_S = 1.5
BEND_RANGE = 6
"""Semitones of a full pitch bend, as we set it."""
BATCH = 100
"""Notes per call of fluidsynth: bounds memory to about 100 MB."""


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
    """One preset of a SoundFont. `lo` and `hi` are the keys measured, both included."""

    def __init__(self, soundfont: Path, program: int, lo: int, hi: int, bank: int = 0):
        self.soundfont = soundfont
        self.program = program
        self.bank = bank
        self.keys = np.arange(lo, hi + 1)

    def render(self, notes: np.ndarray, frames: int, touch: Touch = PLAIN) -> np.ndarray:
        """Dry audio, float32 [2, frames], of `notes` [n, 4] (onset s, end s, pitch, velocity)."""
        out = np.zeros((2, frames), np.float32)
        notes = notes + np.array([0.0, 0.0, touch.neighbour, 0.0])
        cents = touch.cents - 100 * touch.neighbour
        for first in range(0, len(notes), BATCH):
            self._add(out, notes[first : first + BATCH], cents)
        return out

    def _add(self, out: np.ndarray, notes: np.ndarray, cents: float) -> None:
        leads, release, gain = self._measured
        lead = leads[np.clip(notes[:, 2].astype(int) - self.keys[0], 0, len(leads) - 1)]
        # One note after the other, each with room for its release; held longer by what the cut takes away.
        length = notes[:, 1] - notes[:, 0] + lead
        slots = np.cumsum(np.append(0.0, length + release + 0.05))
        spread = np.stack([slots[:-1], slots[:-1] + length, notes[:, 2], notes[:, 3]], 1)
        audio = self._play(spread, int(slots[-1] * SAMPLE_RATE), cents)
        for index, onset in enumerate(notes[:, 0]):
            sound = audio[:, int(slots[index] * SAMPLE_RATE) : int(slots[index + 1] * SAMPLE_RATE)]
            sound = sound[:, attack_start(sound, SAMPLE_RATE) :] * gain
            shape_edges(sound)
            at = round(onset * SAMPLE_RATE)
            count = min(sound.shape[1], out.shape[1] - at)
            if count > 0:
                out[:, at : at + count] += sound[:, :count]

    @cached_property
    def _measured(self) -> tuple[np.ndarray, float, np.float32]:
        """Onset delay of every key and the release, in seconds, and the gain to `NOTE_RMS` at velocity 90."""
        spacing, held = 1.0 + LONGEST_RELEASE_S, 1.0
        notes = np.array([(i * spacing, i * spacing + held, key, 90) for i, key in enumerate(self.keys)])
        audio = self._play(notes, int(len(notes) * spacing * SAMPLE_RATE))
        leads, levels, releases = [], [], []
        for onset in notes[:, 0]:
            note = audio[:, int(onset * SAMPLE_RATE) : int((onset + spacing) * SAMPLE_RATE)]
            start = attack_start(note, SAMPLE_RATE)
            level = float(np.sqrt((note[:, start + SAMPLE_RATE // 20 : int(held * SAMPLE_RATE)] ** 2).mean()))
            leads.append(start / SAMPLE_RATE)
            levels.append(level)
            tail = np.abs(note[:, int(held * SAMPLE_RATE) :]).max(0)
            audible = np.flatnonzero(tail > level * 1e-3)
            releases.append((audible[-1] if len(audible) else 0) / SAMPLE_RATE)
        level = float(np.median(levels))
        if level == 0.0:
            raise SoundFontError(f"{self.soundfont.name} is silent at program {self.program}.")
        release = min(LONGEST_RELEASE_S, float(np.max(releases)) + 0.05)
        return np.array(leads), release, np.float32(NOTE_RMS / level)

    def _play(self, notes: np.ndarray, frames: int, cents: float = 0.0) -> np.ndarray:
        """float32 [2, frames] as fluidsynth plays it, all of it `cents` higher."""
        events = []
        for onset, end, pitch, velocity in notes:
            begin = max(0, round(onset * TICKS_PER_SECOND))
            stop = max(begin + 1, round(end * TICKS_PER_SECOND))
            events.append((begin, 1, int(pitch), int(velocity)))
            # At one tick a note ends before the same key begins again.
            events.append((stop, 0, int(pitch), 0))
        last = round((frames / SAMPLE_RATE + TAIL_S) * TICKS_PER_SECOND)
        track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
        if self.bank:
            track.append(mido.Message("control_change", control=0, value=self.bank))
        track.append(mido.Message("program_change", program=self.program))
        if cents:
            # Registered parameter 0 is the bend's range.
            for control, value in ((101, 0), (100, 0), (6, BEND_RANGE)):
                track.append(mido.Message("control_change", control=control, value=value))
            track.append(mido.Message("pitchwheel", pitch=round(8192 * cents / (100 * BEND_RANGE))))
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
