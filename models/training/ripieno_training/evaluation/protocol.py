"""Renders, measures and reports: the whole evaluation of a checkpoint folder."""

import argparse
import json
import time
import tomllib
from functools import cache, partial

import numpy as np
import torch
from tqdm import tqdm

from .. import features as ft
from ..evaluate_synth import Chain
from ..render.recipes import performances
from ..render.renderer import SOUNDFONT_FOLDERS, Stage
from ..render.scores import Corpus
from ..train.checkpoint import learned, read
from ..transcriber.decode import Listener
from . import picture, table
from .bench import Bench
from .excerpts import SEED, excerpts
from .groups import between
from .judge import Judge
from .piano import pianist
from .stages import group_embeddings
from .summary import Heard, figures
from .systems import ENGINE, FLUID, LABELS, SHIPPED, TRUTH, System, chains

DRAWN = [TRUTH.name, FLUID.name, LABELS[SHIPPED]]
"""systems of the map of performances"""


def chosen_systems(options: argparse.Namespace) -> tuple[list[System], dict[str, float]]:
    """The rows of the table, and the sampler's settings."""
    synth = tomllib.loads((ft.MODELS / "manifest.toml").read_text()).get("synth", {})
    steps = options.steps if options.steps is not None else synth.get("default_steps", 4)
    share = options.share if options.share is not None else synth.get("residual_share", 1.0)
    there = [name for name in options.denoisers if (options.checkpoints / f"{name}.pt").exists()]
    engine = [ENGINE] if options.engine else []
    systems = [FLUID, *chains(steps, share, there, options.reference), *engine]
    systems = [system for system in systems if not any(part in system.name for part in options.without)]
    if options.only:
        systems = [system for system in systems if system.name in options.only]
    return [TRUTH, *systems], {"steps": steps, "share": share}


def run(options: argparse.Namespace) -> None:
    """Measures and writes a result after every work. What is done stays in the work folder, so that a run can go on."""
    started = time.monotonic()
    if options.piano:
        # What is missing is said before hours of rendering.
        pianist()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    known = [performances()[name] for name in learned(read(options.checkpoints, "prior")).performances]
    stage = Stage(options.audio_root, [*options.soundfonts, *SOUNDFONT_FOLDERS])
    splits = options.symbolic_root / "splits.csv"
    training, test = (Corpus(options.symbolic_root, splits, split) for split in ("train", "test"))
    judge = Judge(
        options.audio_root / "eval" / "MSD_musicnn.onnx",
        not options.no_notes,
        Listener(options.transcriber) if options.transcriber else None,
        options.piano,
    )
    groups = group_embeddings(
        stage, training, known, options.group_excerpts, options.seconds, judge.musicnn, options.work
    )
    chain_of = cache(partial(Chain, options.checkpoints))
    systems, settings = chosen_systems(options)
    heard: dict[str, list[Heard]] = {system.name: [] for system in systems}
    rng = np.random.default_rng(SEED)
    result = {
        "name": options.name,
        "checkpoints": options.title or options.name,
        "each": options.each,
        "seconds": options.seconds,
        "performances": len(known),
        **settings,
        "group_excerpts": options.group_excerpts,
        "seed": SEED,
        "between_groups": between(groups),
        "picture": f"performances-{options.name}.png" if not options.only else "",
    }
    pieces = list(excerpts(test, options.pieces, options.seconds, SEED))
    for i, piece in enumerate(tqdm(pieces[: options.works], desc="works", mininterval=30)):
        for j in rng.choice(len(known), options.each, replace=False):
            bench = Bench(options, stage, i, piece, known[j])
            for system in systems:
                chain = chain_of(system.denoiser) if system.setting else None
                heard[system.name].append(bench.heard(system, chain, judge))
            stage.close()
        counted = {"works": i + 1, "excerpts": len(heard[TRUTH.name])}
        report({**result, **counted, "systems": {name: figures(rows, groups) for name, rows in heard.items()}})
        if time.monotonic() - started > 60 * options.minutes:
            break
    if result["picture"]:
        picture.draw({name: heard[name] for name in DRAWN if name in heard}, table.RESULTS / result["picture"])


def report(result: dict) -> None:
    """Writes a result and shows its table."""
    table.RESULTS.mkdir(parents=True, exist_ok=True)
    file = table.RESULTS / f"evaluation-{result['name']}.json"
    file.write_text(json.dumps(_rounded(result), indent=1) + "\n")
    print(f"\n{file}\n{table.rows(result)}", flush=True)


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
