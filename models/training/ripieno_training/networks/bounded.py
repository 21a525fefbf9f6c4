"""Keeps what a denoiser adds under the loudest level of its players."""

import torch
from torch import Tensor, nn

from .. import features as ft
from .stack import Denoiser


class Bounded(nn.Module):
    """A trained denoiser whose x0 keeps the mel under the prior's ceiling (thresholding, Saharia et al. 2022).

    alpha_bars [STEPS], deviation [MEL] of the residual, ceiling as in `Prior`. Same inputs and output as `Denoiser`.
    """

    def __init__(self, denoiser: Denoiser, alpha_bars: Tensor, deviation: Tensor, ceiling: Tensor) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.register_buffer("signal", alpha_bars.sqrt().float())
        self.register_buffer("noise", (1.0 - alpha_bars).sqrt().float())
        self.register_buffer("deviation", deviation[: ft.BANDS])
        self.register_buffer("ceiling", ceiling)

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
        v = self.denoiser(x, prior, roll, instrument, performance, notes_on, t)
        at = t.long()
        a, s = self.signal[at][:, None, None], self.noise[at][:, None, None]
        mid = x[..., : ft.BANDS]
        x0 = a * mid - s * v[..., : ft.BANDS]
        room = (self.ceiling[performance, instrument][:, None] - prior[..., : ft.BANDS]) / self.deviation
        # Where x0 is too loud by d, v rises by d / s: exact, and nothing changes elsewhere.
        over = torch.clamp(x0 - room, min=0.0) / s
        return torch.cat([v[..., : ft.BANDS] + over, v[..., ft.BANDS :]], -1)
