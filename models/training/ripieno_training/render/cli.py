"""Commands of the data renderer.

    python -m ripieno_training.render --out DIR --minutes-per-pair 7 --split train
    python -m ripieno_training.render --out DIR --minutes-per-pair 3 0.8 0.8 --split train valid test
    python -m ripieno_training.render piece --midi parts.mid --performance string-quartet-hall -o out.wav

The sample pack and the unpacked symbolic sets are named by --audio-root and --symbolic-root, or by the
environment variables RIPIENO_AUDIO_ROOT and RIPIENO_SYMBOLIC_ROOT.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from .piece import render_piece
from .recipes import Performance, pairs, performances
from .renderer import SOUNDFONT_FOLDERS, SPLITS, Stage
from .sampler import SAMPLE_RATE
from .scores import Corpus


@dataclass(frozen=True)
class Job:
    """The clips of one (performance, instrument) pair still to be made."""

    pair: int
    options: argparse.Namespace


def _length_s(path: Path) -> float:
    """Seconds of a finished clip, from its size: the audio dominates, 4 bytes a frame."""
    return path.stat().st_size / 4 / SAMPLE_RATE


def _processor_s() -> float:
    """Seconds of processor time of this process and of the fluidsynth it has waited for."""
    return sum(os.times()[:4])


def minutes_of(options: argparse.Namespace, performance: Performance) -> list[float]:
    """What a player of a performance has to play in each split: one who is alone has its minutes to himself."""
    shares = [minutes / len(performance.players) for minutes in options.minutes_per_performance]
    return [max(pair) for pair in zip(options.minutes_per_pair, shares, strict=True)]


def _render_pair(job: Job) -> tuple[str, float, float]:
    """Renders a pair's missing clips; its name, the seconds of audio made and of processor time it took."""
    options = job.options
    performance, player = pairs()[job.pair]
    stage = Stage(options.audio_root, [*options.soundfonts, *SOUNDFONT_FOLDERS])
    started, made = _processor_s(), 0.0
    for split, minutes in zip(options.split, minutes_of(options, performance), strict=True):
        corpus = Corpus(options.symbolic_root, options.splits, split)
        folder = options.out / split / performance.id
        total, number = 0.0, 0
        while total < 60 * minutes:
            path = folder / f"{player.instrument.id}-{number:04d}.npz"
            if not path.exists():
                clip = stage.clip(performance, player, corpus, split, options.seed, number)
                clip.save(path)
                made += clip.audio.shape[1] / SAMPLE_RATE
            total += _length_s(path)
            number += 1
    return f"{performance.id}/{player.instrument.id}", made, _processor_s() - started


def render_clips(options: argparse.Namespace) -> None:
    jobs = [Job(pair, options) for pair in range(len(pairs()))]
    jobs = [job for job in jobs if options.only is None or pairs()[job.pair][0].id in options.only]
    seconds, cost = 0.0, 0.0
    with contextlib.ExitStack() as cleanup:
        rendered = map(_render_pair, jobs)
        if options.processes > 1:
            # A process a pair: opened instruments hold a few hundred MB each.
            pool = cleanup.enter_context(
                multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1)
            )
            rendered = pool.imap_unordered(_render_pair, jobs)
        bar = tqdm(rendered, total=len(jobs), unit="pair", smoothing=0)
        for name, made, took in bar:
            seconds, cost = seconds + made, cost + took
            bar.set_postfix_str(
                f"{name}, {seconds / 60:.1f} min made, {seconds / max(cost, 1e-9):.0f} x real time a core"
            )


