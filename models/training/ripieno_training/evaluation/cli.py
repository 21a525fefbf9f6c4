"""Commands of the evaluation."""

import argparse
import json
import os
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .. import features as ft
from ..dataset import Clip, catalogue
from ..evaluate_synth import EDGE, Chain
from ..listening import embed, note_f1, stft_distance
from ..render.recipes import Performance, performances
from ..render.renderer import SOUNDFONT_FOLDERS, Stage
from ..render.scores import Corpus
from ..train.checkpoint import learned, read
from . import picture, table
from .excerpts import excerpts, played
from .groups import Gaussian
from .measures import levelled, loudness_distance
from .stages import group_embeddings, mixed, true_parts
from .summary import Heard, figures
from .systems import FLUID, TRUTH, System, chains, general_midi, sound_of

PICTURES = ft.MODELS / "synth" / "pictures"
SEED = 20261121
DRAWN = [TRUTH.name, FLUID.name, "prior + diffusion"]
"""systems of the map of performances"""


def _measured(system: System, audio: np.ndarray, true: np.ndarray, notes: np.ndarray, musicnn: Path, f1: bool) -> tuple:
    """Embeddings of one excerpt's sound, and its own figures."""
    row = {"note_f1": note_f1(audio, notes)} if f1 else {}
    if system is not TRUTH:
        row["stft_distance"] = stft_distance(levelled(audio, true), true)
        row["loudness_distance"], row["level"] = loudness_distance(audio, true)
    return embed(audio, musicnn), row


def _sound(
    system: System, chain: Chain, parts: list[Clip], performance: Performance, stage: Stage, seed: int
) -> np.ndarray:
    """Audio [2, samples] of one excerpt, without its edges."""
    if system is TRUTH:
        return mixed(parts)[:, EDGE:-EDGE]
    if system is FLUID:
        return general_midi(performance, parts, catalogue()[1], stage.soundfonts)[:, EDGE:-EDGE]
    return sound_of(chain, parts, system.setting, seed)


def run(options: argparse.Namespace) -> None:
    """Renders, measures and writes a result. What is done is kept in the work folder, so that a run can go on."""
    started = time.monotonic()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    learnt = learned(read(options.checkpoints, "prior")).performances
    known = [performances()[name] for name in learnt]
    stage = Stage(options.audio_root, [*options.soundfonts, *SOUNDFONT_FOLDERS])
    splits = options.symbolic_root / "splits.csv"
    training, test = (Corpus(options.symbolic_root, splits, split) for split in ("train", "test"))
    musicnn = options.audio_root / "eval" / "MSD_musicnn.onnx"
    groups = group_embeddings(stage, training, known, options.group_excerpts, options.seconds, musicnn, options.work)
    chain = Chain(options.checkpoints, options.denoiser)
    synth = tomllib.loads((ft.MODELS / "manifest.toml").read_text()).get("synth", {})
    steps = options.steps if options.steps is not None else synth.get("default_steps", 4)
    share = options.share if options.share is not None else synth.get("residual_share", 1.0)
    systems = [TRUTH, FLUID, *chains(steps, share, chain.denoiser is not None)]
    systems = [system for system in systems if not any(part in system.name for part in options.without)]
    heard: dict[str, list[Heard]] = {system.name: [] for system in systems}
    rng = np.random.default_rng(SEED)
    pieces = list(excerpts(test, options.pieces, options.seconds, SEED))
    jobs = [(i, j) for i in range(len(pieces)) for j in rng.choice(len(known), options.each, replace=False)]
    done = 0
    for number, (i, j) in enumerate(tqdm(jobs, desc="excerpts")):
        if time.monotonic() - started > 60 * options.minutes:
            break
        done += 1
        performance = known[j]
        played_parts = played(pieces[i], performance, SEED)
        parts = None
        for system in systems:
            # The truth and the baseline are measured once for all checkpoints.
            owner = options.name if system.setting else "given"
            kept = f"{owner}-{_slug(system.name)}-{options.pieces}x{options.seconds:g}-{i:03d}-{performance.id}.npz"
            kept = options.work / kept
            if not kept.exists():
                parts = parts or true_parts(stage, performance, played_parts, options.seconds)
                true = mixed(parts)[:, EDGE:-EDGE]
                notes = np.concatenate([part.notes for part in parts])
                notes = notes - np.array([1.0, 1.0, 0.0, 0.0]) * EDGE / ft.SAMPLE_RATE
                audio = _sound(system, chain, parts, performance, stage, 100 * number)
                measured, row = _measured(system, audio, true, notes[notes[:, 0] >= 0], musicnn, not options.no_notes)
                np.savez(kept, embeddings=measured, figures=json.dumps(row))
            with np.load(kept) as row:
                heard[system.name].append(Heard(performance.id, row["embeddings"], json.loads(str(row["figures"]))))
        stage.close()
    result = {
        "name": options.name,
        "checkpoints": options.title or options.name,
        "works": len({i for i, _ in jobs[:done]}),
        "each": options.each,
        "excerpts": done,
        "seconds": options.seconds,
        "performances": len(known),
        "steps": steps,
        "share": share,
        "group_excerpts": options.group_excerpts,
        "seed": SEED,
        "systems": {name: figures(rows, groups) for name, rows in heard.items()},
    }
    result["picture"] = f"performances-{options.name}.png"
    picture.draw({name: heard[name] for name in DRAWN if name in heard}, PICTURES / result["picture"])
    table.RESULTS.mkdir(parents=True, exist_ok=True)
    file = table.RESULTS / f"evaluation-{options.name}.json"
    file.write_text(json.dumps(_rounded(result), indent=1) + "\n")
    print(file)
    print(table.rows(result))
    if len(groups) > 1:
        print(f"\nFrechet distance of groups to each other: {_between(groups):.1f}")


