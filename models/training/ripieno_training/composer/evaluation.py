"""What a network makes of songs that it never saw."""

import torch
from torch import Tensor

from ..precision import products
from . import vocabulary as v
from .corpus import Song
from .data import first_windows, padded
from .model import Composer, losses

TOGETHER = 8
"""songs of a batch"""


@torch.no_grad()
def held_out(model: Composer, songs: list[Song]) -> dict[str, float]:
    """Negative log-likelihood in nats per event of the songs' first windows, of all fields (`nll`) and of each."""
    model.eval()
    device = next(model.parameters()).device
    total, count = torch.zeros(6, dtype=torch.float64), 0
    windows = sorted(first_windows(songs, model.config["window"]), key=len)
    for at in range(0, len(windows), TOGETHER):
        events, real = (torch.from_numpy(x).to(device) for x in padded(windows[at : at + TOGETHER]))
        with products(device.type):
            total += losses(model, events, real).double().cpu()
        count += int(real[:, 1:].sum())
    return per_event(total, count)


def per_event(total: Tensor, count: int) -> dict[str, float]:
    """Nats of `count` events by field, [6] -> of one event, of all fields (`nll`) and of each."""
    each = (total / count).tolist()
    return {"nll": round(sum(each), 4)} | {name: round(x, 4) for name, x in zip(v.FIELDS, each, strict=True)}
