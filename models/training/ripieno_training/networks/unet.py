"""A denoiser: a 1-D U-Net whose channels are the bands of two frames, with attention where it is coarsest."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import features as ft
from .attention import Attention, Distance
from .blocks import Block
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, ROLL, Excitation, Players, Time, scaled
from .wiener import Wiener

CONDITION = 256
HEAD = 64
"""channels of an attention head"""


class Level(nn.Module):
    """Blocks at one rate, FiLM from time and players in each."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, CONDITION, dilation=1 + i % 3) for i in range(blocks))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return x


class UNet(nn.Module):
    """Noisy residual, prior, notes, players and time -> v (Salimans & Ho 2022).

    A level halves the rate of the one above, from a token per two frames on.
    """

    def __init__(
        self,
        performances: int,
        instruments: int,
        widths: Sequence[int] = (384, 640, 1024),
        blocks: int = 2,
        middle: int = 3,
        heads: int = 4,
        rooms: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128, rooms)
        self.time = Time()
        self.wiener = Wiener(CONDITION)
        self.enter = nn.Linear(2 * (2 * MEL + ft.BANDS + ROLL), widths[0])
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(Level(width, blocks) for width in widths[:-1])
        self.shorten = nn.ModuleList(nn.Linear(2 * above, below) for above, below in steps)
        self.middle = Level(widths[-1], middle)
        self.distance = Distance(heads)
        self.before_attention = nn.LayerNorm(widths[-1])
        self.narrow, self.widen = nn.Linear(widths[-1], heads * HEAD), nn.Linear(heads * HEAD, widths[-1])
        self.attention = Attention(heads * HEAD, heads)
        self.lengthen = nn.ModuleList(nn.Linear(below, 2 * above) for above, below in steps)
        self.join = nn.ModuleList(nn.Linear(2 * above, above) for above, _ in steps)
        self.up = nn.ModuleList(Level(width, blocks) for width in widths[:-1])
        self.norm = nn.LayerNorm(widths[0])
        self.leave = nn.Linear(widths[0], 2 * MEL)
        self.frames = 2 ** len(widths)
        """a segment is filled up to a multiple of this"""

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
        tokens = F.pad(tokens, (0, 0, 0, (self.frames - frames % self.frames) % self.frames))
        y = self.enter(tokens.reshape(batch, -1, 2 * (2 * MEL + ft.BANDS + ROLL)))
        condition = torch.cat([self.players(performance, instrument), self.time(t)], -1)
        kept = []
        for level, shorten in zip(self.down, self.shorten, strict=True):
            y = level(y, condition)
            kept.append(y)
            y = shorten(y.reshape(batch, -1, 2 * y.shape[-1]))
        y = self.middle(y, condition)
        z = self.narrow(self.before_attention(y))
        y = y + self.widen(self.attention(z, z, self.distance(z.shape[1])))
        for i in reversed(range(len(kept))):
            wide = self.lengthen[i](y)
            y = self.join[i](torch.cat([kept[i], wide.reshape(batch, -1, wide.shape[-1] // 2)], -1))
            y = self.up[i](y, condition)
        out = self.leave(self.norm(y)).float()
        return out.reshape(batch, -1, MEL)[:, :frames] + self.wiener(x, condition)
