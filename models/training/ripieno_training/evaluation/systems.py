"""What is measured: chains of a checkpoint, with and without their conditions, and a General MIDI synthesizer."""

import subprocess
import tempfile
from collections.abc import Callable
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
from ..train.students import Student

TICKS_PER_SECOND = 4000


SHIPPED = "denoiser"
LABELS = {
    "denoiser": "prior + U-Net",
    "denoiser_base": "prior + base U-Net",
    "t5": "prior + T5",
    "t5_base": "prior + base T5",
}
"""what is said of a checkpoint's denoiser in the table"""
ALONE_STEPS = 12
"""steps of a denoiser that has no prior to begin with"""


@dataclass(frozen=True)
class System:
    """One row of the table."""

    name: str
    setting: Setting | None = None
    """of the checkpoint's chain; None is the truth, FluidR3, or the engine"""
    denoiser: str = SHIPPED
    """whose"""


TRUTH, FLUID, ENGINE = System("true rendering"), System("FluidR3, fluidsynth"), System("ripieno render")


def label(denoiser: str) -> str:
    """The name of a denoiser's row."""
    if student := Student.of(denoiser):
        return f"{LABELS[student.teacher]} {student.way} to {student.steps}"
    alone = denoiser.removesuffix("_alone")
    return LABELS[alone].replace("prior + ", "") + ", without the prior" if alone != denoiser else LABELS[denoiser]


def of_denoiser(denoiser: str, steps: int, share: float) -> list[System]:
    """A denoiser with and without the performance; the shipped one also guided, and by DPM-Solver++.

    A student takes the steps that it was made for.
    """
    name, student = label(denoiser), Student.of(denoiser)
    steps = student.steps if student else steps
    if denoiser.endswith("_alone"):
        steps, share = ALONE_STEPS, 1.0
        name += f", {steps} steps"
    systems = [System(name, Setting("diffusion", steps, 1.0, share), denoiser)]
    if denoiser == SHIPPED:
        systems.append(System(f"{name}, guided 1.25", Setting("diffusion", steps, 1.25, share), denoiser))
        systems.append(System(f"{name}, DPM-Solver++", Setting("diffusion", steps, 1.0, share, solver=True), denoiser))
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
        systems.append(System(f"{LABELS[SHIPPED]}, {reference} steps, eta 1", setting))
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


def written(performance: Performance, parts: list[Clip], instruments: list[str]) -> mido.MidiFile:
    """The parts as a file, a track and a channel each, with their players' programs."""
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
    return midi


def played_by(command: Callable[[str, str], list[str]], midi: mido.MidiFile, samples: int) -> np.ndarray:
    """What a command makes of a file, its arguments by the names of source and sink: float32 [2, samples]."""
    with tempfile.TemporaryDirectory(prefix="ripieno-evaluation-") as folder:
        source, sink = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.save(source)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command(str(source), str(sink)), check=True, **quiet)
        audio = soundfile.read(sink, dtype="float32", always_2d=True)[0].T
    out = np.zeros((2, samples), np.float32)
    out[:, : min(samples, audio.shape[1])] = audio[:, :samples]
    return out


def general_midi(
    performance: Performance, parts: list[Clip], instruments: list[str], soundfonts: list[Path]
) -> np.ndarray:
    """The parts by FluidR3 through fluidsynth as it comes, with its own reverberation: float32 [2, samples]."""
    font, rate = str(find_soundfont("FluidR3_GM", soundfonts)), str(ft.SAMPLE_RATE)

    def command(source: str, sink: str) -> list[str]:
        return ["fluidsynth", "-ni", "-q", "-g", "0.5", "-r", rate, "-F", sink, font, source]

    try:
        return played_by(command, written(performance, parts, instruments), parts[0].audio.shape[1])
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise SoundFontError("The baseline needs a working fluidsynth (Debian: fluidsynth).") from error


def by_engine(performance: Performance, parts: list[Clip], instruments: list[str], ripieno: Path) -> np.ndarray:
    """The parts as the engine plays them, segment by segment, with its own models and steps: float32 [2, samples]."""

    def command(source: str, sink: str) -> list[str]:
        return [str(ripieno), "render", source, "--performance", performance.id, "--ensemble", "tracks", "-o", sink]

    try:
        return played_by(command, written(performance, parts, instruments), parts[0].audio.shape[1])
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"{ripieno} did not render {performance.id}: is it the built `ripieno`?") from error
