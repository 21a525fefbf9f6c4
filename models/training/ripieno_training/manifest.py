"""Writes models into `models/manifest.toml`, the one place that says what each file is."""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from .features import MODELS

MANIFEST = MODELS / "manifest.toml"
PERFORMANCES = MODELS / "synth" / "performances.toml"
UNET = {"name": "unet", "model": "denoiser", "sampler": "ddim"}
"""the denoiser of a manifest that lists none"""
OCCASIONS = ("offline", "live")
"""keys of [synth] that name a denoiser"""


def read(path: Path = MANIFEST) -> dict[str, Any]:
    """The manifest as a dictionary."""
    return tomllib.loads(path.read_text())


def write_synth(values: dict[str, Any], path: Path = MANIFEST) -> None:
    """Merges values into [synth]."""
    manifest = read(path)
    manifest.setdefault("synth", {}).update(values)
    path.write_text(tomli_w.dumps(manifest))


def write_denoiser(entry: dict[str, Any], path: Path = MANIFEST) -> None:
    """Adds or replaces a table [[synth.denoiser]] by its name; `unet` comes first, and plays unless another is chosen.

    `unet` alone needs no table: it is what a manifest has that lists none.
    """
    manifest = read(path)
    synth = manifest.setdefault("synth", {})
    listed = {known["name"]: known for known in [UNET, *synth.get("denoiser", [])]}
    listed[entry["name"]] = entry
    synth["denoiser"] = list(listed.values())
    if synth["denoiser"] == [UNET]:
        del synth["denoiser"]
    path.write_text(tomli_w.dumps(manifest))


def denoisers(path: Path = MANIFEST) -> list[dict[str, Any]]:
    """The tables [[synth.denoiser]] in their order; a manifest that lists none has `unet`, as the engine reads it."""
    return read(path).get("synth", {}).get("denoiser") or [UNET]


def denoiser_for(occasion: str, path: Path = MANIFEST) -> dict[str, Any]:
    """The denoiser that plays `offline` (without a deadline) or `live`: as [synth] names it, or the first."""
    if occasion not in OCCASIONS:
        raise ValueError(f"{occasion} is none of {', '.join(OCCASIONS)}")
    listed = {entry["name"]: entry for entry in denoisers(path)}
    name = read(path).get("synth", {}).get(occasion, next(iter(listed)))
    if name not in listed:
        raise ValueError(f'{path}: {occasion} = "{name}" is none of its denoisers ({", ".join(listed)})')
    return listed[name]


def choose_denoiser(occasion: str, name: str, path: Path = MANIFEST) -> None:
    """Lets a denoiser of the manifest play `offline` or `live`; nothing is written for a name that is not listed."""
    known = [entry["name"] for entry in denoisers(path)]
    if occasion not in OCCASIONS or name not in known:
        raise ValueError(f'"{name}" cannot play {occasion}: the denoisers are {", ".join(known)}')
    write_synth({occasion: name}, path)


def write_model_entry(
    name: str,
    file: Path,
    licence: str,
    made_by: str,
    parameters: int,
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
    figures: dict[str, Any],
    path: Path = MANIFEST,
    more: dict[str, Any] | None = None,
) -> None:
    """Adds or replaces a model's entry. Inputs and outputs: dictionaries of name, shape, type (f32, i64), unit.

    more: further keys of the entry, such as an arranger's `habits` and `beside` (arranger/beside.py).
    """
    manifest = read(path)
    entry = {
        "name": name,
        "file": file.resolve().relative_to(path.parent.resolve()).as_posix(),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "licence": licence,
        "parameters": parameters,
        "made_by": made_by,
        "input": inputs,
        "output": outputs,
        **(more or {}),
        "figures": figures,
    }
    models = [model for model in manifest.get("model", []) if model["name"] != name]
    manifest["model"] = sorted([*models, entry], key=lambda model: model["name"])
    path.write_text(tomli_w.dumps(manifest))


def write_trained(performances: int, instruments: int, path: Path = PERFORMANCES) -> None:
    """Says in performances.toml how many of its entries the exported models know: only these are offered.

    A models folder without the file gets a copy.
    """
    if not path.exists():
        path.write_text(PERFORMANCES.read_text())
    counts = f"[trained]\nperformances = {performances}\ninstruments = {instruments}\n"
    text, found = re.subn(r"\[trained\]\nperformances = \d+\ninstruments = \d+\n", counts, path.read_text())
    if found != 1:
        raise ValueError(f"{path} has no table [trained] of performances and instruments")
    path.write_text(text)


def write_figures(name: str, figures: dict[str, Any], path: Path = MANIFEST) -> None:
    """Merges measured figures into the entry of a model."""
    manifest = read(path)
    for model in manifest["model"]:
        if model["name"] == name:
            model.setdefault("figures", {}).update(figures)
    path.write_text(tomli_w.dumps(manifest))
