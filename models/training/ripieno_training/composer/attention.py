"""Where the last layer looks (Dong et al. 2023, section 3.4.4).

The mean relative attention of a head at difference k of a field is the share of its attention that notes give to
notes with that difference; its gain is how much more that is than if all notes before were looked at alike.
"""

import math
from pathlib import Path

import matplotlib
import numpy as np
import torch

from . import vocabulary as v
from .corpus import Song
from .data import first_windows
from .model import Composer, turned

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DIFFERENCES = {
    "beat": (v.BEAT, range(0, 17)),
    "position": (v.POSITION, range(-11, 12)),
    "pitch": (v.PITCH, range(-24, 25)),
}
"""Field and the differences shown: of a note from the one it looks at."""


@torch.no_grad()
def weights(model: Composer, events: torch.Tensor) -> torch.Tensor:
    """Attention of the last layer, fp32 [heads, events, events]: who looks (rows) at whom; events int64 [events, 6]."""
    x, angle = model.vectors(events[None])
    for block in model.blocks[:-1]:
        x = block(x, angle)
    block = model.blocks[-1]
    q, k, _ = block.qkv(block.before(x)).unflatten(-1, (3, block.heads, -1)).unbind(2)
    if angle is not None:
        q, k = turned(q, angle), turned(k, angle)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k)[0] / math.sqrt(q.shape[-1])
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -math.inf).softmax(-1)


def relative(model: Composer, songs: list[Song]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean relative attention and its gain, [heads, differences] each, by field."""
    found = {
        name: [np.zeros((model.config["heads"], len(ks))), np.zeros(len(ks))] for name, (_, ks) in DIFFERENCES.items()
    }
    attention, pairs = np.zeros((model.config["heads"], 1)), 0
    for window in first_windows(songs, model.config["window"]):
        given = weights(model, torch.from_numpy(window)).numpy()
        at = np.flatnonzero(window[:, v.TYPE] == v.NOTE)
        given, notes = given[:, at][:, :, at], window[at]
        before = np.tri(len(at), dtype=bool)
        attention += given[:, before].sum(1, keepdims=True)
        pairs += before.sum()
        for name, (field, ks) in DIFFERENCES.items():
            steps = notes[:, None, field] - notes[None, :, field]
            for i, k in enumerate(ks):
                here = before & (steps == k)
                found[name][0][:, i] += given[:, here].sum(1)
                found[name][1][i] += here.sum()
    return {n: (seen / attention, seen / attention - count / pairs) for n, (seen, count) in found.items()}


def draw(model: Composer, songs: list[Song], file: Path) -> dict[str, list[float]]:
    """A picture of both for each field and head. Returns the largest gain of each head and where, by field."""
    found = relative(model, songs)
    figure, axes = plt.subplots(2, len(found), figsize=(14, 6), constrained_layout=True)
    titles = "mean relative attention", "gain over looking at all alike"
    largest = {}
    for column, (name, both) in zip(axes.T, found.items(), strict=True):
        ks = DIFFERENCES[name][1]
        edges = [ks[0] - 0.5, ks[-1] + 0.5, len(both[0]) + 0.5, 0.5]
        for axis, values, title, colours in zip(column, both, titles, ("magma", "RdBu_r"), strict=True):
            bound = np.abs(values).max()
            shades = {"cmap": colours, "vmin": 0 if colours == "magma" else -bound, "vmax": bound}
            shown = axis.imshow(values, aspect="auto", extent=edges, **shades)
            axis.set(xlabel=f"difference of {name}", ylabel="head", title=title, yticks=range(1, len(values) + 1))
            figure.colorbar(shown, ax=axis)
        largest[name] = [(int(ks[row.argmax()]), round(float(row.max()), 4)) for row in both[1]]
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=80)
    plt.close(figure)
    return largest
