"""Recipes, checkpoints and the networks in them."""

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from ..diffusion import alpha_bars
from ..networks import T5, Players, Prior, UNet, Vocoder, bounded
from ..transcriber.network import Transcriber
from ..vocabulary import Vocabulary, current
from .growth import grown, known

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {
    "prior": Prior,
    "unet": UNet,
    "t5": T5,
    "vocoder": Vocoder,
    "transcriber": Transcriber,
}
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
    if kind is Transcriber:
        return Transcriber(instruments, **sizes)
    return kind(performances, instruments, rooms=vocabulary.room_indices, **sizes)


def read(folder: Path, name: str) -> dict[str, Any]:
    """A checkpoint as it was written."""
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=False)
    # Checkpoints from before recipes said what they build are of the recipe of their name.
    if "network" not in state["config"]:
        state["config"]["network"] = recipe(name)["network"]
    return state


def learned(state: dict[str, Any]) -> Vocabulary:
    """Whom a checkpoint has heard."""
    return known(state, current())


def averaged(state: dict[str, Any], vocabulary: Vocabulary | None = None) -> nn.Module:
    """The averaged weights of a checkpoint, ready to use; rooms are folded into performances.

    For another vocabulary than its own its tables grow, which is right for whom it knows.
    """
    vocabulary = vocabulary or current()
    model = network(state["config"], vocabulary)
    state = grown(state, model, vocabulary)
    model.load_state_dict(state["average"])
    if "ceiling" in state["kept"]:
        model.ceiling.copy_(state["kept"]["ceiling"])
    for part in model.modules():
        if isinstance(part, Players):
            part.fold()
    return model.eval()


def load_network(folder: Path, name: str, vocabulary: Vocabulary | None = None) -> nn.Module:
    """A network of a folder, for today's vocabulary or another."""
    return averaged(read(folder, name), vocabulary)


def load_bounded(
    folder: Path, name: str = "denoiser", vocabulary: Vocabulary | None = None
) -> tuple[nn.Module, Tensor]:
    """A denoiser of a folder as it is shipped, and the residual's deviation per band [MEL]."""
    state, bars = read(folder, name), torch.from_numpy(alpha_bars())
    ceiling, deviation = load_network(folder, "prior", vocabulary).ceiling, state["kept"]["residual_std"]
    model = averaged(state, vocabulary)
    return bounded(model, bars, deviation, ceiling, state["config"].get("predicts", "v")).eval(), deviation
