"""Renders, measures and reports: the whole evaluation of a checkpoint folder."""

import argparse
import json
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
from .groups import between
from .measures import levelled, loudness_distance
from .stages import group_embeddings, mixed, true_parts
from .summary import Heard, figures
from .systems import FLUID, TRUTH, System, chains, general_midi, sound_of

PICTURES = ft.MODELS / "synth" / "pictures"
SEED = 20261121
DRAWN = [TRUTH.name, FLUID.name, "prior + diffusion"]
"""systems of the map of performances"""


def inner(audio: np.ndarray, parts: list[Clip]) -> np.ndarray:
    """The samples of `audio` [2, samples] that a chain makes whole: first frame to last, less the edges."""
    return audio[:, EDGE : (len(parts[0].mel) - 1) * ft.HOP + 1 - EDGE]


def sound(
    system: System, chain: Chain, parts: list[Clip], performance: Performance, stage: Stage, seed: int
) -> np.ndarray:
    """Audio [2, samples] of one excerpt, without its edges."""
    if system is TRUTH:
        return inner(mixed(parts), parts)
    if system is FLUID:
        return inner(general_midi(performance, parts, catalogue()[1], stage.soundfonts), parts)
    return sound_of(chain, parts, system.setting, seed)


def measured(
    system: System, audio: np.ndarray, parts: list[Clip], musicnn: Path, transcribe: bool
) -> tuple[np.ndarray, dict[str, float]]:
    """Embeddings [n, d] of one excerpt's sound, and its own figures."""
    true = inner(mixed(parts), parts)
    row: dict[str, float] = {}
    if transcribe:
        notes = np.concatenate([part.notes for part in parts])
        notes = notes - np.array([1.0, 1.0, 0.0, 0.0]) * EDGE / ft.SAMPLE_RATE
        row["note_f1"] = note_f1(audio, notes[notes[:, 0] >= 0])
    if system is not TRUTH:
        row["stft_distance"] = stft_distance(levelled(audio, true), true)
        row["loudness_distance"], row["level"] = loudness_distance(audio, true)
    return embed(audio, musicnn), row


def chosen_systems(options: argparse.Namespace, chain: Chain) -> tuple[list[System], dict[str, float]]:
    """The rows of the table, and the sampler's settings."""
    synth = tomllib.loads((ft.MODELS / "manifest.toml").read_text()).get("synth", {})
    steps = options.steps if options.steps is not None else synth.get("default_steps", 4)
    share = options.share if options.share is not None else synth.get("residual_share", 1.0)
    systems = [TRUTH, FLUID, *chains(steps, share, chain.denoiser is not None)]
    systems = [system for system in systems if not any(part in system.name for part in options.without)]
    return systems, {"steps": steps, "share": share}


def run(options: argparse.Namespace) -> None:
    """Measures and writes a result after every work. What is done stays in the work folder, so that a run can go on."""
    started = time.monotonic()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    known = [performances()[name] for name in learned(read(options.checkpoints, "prior")).performances]
    stage = Stage(options.audio_root, [*options.soundfonts, *SOUNDFONT_FOLDERS])
    splits = options.symbolic_root / "splits.csv"
    training, test = (Corpus(options.symbolic_root, splits, split) for split in ("train", "test"))
    musicnn = options.audio_root / "eval" / "MSD_musicnn.onnx"
    groups = group_embeddings(stage, training, known, options.group_excerpts, options.seconds, musicnn, options.work)
    chain = Chain(options.checkpoints, options.denoiser)
    systems, settings = chosen_systems(options, chain)
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
        "picture": f"performances-{options.name}.png",
    }
    for i, piece in enumerate(tqdm(list(excerpts(test, options.pieces, options.seconds, SEED)), desc="works")):
        for j in rng.choice(len(known), options.each, replace=False):
            performance, parts = known[j], None
            for system in systems:
                # The truth and the baseline are measured once for all checkpoints.
                owner = options.name if system.setting else "given"
                file = f"{owner}-{_slug(system.name)}-{options.pieces}x{options.seconds:g}-{i:03d}-{performance.id}.npz"
                kept = options.work / file
                if not kept.exists():
                    parts = parts or true_parts(stage, performance, played(piece, performance, SEED), options.seconds)
                    # All systems share their noise, so that they differ by what they are.
                    audio = sound(system, chain, parts, performance, stage, 1000 * i + 10 * int(j))
                    embeddings, row = measured(system, audio, parts, musicnn, not options.no_notes)
                    np.savez(kept, embeddings=embeddings, figures=json.dumps(row))
                with np.load(kept) as row:
                    one = Heard(performance.id, row["embeddings"], json.loads(str(row["figures"])))
                heard[system.name].append(one)
            stage.close()
        counted = {"works": i + 1, "excerpts": len(heard[TRUTH.name])}
        report({**result, **counted, "systems": {name: figures(rows, groups) for name, rows in heard.items()}})
        if time.monotonic() - started > 60 * options.minutes:
            break
    picture.draw({name: heard[name] for name in DRAWN if name in heard}, PICTURES / result["picture"])


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


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
