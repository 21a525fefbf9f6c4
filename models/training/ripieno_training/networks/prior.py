"""The prior: one pass from notes to a coarse mel. A token is two frames."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import features as ft
from .blocks import Block
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, OUT_OF_REACH, ROLL, Excitation, Players


class Prior(nn.Module):
    """Notes and performance -> coarse mel, in one pass; the excitation is added to the output.

    `ceiling` [performances + 1, instruments, BANDS] is the loudest that each player was ever heard: chords that
    training never showed can come out tens of decibels too loud otherwise. While training it is out of reach, so that
    every overshoot is felt.
    """

    def __init__(
        self, performances: int, instruments: int, width: int = 320, blocks: int = 6, rooms: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128, rooms)
        self.enter = nn.Linear(2 * (ft.BANDS + ROLL), width)
        self.blocks = nn.ModuleList(Block(width, 128, dilation=1 + i % 3) for i in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 2 * MEL)
        out_of_reach = torch.full((performances + 1, instruments, ft.BANDS), OUT_OF_REACH)
        self.register_buffer("ceiling", out_of_reach, persistent=False)

    def forward(self, roll: Tensor, instrument: Tensor, performance: Tensor, notes_on: Tensor) -> Tensor:
        batch, frames = roll.shape[0], roll.shape[1]
        roll = roll * notes_on[:, None, None, None]
        excitation = (self.excitation(roll) - MEL_CENTRE) / MEL_SCALE
        x = torch.cat([excitation, roll.reshape(batch, frames, ROLL)], -1)
        x = self.enter(x.reshape(batch, frames // 2, 2 * (ft.BANDS + ROLL)))
        condition = self.players(performance, instrument)
        for block in self.blocks:
            x = block(x, condition)
        x = self.leave(self.norm(x)).reshape(batch, frames, MEL)
        mid = MEL_CENTRE + MEL_SCALE * (x[..., : ft.BANDS] + excitation)
        mid = torch.minimum(mid.float(), self.ceiling[performance, instrument][:, None])
        return torch.cat([mid, MEL_SCALE * x[..., ft.BANDS :].float()], -1)
