"""The encoder-decoder denoiser, after T5 (Raffel et al. 2020) and Hawthorne et al. 2022. A token is two frames.

The encoder reads the notes and who plays them, once per segment; the decoder reads that at every sampling step. FiLM
stands on the normalised inputs of self-attention and of the MLP, and both sequences run in step: the cross-attention
knows the distance of its two ends, too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import features as ft
from .attention import Attention, Distance
from .blocks import gelu
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, OUT_OF_REACH, ROLL, Excitation, Players, Time, scaled
from .wiener import Wiener

ASIDE = 1 + ft.BANDS
"""channels of the memory that are no memory: `notes_on`, and the ceiling of the players"""
KERNEL = 7
STEP_SLOPE = 1.0
"""how much less a token is heard at first for each token that it is farther away in the other sequence"""


class Film(nn.Module):
    """FiLM on normalised x [B, n, width] by a condition [B, c]."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(condition, 2 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, None].chunk(2, -1)
        return self.norm(x) * (1.0 + scale) + shift


class Mlp(nn.Module):
    """Gated GELU (Shazeer 2020); begins by adding nothing."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * hidden, bias=False)
        self.leave = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.enter(x).chunk(2, -1)
        return self.leave(gelu(gate, self.training) * value)


class Layer(nn.Module):
    """Self-attention, cross-attention where there is a memory, MLP; each added to x."""

    def __init__(self, width: int, heads: int, hidden: int, condition: int, memory: int = 0) -> None:
        super().__init__()
        self.before_self, self.self_attention = Film(width, condition), Attention(width, heads)
        self.before_cross = nn.LayerNorm(width) if memory else None
        self.cross_attention = Attention(width, heads, memory) if memory else None
        self.before_mlp, self.mlp = Film(width, condition), Mlp(width, hidden)

    def forward(
        self, x: Tensor, condition: Tensor, near: Tensor, memory: Tensor | None = None, step: Tensor | None = None
    ) -> Tensor:
        y = self.before_self(x, condition)
        x = x + self.self_attention(y, y, near)
        if self.cross_attention is not None:
            x = x + self.cross_attention(self.before_cross(x), memory, step)
        return x + self.mlp(self.before_mlp(x, condition))


class Encoder(nn.Module):
    """Notes and who plays them -> memory [B, F, width / 2 + ASIDE], without a time: it runs once per segment.

    `ceiling` is the prior's (`Prior`); it travels with the memory, so that the decoder need not know the instrument.
    """

    def __init__(
        self,
        performances: int,
        instruments: int,
        width: int,
        heads: int,
        hidden: int,
        layers: int,
        rooms: Sequence[int],
    ) -> None:
        super().__init__()
        self.width = width
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128, rooms)
        self.enter = nn.Linear(2 * (ft.BANDS + ROLL), width)
        self.near_notes = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.distance = Distance(heads)
        self.layers = nn.ModuleList(Layer(width, heads, hidden, 128) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        out_of_reach = torch.full((performances + 1, instruments, ft.BANDS), OUT_OF_REACH)
        self.register_buffer("ceiling", out_of_reach, persistent=False)

    def forward(self, roll: Tensor, instrument: Tensor, performance: Tensor, notes_on: Tensor) -> Tensor:
        batch, frames = roll.shape[0], roll.shape[1]
        roll = roll * notes_on[:, None, None, None]
        excitation = (self.excitation(roll) - MEL_CENTRE) / MEL_SCALE
        tokens = torch.cat([excitation, roll.reshape(batch, frames, ROLL)], -1)
        y = self.enter(tokens.reshape(batch, frames // 2, 2 * (ft.BANDS + ROLL)))
        y = y + self.near_notes(y.transpose(1, 2)).transpose(1, 2)
        condition, near = self.players(performance, instrument), self.distance(frames // 2)
        for layer in self.layers:
            y = layer(y, condition, near)
        memory = self.norm(y).float().reshape(batch, frames, self.width // 2)
        aside = torch.cat([notes_on[:, None], self.ceiling[performance, instrument]], -1)
        return torch.cat([memory, aside[:, None].expand(batch, frames, ASIDE)], -1)


class Decoder(nn.Module):
    """Noisy residual x and prior [B, F, MEL], memory, performance and time -> v [B, F, MEL]."""

    def __init__(
        self, performances: int, width: int, memory: int, heads: int, hidden: int, layers: int, rooms: Sequence[int]
    ) -> None:
        super().__init__()
        self.memory = memory
        """channels of two frames of memory"""
        self.players = Players(performances, 0, 128, rooms)
        self.time = Time()
        self.wiener = Wiener(256)
        self.enter = nn.Linear(2 * 2 * MEL, width)
        self.distance, self.step = Distance(heads), Distance(heads, STEP_SLOPE)
        self.layers = nn.ModuleList(Layer(width, heads, hidden, 256, memory) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 2 * MEL)

    def forward(self, x: Tensor, prior: Tensor, memory: Tensor, performance: Tensor, t: Tensor) -> Tensor:
        batch, frames = x.shape[0], x.shape[1]
        remembered, on = memory[..., :-ASIDE], memory[..., -ASIDE : 1 - ASIDE]
        tokens = torch.cat([x, scaled(prior) * on], -1)
        y = self.enter(tokens.reshape(batch, frames // 2, 4 * MEL))
        remembered = remembered.reshape(batch, frames // 2, self.memory)
        condition = torch.cat([self.players(performance), self.time(t)], -1)
        near, step = self.distance(frames // 2), self.step(frames // 2)
        for layer in self.layers:
            y = layer(y, condition, near, remembered, step)
        return self.leave(self.norm(y)).reshape(batch, frames, MEL).float() + self.wiener(x, condition)


class T5(nn.Module):
    """Encoder and decoder as one denoiser: inputs and output of `UNet`."""

    def __init__(
        self,
        performances: int,
        instruments: int,
        width: int = 256,
        heads: int = 4,
        hidden: int = 704,
        encoder_layers: int = 3,
        decoder_layers: int = 4,
        rooms: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.encoder = Encoder(performances, instruments, width, heads, hidden, encoder_layers, rooms)
        self.decoder = Decoder(performances, width, width, heads, hidden, decoder_layers, rooms)

    def forward(
        self,
        x: Tensor,
        prior: Tensor,
        roll: Tensor,
        instrument: Tensor,
        performance: Tensor,
        notes_on: Tensor,
        t: Tensor,
    ) -> Tensor:
        memory = self.encoder(roll, instrument, performance, notes_on)
        return self.decoder(x, prior, memory, performance, t)
