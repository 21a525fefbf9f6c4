"""A vocoder against judges, beside the distance of spectra as before."""

from typing import Any

import torch
from torch import Tensor, nn

from ..networks.discriminators import Judges
from .adversary import Adversary
from .losses import VocoderLoss, heard


class AdversarialLoss(VocoderLoss):
    """The distance of spectra, and judges of sound. Averaged weights are only measured."""

    def __init__(self, config: dict[str, Any], kept: dict[str, Any], device: torch.device) -> None:
        super().__init__(config)
        recipe = config["adversary"]
        judges = Judges(**{key: recipe[key] for key in ("periods", "windows", "width")}).to(device)
        self.weight, self.adversary = recipe["distance"], Adversary(judges, recipe, kept)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        ours, true = heard(model, batch)
        distance = self.distance(ours, true)
        return self.weight * distance + self.adversary(ours, true) if model.training else distance
