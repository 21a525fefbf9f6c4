"""The vocoder's network: gains of harmonics and of noise."""

import torch
from torch import Tensor, nn

from .. import features as ft
from .blocks import Block
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, ROLL, Excitation, scaled


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
        self.register_buffer("spread", torch.tensor(ft.band_spread(), dtype=torch.float32))
        bias = torch.zeros(5, ft.BINS)
        # Unit white noise has magnitude exp(-2.9) in our STFT scale; noise starts 1.5 below the level of the mel.
        bias[1] = 1.4
        bias[3] = 0.3
        bias[4] = 1.4
        self.leave.bias.data.copy_(bias.reshape(-1))

    def forward(self, mel: Tensor, roll: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Gains [B, F, 4, BINS] of all frames, or of those whose indices are `wanted`: the widest layer is the last."""
        batch, frames = roll.shape[0], roll.shape[1]
        excitation = self.excitation(roll)
        inputs = [scaled(mel), (excitation - MEL_CENTRE) / MEL_SCALE, roll.reshape(batch, frames, ROLL)]
        x = self.enter(torch.cat(inputs, -1))
        for block in self.blocks:
            x = block(x)
        if wanted is not None:
            x, mel, excitation = (values.index_select(1, wanted) for values in (x, mel, excitation))
        raw = self.leave(self.norm(x)).float().unflatten(-1, (5, ft.BINS))
        mid = torch.matmul(mel[..., : ft.BANDS], self.spread)
        side = mid + torch.matmul(mel[..., ft.BANDS :], self.spread)
        # Where no harmonic lies, the excitation is at its floor and its gain must not explode.
        base = torch.matmul(torch.clamp(excitation, min=-8.0), self.spread)
        hm = torch.exp(torch.clamp(mid - base + raw[:, :, 0], -20.0, 8.0))
        nm = torch.exp(torch.clamp(mid + raw[:, :, 1], -20.0, 4.0))
        hs = torch.exp(torch.clamp(side - base + raw[:, :, 2], -20.0, 8.0)) * torch.tanh(raw[:, :, 3])
        ns = torch.exp(torch.clamp(side + raw[:, :, 4], -20.0, 4.0))
        return torch.stack([hm, nm, hs, ns], 2)
