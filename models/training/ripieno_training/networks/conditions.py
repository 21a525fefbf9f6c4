"""What the networks are told: notes, players and diffusion time."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import features as ft

MEL = 2 * ft.BANDS
ROLL = ft.PLANES * ft.KEYS
OUT_OF_REACH = 20.0
"""a natural log magnitude that nothing reaches"""
MEL_CENTRE, MEL_SCALE = -7.0, 2.5
"""Mid bands are brought to about zero mean and unit deviation: (mel - MEL_CENTRE) / MEL_SCALE."""


def scaled(mel: Tensor) -> Tensor:
    """Mel [..., MEL] in the range the networks like."""
    mid, side = mel[..., : ft.BANDS], mel[..., ft.BANDS :]
    return torch.cat([(mid - MEL_CENTRE) / MEL_SCALE, side / MEL_SCALE], -1)


class Excitation(nn.Module):
    """Note roll [B, F, PLANES, KEYS] -> log mel [B, F, BANDS] of the sounding notes' harmonics."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor(ft.excitation_table(), dtype=torch.float32))

    def forward(self, roll: Tensor) -> Tensor:
        amplitude = roll[:, :, 1] + roll[:, :, 3]
        return torch.log(torch.clamp(torch.matmul(amplitude.float(), self.table), min=ft.FLOOR))


class Players(nn.Module):
    """Performance and instrument ids -> condition [B, width]; the last performance is the null one.

    With 0 instruments it knows the performance alone.

    A performance is the sum of what is its own and of what it shares with all others in its room. `rooms` names the
    room of each performance by index; without it every performance has only its own. The null one has no room.
    """

    def __init__(self, performances: int, instruments: int, width: int, rooms: Sequence[int] = ()) -> None:
        super().__init__()
        self.performance = nn.Embedding(performances + 1, width)
        self.instrument = nn.Embedding(instruments, width) if instruments else None
        count = max(rooms, default=-1) + 1
        self.room = nn.Embedding(count + 1, width, padding_idx=count)
        nn.init.zeros_(self.room.weight)
        where = [*rooms, count] if rooms else [count] * (performances + 1)
        self.register_buffer("room_of", torch.tensor(where), persistent=False)
        self.mlp = nn.Sequential(
            nn.Linear(2 * width if instruments else width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, performance: Tensor, instrument: Tensor | None = None) -> Tensor:
        who = self.performance(performance)
        if self.room is not None:
            who = who + self.room(self.room_of[performance])
        if self.instrument is not None:
            who = torch.cat([who, self.instrument(instrument)], -1)
        return self.mlp(who)

    def fold(self) -> None:
        """Adds the rooms to the performances: the same output from one table."""
        if self.room is not None:
            with torch.no_grad():
                self.performance.weight += self.room(self.room_of)
            self.room = None


class Time(nn.Sequential):
    """Diffusion time [B], 0 to 999 -> condition [B, 128]."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), 32)) / 1000.0
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies[None]
        return super().forward(torch.cat([torch.sin(angles), torch.cos(angles)], -1))
