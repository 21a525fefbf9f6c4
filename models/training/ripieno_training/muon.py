"""Muon (Jordan et al. 2024) in the precision that the device multiplies in.

PyTorch's own, `torch.optim.Muon`, always orthogonalises in bf16: on a processor that emulates bf16 that takes several
times longer than the rest of a step.
"""

import math

import torch
from torch import Tensor

from .precision import multiplies_bf16

COEFFICIENTS = 3.4445, -4.775, 2.0315
"""of the quintic whose iteration sends all singular values near 1"""
ITERATIONS = 5
LEAST = 1e-7
"""norm of a gradient that is taken for more than nothing"""


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [m, n] with its singular values made about 1, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16() if multiplies_bf16(matrix.device.type) else matrix
    x = x.T if tall else x
    x = x / x.norm().clamp(min=LEAST)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Of matrices; as `torch.optim.Muon` by default: Nesterov momentum, decoupled weight decay, tall matrices' rate by
    the root of their proportion.
    """

    def __init__(self, matrices: list[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients."""
        for group in self.param_groups:
            for matrix in (m for m in group["params"] if m.grad is not None):
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                held = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonal(matrix.grad.lerp(held, group["momentum"]))
                rate = group["lr"] * math.sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)
