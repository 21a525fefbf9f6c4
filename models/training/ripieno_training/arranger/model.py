"""The network: MODELS.md section 1, an online LSTM of three layers with a LayerNorm after each."""

import math

import torch
from torch import Tensor, nn

from .data import LAST_BEAT, PARTS, TICKS

LAYERS = 3
WIDTH = 128
EMBEDDING = 16
PITCHES = 129
"""128 MIDI pitches and the padding"""


def sinusoids(count: int, width: int) -> Tensor:
    """Fixed sinusoidal table [count, width] (Vaswani et al. 2017, section 3.5)."""
    place = torch.arange(count, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=-1).reshape(count, width).float()


def frequencies() -> Tensor:
    """Frequency of each pitch id as a fraction of the highest one's, [PITCHES, 1]; 0 for the padding."""
    pitch = torch.arange(128, dtype=torch.float64)
    hertz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    return torch.cat([torch.zeros(1), (hertz / hertz.max()).float()])[:, None]


class Arranger(nn.Module):
    """Notes so far -> a logit per part for the newest, with the state carried by the caller."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.pitch = nn.Embedding(PITCHES, EMBEDDING)
        self.position = nn.Embedding(TICKS, EMBEDDING)
        self.register_buffer("beat", sinusoids(LAST_BEAT + 1, EMBEDDING), persistent=False)
        self.register_buffer("frequency", frequencies(), persistent=False)
        widths = [3 * EMBEDDING + 1, *[WIDTH] * (LAYERS - 1)]
        self.layers = nn.ModuleList(nn.LSTM(width, WIDTH, batch_first=False) for width in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in widths)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(WIDTH, len(PARTS) + 1)

    def forward(
        self, pitch: Tensor, beat: Tensor, position: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """pitch, beat, position int64 [B, T]; h, c [LAYERS, B, WIDTH] -> logits [B, T, parts + 1], h, c."""
        tables = self.pitch(pitch), self.beat[beat], self.position(position), self.frequency[pitch]
        x = torch.cat(tables, dim=-1).transpose(0, 1)
        hidden, cell = [], []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x, (last_h, last_c) = layer(x, (h[i : i + 1], c[i : i + 1]))
            x = self.dropout(norm(x))
            hidden.append(last_h)
            cell.append(last_c)
        return self.out(x).transpose(0, 1), torch.cat(hidden), torch.cat(cell)


def rest(batch: int) -> tuple[Tensor, Tensor]:
    """The state before the first note."""
    return torch.zeros(LAYERS, batch, WIDTH), torch.zeros(LAYERS, batch, WIDTH)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
