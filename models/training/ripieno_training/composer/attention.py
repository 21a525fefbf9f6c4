"""Where the last layer looks (Dong et al. 2023, section 3.4.4).

The mean relative attention of a head at difference k of a field is the share of its attention that notes give to
notes with that difference; its gain is how much more that is than if all notes before were looked at alike.
"""

import math
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from . import vocabulary as v
from .corpus import Song
from .data import first_windows
from .graph import OPSET
from .model import Composer

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DIFFERENCES = {
    "beat": (v.BEAT, range(0, 17)),
    "position": (v.POSITION, range(-11, 12)),
    "pitch": (v.PITCH, range(-24, 25)),
}
"""Field and the differences shown: of a note from the one it looks at."""


class Attention(nn.Module):
    """Attention of the last layer: events int64 [1, events, 6] -> fp32 [heads, events, events], row looks at column."""

    def __init__(self, model: Composer) -> None:
        super().__init__()
        self.model = model

    def forward(self, event: Tensor) -> Tensor:
        x, angle = self.model.vectors(event)
        for block in self.model.blocks[:-1]:
            x = block(x, angle)
        block = self.model.blocks[-1]
        q, k, _ = block.queries_keys_values(x, angle)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k)[0] / math.sqrt(q.shape[-1])
        place = torch.ones_like(event[0, :, 0]).cumsum(0)
        later = place[None, :] > place[:, None]
        return (scores - later * 1e9).softmax(-1)


def export(model: Composer, file: Path) -> None:
    """Writes the network with its attention as output, `event` -> `attention`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.ones(1, 16, 6, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Attention(model).eval(), example, str(file), opset_version=OPSET, dynamo=False, input_names=["event"],
            output_names=["attention"], dynamic_axes={"event": {1: "events"}, "attention": {1: "events", 2: "events"}},
        )  # fmt: skip


def relative(file: Path, songs: list[Song], window: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean relative attention and its gain, [heads, differences] each, by field, of an exported network."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    seen = {name: [0.0, np.zeros(len(ks))] for name, (_, ks) in DIFFERENCES.items()}
    attention, pairs = 0.0, 0
    for events in first_windows(songs, window):
        given = session.run(None, {"event": events[None]})[0]
        at = np.flatnonzero(events[:, v.TYPE] == v.NOTE)
        given, notes = given[:, at][:, :, at], events[at]
        before = np.tri(len(at), dtype=bool)
        attention = attention + given[:, before].sum(1, keepdims=True, dtype=np.float64)
        pairs += before.sum()
        for name, (field, ks) in DIFFERENCES.items():
            steps = notes[:, None, field] - notes[None, :, field]
            here = [before & (steps == k) for k in ks]
            seen[name][0] = seen[name][0] + np.stack([given[:, h].sum(1, dtype=np.float64) for h in here], 1)
            seen[name][1] += [h.sum() for h in here]
    return {n: (each / attention, each / attention - count / pairs) for n, (each, count) in seen.items()}


def draw(network: Path, songs: list[Song], window: int, file: Path) -> dict[str, list[float]]:
    """A picture of both for each field and head of an exported network; returns each head's largest gain and where."""
    found = relative(network, songs, window)
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
