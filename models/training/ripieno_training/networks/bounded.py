"""Denoisers as they are shipped: they predict v, and what they add stays under the loudest level of their players."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .. import features as ft
from .t5 import ASIDE, T5

LARGEST = 8.0
"""deviations that no residual exceeds"""


class Levels(nn.Module):
    """Signal and noise at a time, from alpha_bars [STEPS]: t [B] -> two of [B, 1, 1]."""

    def __init__(self, alpha_bars: Tensor) -> None:
        super().__init__()
        self.register_buffer("signal", alpha_bars.sqrt().float())
        self.register_buffer("noise", (1.0 - alpha_bars).sqrt().float())

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        at = t.long()
        return self.signal[at][:, None, None], self.noise[at][:, None, None]


class Limit(nn.Module):
    """Keeps x0 so low that the mel stays under a ceiling (thresholding, Saharia et al. 2022).

    deviation [MEL] of the residual; the ceiling, [B, 1, BANDS] or [B, F, BANDS], comes with every call.
    """

    def __init__(self, alpha_bars: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.levels = Levels(alpha_bars)
        self.register_buffer("deviation", deviation[: ft.BANDS])

    def forward(self, v: Tensor, x: Tensor, prior: Tensor, ceiling: Tensor, t: Tensor) -> Tensor:
        a, s = self.levels(t)
        x0 = a * x[..., : ft.BANDS] - s * v[..., : ft.BANDS]
        room = (ceiling - prior[..., : ft.BANDS]) / self.deviation
        # Where x0 is too loud by d, v rises by d / s: exact, and nothing changes elsewhere.
        over = torch.clamp(x0 - room, min=0.0) / s
        return torch.cat([v[..., : ft.BANDS] + over, v[..., ft.BANDS :]], -1)


class OfEpsilon(nn.Module):
    """A denoiser that was trained to predict the noise, as one of v.

    At the noisiest times the noise says nothing of x0, which is held within what residuals are.
    """

    def __init__(self, denoiser: Callable[..., Tensor], alpha_bars: Tensor) -> None:
        super().__init__()
        self.denoiser, self.levels = denoiser, Levels(alpha_bars)

    def forward(self, x: Tensor, *inputs: Tensor) -> Tensor:
        a, s = self.levels(inputs[-1])
        x0 = torch.clamp((x - s * self.denoiser(x, *inputs)) / a, -LARGEST, LARGEST)
        return (a * x - x0) / s


class Bounded(nn.Module):
    """A trained denoiser under the prior's ceiling (as in `Prior`). Same inputs and output as `UNet`."""

    def __init__(self, denoiser: nn.Module, alpha_bars: Tensor, deviation: Tensor, ceiling: Tensor) -> None:
        super().__init__()
        self.denoiser, self.limit = denoiser, Limit(alpha_bars, deviation)
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
        return self.limit(v, x, prior, self.ceiling[performance, instrument][:, None], t)


class BoundedDecoder(nn.Module):
    """The decoder of a `T5` under the ceiling that its memory carries."""

    def __init__(self, decoder: nn.Module, alpha_bars: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.decoder, self.limit = decoder, Limit(alpha_bars, deviation)

    def forward(self, x: Tensor, prior: Tensor, memory: Tensor, performance: Tensor, t: Tensor) -> Tensor:
        v = self.decoder(x, prior, memory, performance, t)
        return self.limit(v, x, prior, memory[..., 1 - ASIDE :], t)


def bounded(denoiser: nn.Module, alpha_bars: Tensor, deviation: Tensor, ceiling: Tensor, predicts: str) -> nn.Module:
    """Any trained denoiser as it is shipped; a `T5` keeps its two halves."""
    if isinstance(denoiser, T5):
        decoder = OfEpsilon(denoiser.decoder, alpha_bars) if predicts == "epsilon" else denoiser.decoder
        denoiser.encoder.ceiling.copy_(ceiling)
        denoiser.decoder = BoundedDecoder(decoder, alpha_bars, deviation)
        return denoiser
    if predicts == "epsilon":
        denoiser = OfEpsilon(denoiser, alpha_bars)
    return Bounded(denoiser, alpha_bars, deviation, ceiling)
