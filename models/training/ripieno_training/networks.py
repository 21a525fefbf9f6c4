"""The synthesizer's three networks. Tensors are [batch, frames, channels]; a token of prior and denoiser is two frames.

All are stacks of one block: depthwise convolution in time, FiLM on the normalised activations, a wide MLP. No absolute
positions, so that a segment of any length at any place means the same.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import features as ft

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


class Block(nn.Module):
    """x + MLP(FiLM(norm(depthwise(x)))); FiLM only where there is a condition."""

    def __init__(self, width: int, condition: int, kernel: int = 7, widen: int = 3, dilation: int = 1) -> None:
        super().__init__()
        pad = dilation * (kernel // 2)
        self.mix = nn.Conv1d(width, width, kernel, padding=pad, groups=width, dilation=dilation)
        self.norm = nn.LayerNorm(width, elementwise_affine=condition == 0)
        self.film = nn.Linear(condition, 2 * width) if condition else None
        self.widen = nn.Linear(width, widen * width)
        self.narrow = nn.Linear(widen * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = self.norm(self.mix(x.transpose(1, 2)).transpose(1, 2))
        if self.film is not None:
            scale, shift = self.film(condition)[:, None].chunk(2, -1)
            y = y * (1.0 + scale) + shift
        return x + self.narrow(F.gelu(self.widen(y), approximate="tanh"))


class Players(nn.Module):
    """Performance and instrument ids -> condition [B, width]; the last performance is the null one."""

    def __init__(self, performances: int, instruments: int, width: int) -> None:
        super().__init__()
        self.performance = nn.Embedding(performances + 1, width)
        self.instrument = nn.Embedding(instruments, width)
        self.mlp = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, performance: Tensor, instrument: Tensor) -> Tensor:
        return self.mlp(torch.cat([self.performance(performance), self.instrument(instrument)], -1))


class Prior(nn.Module):
    """Notes and performance -> coarse mel, in one pass; the excitation is added to the output.

    `ceiling` [performances + 1, instruments, BANDS] is the loudest that each player was ever heard: chords that
    training never showed can come out tens of decibels too loud otherwise. While training it is out of reach, so that
    every overshoot is felt.
    """

    def __init__(self, performances: int, instruments: int, width: int = 320, blocks: int = 6) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128)
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


class Denoiser(nn.Module):
    """Noisy residual, prior, notes, performance and time -> v (Salimans & Ho 2022), FiLM from all in every block."""

    def __init__(self, performances: int, instruments: int, width: int = 384, blocks: int = 7) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.players = Players(performances, instruments, 128)
        self.time = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.register_buffer("frequencies", torch.exp(torch.linspace(0.0, math.log(1000.0), 32)) / 1000.0)
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
        angles = t[:, None] * self.frequencies[None]
        time = self.time(torch.cat([torch.sin(angles), torch.cos(angles)], -1))
        condition = torch.cat([self.players(performance, instrument), time], -1)
        for block in self.blocks:
            y = block(y, condition)
        return self.leave(self.norm(y)).reshape(batch, frames, MEL).float()


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


class Vocoder(nn.Module):
    """Mel and notes -> gains of the harmonic excitation and of noise, per bin, for mid and side.

    Y_mid = Hm E + Nm Z1 and Y_side = Hs E + Ns Z2, with E the excitation spectrum of the known notes in absolute phase
    (harmonic plus noise as in DDSP, Engel et al. 2020, filtered in the STFT domain). The network learns a correction to
    the level that the mel itself prescribes, so that it sounds from its first step on.
    """

    def __init__(self, width: int = 256, blocks: int = 6) -> None:
        super().__init__()
        self.excitation = Excitation()
        self.enter = nn.Linear(MEL + ft.BANDS + ROLL, width)
        self.blocks = nn.ModuleList(Block(width, 0) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 5 * ft.BINS)
        nn.init.normal_(self.leave.weight, std=1e-3)
        filters = torch.tensor(ft.mel_filters(), dtype=torch.float32)
        spread = filters / filters.sum(0, keepdim=True).clamp(min=1e-8)
        # Bins below the lowest and above the highest band take the level of the outermost band.
        bare = filters.sum(0) == 0
        low = torch.arange(ft.BINS) < ft.BINS // 2
        spread[:, bare & low] = 0.0
        spread[0, bare & low] = 1.0
        self.register_buffer("spread", spread)
        bias = torch.zeros(5, ft.BINS)
        # Unit white noise has magnitude exp(-2.9) in our STFT scale; noise starts 1.5 below the level of the mel.
        bias[1] = 1.4
        bias[3] = 0.3
        bias[4] = 1.4
        self.leave.bias.data.copy_(bias.reshape(-1))

    def forward(self, mel: Tensor, roll: Tensor) -> Tensor:
        batch, frames = roll.shape[0], roll.shape[1]
        excitation = self.excitation(roll)
        inputs = [scaled(mel), (excitation - MEL_CENTRE) / MEL_SCALE, roll.reshape(batch, frames, ROLL)]
        x = self.enter(torch.cat(inputs, -1))
        for block in self.blocks:
            x = block(x)
        raw = self.leave(self.norm(x)).float().reshape(batch, frames, 5, ft.BINS)
        mid = torch.matmul(mel[..., : ft.BANDS], self.spread)
        side = mid + torch.matmul(mel[..., ft.BANDS :], self.spread)
        # Where no harmonic lies, the excitation is at its floor and its gain must not explode.
        base = torch.matmul(torch.clamp(excitation, min=-8.0), self.spread)
        hm = torch.exp(torch.clamp(mid - base + raw[:, :, 0], -20.0, 8.0))
        nm = torch.exp(torch.clamp(mid + raw[:, :, 1], -20.0, 4.0))
        hs = torch.exp(torch.clamp(side - base + raw[:, :, 2], -20.0, 8.0)) * torch.tanh(raw[:, :, 3])
        ns = torch.exp(torch.clamp(side + raw[:, :, 4], -20.0, 4.0))
        return torch.stack([hm, nm, hs, ns], 2)
