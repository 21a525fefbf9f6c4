"""What the transcriber is trained to make small."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .network import Transcriber


class TranscriberLoss:
    """Cross-entropy of onsets, summed and divided by the number of notes, and of who plays each true note.

    While training, notes are looked at up to `jitter` frames from where they begin, as they will be found.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.jitter, self.players = config["jitter"], config["players"]

    def __call__(self, model: Transcriber, batch: dict[str, Tensor]) -> Tensor:
        spectrum = model.spectrum(batch["audio"])
        piece, frame, key, player = batch["notes"].T
        onsets = F.binary_cross_entropy_with_logits(model.onsets(spectrum), batch["onsets"], reduction="sum")
        if model.training and self.jitter:
            frame = frame + torch.randint(-self.jitter, self.jitter + 1, frame.shape, device=frame.device)
            frame = frame.clamp(0, spectrum.shape[2] - 1)
        named = F.cross_entropy(model.players(spectrum, piece, frame, key), player, reduction="sum")
        return (onsets + self.players * named) / max(len(player), 1)
