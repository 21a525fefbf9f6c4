"""The transcriber's networks: where notes begin, the same for every pitch, and who plays each of them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..features import KEYS
from .spectrum import BANDS, SILENCE, WINDOWS, Spectrum, harmonic_bands

HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8)
"""of a key, by which its onset is known, each with the bands beside it"""
PARTIALS = tuple(range(1, 17))
"""of a note, by which its instrument is known"""
MOMENTS = (-3, -1, 0, 1, 2, 3, 5, 8, 12, 18, 25)
"""frames from an onset at which its partials are looked at"""
GLANCES = (-3, 0, 4, 12)
"""and those at which everything is: 12 bands together"""
COARSE = 12
RARE = -5.0
"""logit of an onset before anything is learned"""


class TimeBlock(nn.Module):
    """x + narrow(convolution(x)) over time and neighbouring keys."""

    def __init__(self, width: int, kernel: tuple[int, int], dilation: int) -> None:
        super().__init__()
        pad = dilation * (kernel[0] // 2), kernel[1] // 2
        self.mix = nn.Conv2d(width, width, kernel, padding=pad, dilation=(dilation, 1))
        self.narrow = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.gelu(self.mix(x), approximate="tanh"))


class Transcriber(nn.Module):
    """Mono sound at 16 kHz -> logits of onsets [B, frames, KEYS]; `players` names those of given onsets."""

    def __init__(self, instruments: int, width: int = 32, hidden: int = 256) -> None:
        super().__init__()
        self.spectrum = Spectrum()
        self.register_buffer("stack", harmonic_bands(HARMONICS, (-1, 0, 1)), persistent=False)
        self.register_buffer("partials", harmonic_bands(PARTIALS, (0,)), persistent=False)
        self.register_buffer("moments", torch.tensor(MOMENTS), persistent=False)
        self.register_buffer("glances", torch.tensor(GLANCES), persistent=False)
        # What sounds like an onset depends on how high it is, if not much.
        self.register_buffer("height", torch.linspace(-1, 1, KEYS).reshape(1, 1, 1, KEYS), persistent=False)
        self.enter = nn.Conv2d(len(WINDOWS) * len(self.stack) + 1, width, (3, 1), padding=(1, 0))
        shapes = [((3, 3), 1), ((3, 3), 2), ((3, 3), 4), ((3, 1), 8)]
        self.blocks = nn.ModuleList(TimeBlock(width, kernel, dilation) for kernel, dilation in shapes)
        self.onset = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.onset.bias, RARE)
        seen = len(WINDOWS) * (len(MOMENTS) * len(PARTIALS) + len(GLANCES) * math.ceil(BANDS / COARSE))
        self.key = nn.Embedding(KEYS, 32)
        self.note = nn.Sequential(nn.Linear(seen + 32, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.player = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, instruments))

    def onsets(self, spectrum: Tensor) -> Tensor:
        """Logits [B, frames, KEYS] of the spectrum of `self.spectrum`."""
        x = spectrum[..., self.stack].permute(0, 1, 3, 2, 4).flatten(1, 2)
        height = self.height.expand(len(x), 1, x.shape[2], KEYS)
        x = torch.cat([x, height], 1).contiguous(memory_format=torch.channels_last)
        x = F.gelu(self.enter(x), approximate="tanh")
        for block in self.blocks:
            x = block(x)
        return self.onset(x)[:, 0].float()

    def players(self, spectrum: Tensor, piece: Tensor, frame: Tensor, key: Tensor) -> Tensor:
        """Logits [N, instruments] of who plays the notes that begin at `frame` [N] of `piece` [N] on `key` [N].

        All notes of a piece are looked at together: who plays one of them may well play others.
        """
        before, after = -min(MOMENTS), max(MOMENTS)
        padded = F.pad(spectrum, (0, 0, before, after), value=SILENCE)
        # The loudest of a band and its neighbours: a partial may sway.
        around = F.max_pool2d(padded, (1, 3), 1, (0, 1))
        around[..., -1] = SILENCE
        bands = self.partials[:, key].T
        at = frame[:, None] + before + self.moments
        near = around[piece[:, None, None], :, at[:, :, None], bands[:, None]].flatten(1)
        wide = F.avg_pool2d(padded[..., :-1], (1, COARSE), ceil_mode=True)
        far = wide[piece[:, None], :, frame[:, None] + before + self.glances].flatten(1)
        note = self.note(torch.cat([near, far, self.key(key)], -1)).float()
        count = torch.zeros(len(spectrum), 1, device=note.device).index_add(0, piece, torch.ones_like(note[:, :1]))
        mean = torch.zeros(len(spectrum), note.shape[1], device=note.device).index_add(0, piece, note)
        mean = mean / count.clamp(min=1.0)
        return self.player(torch.cat([note, mean[piece]], -1)).float()

    def forward(self, audio: Tensor) -> Tensor:
        """Onsets alone."""
        return self.onsets(self.spectrum(audio))
