"""Judges that networks are trained against: of a signal's periods (HiFi-GAN, Kong et al. 2020), of its spectra at
several resolutions (UnivNet, Jang et al. 2021), and of mels (patches, Isola et al. 2017). Each says a score per place,
and every activation on the way."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1
QUIETEST = 1e-5
"""magnitude that counts as silence, a full-scale sine being 1"""

Judged = list[Tensor]
"""activations in their order; the last are the scores"""


def layers(widths: Sequence[int], kernel: tuple[int, int], strides: Sequence[tuple[int, int]]) -> nn.ModuleList:
    """Convolutions [N, width, ., .] from the first width to the last, then to one score."""
    pad = kernel[0] // 2, kernel[1] // 2
    steps = zip(widths[:-1], widths[1:], strides, strict=True)
    convolutions = [weight_norm(nn.Conv2d(a, b, kernel, stride, pad)) for a, b, stride in steps]
    return nn.ModuleList([*convolutions, weight_norm(nn.Conv2d(widths[-1], 1, kernel, padding=pad))])


def judged(convolutions: nn.ModuleList, x: Tensor) -> Judged:
    """All activations of [N, channels, ., .]."""
    out = []
    for convolution in convolutions[:-1]:
        x = F.leaky_relu(convolution(x), SLOPE)
        out.append(x)
    return [*out, convolutions[-1](x)]


class PeriodJudge(nn.Module):
    """Looks at every `period`-th sample of [N, samples]."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        self.layers = layers([1, width, 2 * width, 4 * width, 8 * width], (5, 1), [(3, 1)] * 4)

    def forward(self, signal: Tensor) -> Judged:
        signal = F.pad(signal, (0, -signal.shape[-1] % self.period))
        return judged(self.layers, signal.reshape(len(signal), 1, -1, self.period))


class SpectrumJudge(nn.Module):
    """Looks at the log magnitudes of [N, samples] in windows of a size, a quarter of it apart."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.layers = layers([1, width, width, width, width], (3, 9), [(1, 1), (1, 2), (1, 2), (1, 2)])

    def forward(self, signal: Tensor) -> Judged:
        window = torch.hann_window(self.size, device=signal.device)
        spectrum = torch.stft(signal.float(), self.size, self.size // 4, window=window, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1) * (2.0 / window.sum()) ** 2
        logarithm = 0.5 * torch.log(power + QUIETEST**2)
        return judged(self.layers, logarithm.transpose(1, 2)[:, None])


class Judges(nn.Module):
    """All of them."""

    def __init__(self, periods: Sequence[int], windows: Sequence[int], width: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList([PeriodJudge(period, width) for period in periods])
        self.judges.extend(SpectrumJudge(size, width) for size in windows)

    def forward(self, signal: Tensor) -> list[Judged]:
        return [judge(signal) for judge in self.judges]


class MelJudges(nn.Module):
    """Look at patches of mels and of what they were made from, [B, 4, F, BANDS]: one closely, one from afar."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        strides = [(2, 2)] * len(widths)
        self.judges = nn.ModuleList([layers([4, *widths], (3, 5), strides) for _ in range(2)])

    def forward(self, mels: Tensor) -> list[Judged]:
        return [judged(self.judges[0], mels), judged(self.judges[1], F.avg_pool2d(mels, 2))]
