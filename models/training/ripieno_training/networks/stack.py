"""The small denoiser: a stack of blocks on tokens of two frames."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import features as ft
from .blocks import Block
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, ROLL, Excitation, Players, Time, scaled


class Denoiser(nn.Module):
    """Noisy residual, prior, notes, performance and time -> v (Salimans & Ho 2022), FiLM from all in every block."""

    def __init__(
        self, performances: int, instruments: int, width: int = 384, blocks: int = 7, rooms: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128, rooms)
        self.time = Time()
        self.enter = nn.Linear(2 * (2 * MEL + ft.BANDS + ROLL), width)
        self.blocks = nn.ModuleList(Block(width, 256, dilation=1 + i % 3) for i in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 2 * MEL)

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
        batch, frames = roll.shape[0], roll.shape[1]
        roll = roll * notes_on[:, None, None, None]
        seen = scaled(prior) * notes_on[:, None, None]
        excitation = (self.excitation(roll) - MEL_CENTRE) / MEL_SCALE
        tokens = torch.cat([x, seen, excitation, roll.reshape(batch, frames, ROLL)], -1)
        y = self.enter(tokens.reshape(batch, frames // 2, 2 * (2 * MEL + ft.BANDS + ROLL)))
        condition = torch.cat([self.players(performance, instrument), self.time(t)], -1)
        for block in self.blocks:
            y = block(y, condition)
        return self.leave(self.norm(y)).reshape(batch, frames, MEL).float()
