"""What is measured: chains of a checkpoint, with and without their conditions, and a General MIDI synthesizer."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile
import torch

from .. import features as ft
from ..dataset import Clip
from ..evaluate_synth import Chain, Setting
from ..render.recipes import Performance
from ..render.soundfont import SoundFontError, find_soundfont

TICKS_PER_SECOND = 4000


@dataclass(frozen=True)
class System:
    """One row of the table."""

    name: str
    setting: Setting | None = None
    """of the checkpoint's chain; None is the truth, or FluidR3"""


TRUTH, FLUID = System("true rendering"), System("FluidR3, fluidsynth")


def chains(steps: int, share: float, diffusion: bool) -> list[System]:
    """The systems of a checkpoint, with a denoiser or without."""
    without = [
        System("true mel, vocoder", Setting("ceiling")),
        System("prior", Setting("prior")),
        System("prior, performance unknown", Setting("prior", performance=False)),
    ]
    if not diffusion:
        return without
    return without + [
        System("prior + diffusion", Setting("diffusion", steps, 1.0, share)),
        System("prior + diffusion, guided 1.25", Setting("diffusion", steps, 1.25, share)),
        System("prior + diffusion, performance unknown", Setting("diffusion", steps, 1.0, share, performance=False)),
    ]


def sound_of(chain: Chain, parts: list[Clip], setting: Setting, seed: int) -> np.ndarray:
    """Mix float32 [2, samples] of all parts, cut at both ends as `Chain.audio` cuts."""
    mix = None
    for number, part in enumerate(parts):
        frames = len(part.mel)
        excitation = torch.from_numpy(ft.excitation_spectrum(part.roll.astype(np.float32), 0))[None]
        mel = chain.mel(part, frames, setting, seed + number)
        audio = chain.audio(mel, part, excitation, seed + number)
        mix = audio if mix is None else mix + audio
    return mix


def general_midi(
    performance: Performance, parts: list[Clip], instruments: list[str], soundfonts: list[Path]
) -> np.ndarray:
    """The parts by FluidR3 through fluidsynth as it comes, with its own reverberation: float32 [2, samples]."""
    font = find_soundfont("FluidR3_GM", soundfonts)
    midi = mido.MidiFile(ticks_per_beat=TICKS_PER_SECOND)
    for channel, part in enumerate(parts):
        program = performance.player(instruments[part.instrument]).instrument.program
        track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
        track.append(mido.Message("program_change", program=program, channel=channel))
        events = []
        for onset, end, pitch, velocity in part.notes:
            begin = round(onset * TICKS_PER_SECOND)
            events.append((begin, 1, int(pitch), int(velocity)))
            events.append((max(begin + 1, round(end * TICKS_PER_SECOND)), 0, int(pitch), 0))
        now = 0
        for tick, on, pitch, velocity in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=velocity, channel=channel, time=tick - now))
            now = tick
        midi.tracks.append(track)
    samples = parts[0].audio.shape[1]
    with tempfile.TemporaryDirectory(prefix="ripieno-evaluation-") as folder:
        source, sink = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.save(source)
        command = [
            "fluidsynth",
            "-ni",
            "-q",
            "-g",
            "0.5",
            "-r",
            str(ft.SAMPLE_RATE),
            "-F",
            str(sink),
            str(font),
            str(source),
        ]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise SoundFontError("The baseline needs a working fluidsynth (Debian: fluidsynth).") from error
        audio = soundfile.read(sink, dtype="float32", always_2d=True)[0].T
    out = np.zeros((2, samples), np.float32)
    out[:, : min(samples, audio.shape[1])] = audio[:, :samples]
    return out
