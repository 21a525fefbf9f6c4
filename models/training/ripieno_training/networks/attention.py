"""Attention that knows how far apart two tokens are, and nothing of where they are."""

import torch
from torch import Tensor, nn

REACH = 64
"""tokens; farther apart is one distance"""


class Distance(nn.Module):
    """Relative position bias (Shaw et al. 2018; T5 shares it among layers): lengths of two sequences -> [heads, n, m].

    With a slope it begins by preferring near tokens: right where two sequences are known to run in step.
    """

    def __init__(self, heads: int, slope: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Embedding(2 * REACH + 1, heads)
        away = (torch.arange(2 * REACH + 1) - REACH).abs().float()
        with torch.no_grad():
            self.table.weight.copy_(-slope * away[:, None].expand(-1, heads))

    def forward(self, length: Tensor) -> Tensor:
        at = torch.arange(length, device=self.table.weight.device)
        apart = torch.clamp(at[None] - at[:, None], -REACH, REACH) + REACH
        return self.table(apart).permute(2, 0, 1)


class Attention(nn.Module):
    """Multi-head attention of x [B, n, width] on `memory` [B, m, source]; begins by adding nothing."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(source or width, 2 * width, bias=False)
        self.leave = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.reshape(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)

        query = split(self.query(x))
        key, value = (split(y) for y in self.key_value(memory).chunk(2, -1))
        scores = torch.matmul(query, key.transpose(-2, -1)) * self.scale + bias
        heard = torch.matmul(torch.softmax(scores.float(), -1).to(value.dtype), value)
        return self.leave(heard.transpose(1, 2).flatten(2))
