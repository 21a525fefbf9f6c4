"""What is measured: chains of a checkpoint, with and without their conditions, and a General MIDI synthesizer."""

import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
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


SHIPPED = "denoiser"
LABELS = {"denoiser": "prior + diffusion", "denoiser_base": "prior + base U-Net", "t5": "prior + T5"}
LABELS |= {"t5_base": "prior + base T5"} | {
    f"distilled_{n}": f"prior + diffusion distilled to {n}" for n in (1, 2, 4, 8)
}
"""what is said of a checkpoint's denoiser in the table"""
ALONE_STEPS = 12
"""steps of a denoiser that has no prior to begin with"""


@dataclass(frozen=True)
class System:
    """One row of the table."""

    name: str
    setting: Setting | None = None
    """of the checkpoint's chain; None is the truth, or FluidR3"""
    denoiser: str = SHIPPED
    """whose"""


TRUTH, FLUID = System("true rendering"), System("FluidR3, fluidsynth")


def label(denoiser: str) -> str:
    """The name of a denoiser's row."""
    alone = denoiser.removesuffix("_alone")
    return LABELS[alone].replace("prior + ", "") + ", without the prior" if alone != denoiser else LABELS[denoiser]


def of_denoiser(denoiser: str, steps: int, share: float) -> list[System]:
    """A denoiser with and without the performance; the shipped one also guided."""
    name = label(denoiser)
    if denoiser.endswith("_alone"):
        steps, share = ALONE_STEPS, 1.0
        name += f", {steps} steps"
    systems = [System(name, Setting("diffusion", steps, 1.0, share), denoiser)]
    if denoiser == SHIPPED:
        systems.append(System(f"{name}, guided 1.25", Setting("diffusion", steps, 1.25, share), denoiser))
    unknown = Setting("diffusion", steps, 1.0, share, performance=False)
    return [*systems, System(f"{name}, performance unknown", unknown, denoiser)]


def chains(steps: int, share: float, denoisers: list[str], reference: int = 0) -> list[System]:
    """The systems of a checkpoint folder; with a `reference` of so many steps, as the published sampler takes them."""
    systems = [
        System("true mel, vocoder", Setting("ceiling")),
        System("prior", Setting("prior")),
        System("prior, performance unknown", Setting("prior", performance=False)),
    ]
    for denoiser in denoisers:
        systems += of_denoiser(denoiser, steps, share)
    if reference:
        setting = Setting("diffusion", reference, 1.0, share, eta=1.0)
        systems.append(System(f"prior + diffusion, {reference} steps, eta 1", setting))
    return systems


class Parts:
    """The parts of an excerpt with their true audio and mel, and the excitation of each."""

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips

    @cached_property
    def excitations(self) -> list[torch.Tensor]:
        """[1, F, BINS] each."""
        return [torch.from_numpy(ft.excitation_spectrum(c.roll.astype(np.float32), 0))[None] for c in self.clips]


def sound_of(chain: Chain, parts: Parts, setting: Setting, seed: int) -> np.ndarray:
    """Mix float32 [2, samples] of all parts, cut at both ends as `Chain.audio` cuts."""
    mix = None
    for number, (clip, excitation) in enumerate(zip(parts.clips, parts.excitations, strict=True)):
        mel = chain.mel(clip, len(clip.mel), setting, seed + number)
        audio = chain.audio(mel, clip, excitation, seed + number)
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