def _between(groups: dict[str, np.ndarray]) -> float:
    """Mean Frechet distance between different performances' audio."""
    gaussians = [Gaussian.of(group) for group in groups.values()]
    return float(np.mean([a.distance(b) for i, a in enumerate(gaussians) for b in gaussians[:i]]))


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    measure = commands.add_parser("run", help="measure a checkpoint folder")
    audio, symbolic = os.environ.get("RIPIENO_AUDIO_ROOT"), os.environ.get("RIPIENO_SYMBOLIC_ROOT")
    measure.add_argument("--checkpoints", type=Path, required=True)
    measure.add_argument("--denoiser", default="denoiser", help="recipe of the denoiser among the checkpoints")
    measure.add_argument("--work", type=Path, required=True, help="folder for what is done so far")
    measure.add_argument("--name", required=True, help="of the result's file, e.g. tiny-24")
    measure.add_argument("--title", help="what the checkpoints are, for people")
    measure.add_argument("--audio-root", type=Path, default=audio and Path(audio), required=audio is None)
    measure.add_argument("--symbolic-root", type=Path, default=symbolic and Path(symbolic), required=symbolic is None)
    measure.add_argument("--soundfonts", type=Path, action="append", default=[], help="more SoundFont folders")
    measure.add_argument("--pieces", type=int, default=30, help="held-out works")
    measure.add_argument("--each", type=int, default=3, help="random performances of each work")
    measure.add_argument("--seconds", type=float, default=12.0, help="of each work")
    measure.add_argument("--group-excerpts", type=int, default=10, help="training works that stand for a performance")
    measure.add_argument("--minutes", type=float, default=float("inf"), help="begin no excerpt after so long")
    measure.add_argument("--steps", type=int, help="default: the manifest's")
    measure.add_argument("--share", type=float, help="of the residual; default: the manifest's")
    measure.add_argument("--without", nargs="+", default=[], help="leave out systems whose names contain one of these")
    measure.add_argument("--no-notes", action="store_true", help="without transcription")
    measure.add_argument("--threads", type=int, default=1)
    measure.set_defaults(do=run)
    tables = commands.add_parser("table", help="write the section of models/synth/README.md")
    tables.set_defaults(do=lambda _: table.write())
    options = parser.parse_args()
    options.do(options)