def render_midi(options: argparse.Namespace) -> None:
    stage = Stage(options.audio_root, [*options.soundfonts, *SOUNDFONT_FOLDERS])
    players = {}
    for entry in filter(None, (options.ensemble_map or "").split(",")):
        track, _, instrument = entry.partition(":")
        players[int(track)] = instrument
    piece = render_piece(
        stage,
        options.midi,
        performances()[options.performance],
        players,
        seed=None if options.exact else options.seed,
    )
    for notice in piece.notices:
        print(notice, file=sys.stderr)
    _write(options.output, piece.mix())
    if options.stems is not None:
        options.stems.mkdir(parents=True, exist_ok=True)
        for index, stem in enumerate(piece.stems):
            _write(options.stems / f"{index + 1}-{stem.instrument}.wav", stem.audio)


def _write(path: Path, audio: np.ndarray) -> None:
    """Writes `audio` [2, n]: WAV in float, so that the sum of the stems is the mix, others as is usual."""
    subtype = "FLOAT" if path.suffix.lower() == ".wav" else None
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, channels=2, subtype=subtype) as file:
        # In blocks: libsndfile's Vorbis encoder overflows the stack on writes of minutes.
        for first in range(0, audio.shape[1], SAMPLE_RATE):
            file.write(audio[:, first : first + SAMPLE_RATE].T)


def _folder(variable: str) -> Path | None:
    return Path(os.environ[variable]) if variable in os.environ else None


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--audio-root", type=Path, default=_folder("RIPIENO_AUDIO_ROOT"), help="sample pack")
    parser.add_argument("--soundfonts", type=Path, action="append", default=[], help="more SoundFont folders")
    parser.add_argument("--seed", type=int, default=0)


def parser() -> argparse.ArgumentParser:
    if len(sys.argv) > 1 and sys.argv[1] == "piece":
        piece = argparse.ArgumentParser(prog="render piece", description="Render a MIDI file, a part a track.")
        piece.add_argument("piece", choices=["piece"], help=argparse.SUPPRESS)
        _add_sources(piece)
        piece.add_argument("--midi", type=Path, required=True)
        piece.add_argument("--performance", required=True, choices=list(performances()))
        piece.add_argument("--ensemble-map", help="track:instrument,... (default: by program, else by height)")
        piece.add_argument("--exact", action="store_true", help="play the file's notes without habits")
        piece.add_argument("-o", "--output", type=Path, required=True)
        piece.add_argument("--stems", type=Path, help="folder for one float WAV per part; their sum is the mix")
        piece.set_defaults(run=render_midi)
        return piece
    clips = argparse.ArgumentParser(prog="render", description=__doc__.splitlines()[0])
    _add_sources(clips)
    symbolic = _folder("RIPIENO_SYMBOLIC_ROOT")
    clips.add_argument("--symbolic-root", type=Path, default=symbolic, help="the unpacked score sets")
    clips.add_argument("--splits", type=Path, help="default: splits.csv in the symbolic root")
    clips.add_argument("--out", type=Path, required=True)
    clips.add_argument("--minutes-per-pair", type=float, nargs="+", default=[7.0], help="of every split, or of each")
    clips.add_argument(
        "--minutes-per-performance", type=float, nargs="+", default=[0.0], help="at least, shared by its players"
    )
    clips.add_argument("--split", choices=SPLITS, nargs="+", default=["train"])
    clips.add_argument("--processes", type=int, default=2)
    clips.add_argument("--only", nargs="+", action="extend", choices=list(performances()), help="these performances")
    clips.set_defaults(run=render_clips)
    return clips


def main() -> None:
    command = parser()
    options = command.parse_args()
    if options.audio_root is None:
        command.error("name the sample pack: --audio-root or RIPIENO_AUDIO_ROOT")
    if options.run is render_clips:
        if options.symbolic_root is None:
            command.error("name the score sets: --symbolic-root or RIPIENO_SYMBOLIC_ROOT")
        for name in ("minutes_per_pair", "minutes_per_performance"):
            minutes = getattr(options, name)
            if len(minutes) == 1:
                minutes *= len(options.split)
            if len(minutes) != len(options.split):
                command.error(f"give --{name.replace('_', '-')} once, or once for each --split")
        options.splits = options.splits or options.symbolic_root / "splits.csv"
    options.run(options)
