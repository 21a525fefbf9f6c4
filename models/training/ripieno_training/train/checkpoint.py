"""Recipes, checkpoints and the networks in them."""

import copy
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from ..diffusion import alpha_bars
from ..networks import Bounded, Denoiser, Prior, Vocoder
from ..vocabulary import Vocabulary, current
from .growth import grown

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {"prior": Prior, "stack": Denoiser, "vocoder": Vocoder}
"""what `kind` in a recipe's `network` means"""


def recipe(name: str) -> dict[str, Any]:
    """The configuration of configs/NAME.yaml, over that of the recipe it is `like`."""
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    if "like" in config:
        return recipe(config.pop("like")) | config
    return config


def network(config: dict[str, Any], vocabulary: Vocabulary) -> nn.Module:
    """A fresh network of a recipe."""
    sizes = dict(config["network"])
    kind = KINDS[sizes.pop("kind")]
    if kind is Vocoder:
        return Vocoder(**sizes)
    performances, instruments = len(vocabulary.performances), len(vocabulary.instruments)
    return kind(performances, instruments, rooms=vocabulary.room_indices, **sizes)


def read(folder: Path, name: str, vocabulary: Vocabulary | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """A network without its weights and its checkpoint, grown to the present vocabulary."""
    vocabulary = vocabulary or current()
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=False)
    # Checkpoints from before recipes said what they build are of the recipe of their name.
    state["config"].setdefault("network", recipe(name)["network"])
    model = network(state["config"], vocabulary)
    return model, grown(state, model, vocabulary)


def load_network(folder: Path, name: str) -> nn.Module:
    """The averaged weights of a checkpoint, ready to use; rooms are folded into performances."""
    model, state = read(folder, name)
    model.load_state_dict(state["average"])
    if "ceiling" in state["kept"]:
        model.ceiling.copy_(state["kept"]["ceiling"])
    fold(model)
    return model.eval()


def fold(model: nn.Module) -> None:
    """Folds the rooms of a network into its performances."""
    if hasattr(model, "players"):
        model.players.fold()


def load_bounded(folder: Path, name: str = "denoiser") -> tuple[Bounded, Tensor]:
    """A denoiser of a folder as it is shipped, and the residual's deviation per band [MEL]."""
    _, state = read(folder, name)
    deviation, bars = state["kept"]["residual_std"], torch.from_numpy(alpha_bars())
    ceiling = load_network(folder, "prior").ceiling
    return Bounded(load_network(folder, name), bars, deviation, ceiling).eval(), deviation


def averaged(model: nn.Module) -> nn.Module:
    """A copy to average the weights in."""
    return copy.deepcopy(model).eval()
