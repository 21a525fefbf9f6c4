"""The block that prior, U-Net and vocoder are made of."""

import torch.nn.functional as F
from torch import Tensor, nn


def gelu(x: Tensor, training: bool) -> Tensor:
    """GELU by tanh, as files and engine have it; by erf while training, which PyTorch computes four times as fast.

    The two differ by less than 5e-4, where bf16 rounds more.
    """
    return F.gelu(x, approximate="none" if training else "tanh")


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
        return x + self.narrow(gelu(self.widen(y), self.training))
