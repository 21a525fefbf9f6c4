"""The noise schedule, v-prediction, guidance, the reference implementation's sampler and DPM-Solver++(2M)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

STEPS = 1000
OFFSET = 0.008
LARGEST_BETA = 0.999


def alpha_bars() -> np.ndarray:
    """Cosine schedule of Nichol & Dhariwal 2021, eq. 17: cumulative signal power [STEPS]."""

    def f(t: np.ndarray) -> np.ndarray:
        return np.cos((t / STEPS + OFFSET) / (1 + OFFSET) * np.pi / 2) ** 2

    t = np.arange(STEPS, dtype=np.float64)
    betas = np.minimum(1 - f(t + 1) / f(t), LARGEST_BETA)
    return np.cumprod(1 - betas)


def guided(both: Tensor, no_notes: Tensor, no_performance: Tensor, notes: float, performance: float) -> Tensor:
    """Two-condition guidance: e(n,p) + (wn-1)(e(n,p)-e(0,p)) + (wp-1)(e(n,p)-e(n,0))."""
    return both + (notes - 1) * (both - no_notes) + (performance - 1) * (both - no_performance)


def times(steps: int, start: int = STEPS - 1) -> list[int]:
    """`steps` falling times from `start`, evenly spaced, the last one above 0; the sampler ends on x0.

    Those of the engine, rounded down, so that those of n steps are among those of 2n.
    """
    return [start * (steps - i) // steps for i in range(steps)]


def ddim(predict_v: Callable[[Tensor, int], Tensor], x: Tensor, steps: int, eta: float = 0.0) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12) on v-prediction: noise x at t = STEPS - 1 -> x0."""
    bars = alpha_bars()
    grid = times(steps)
    for i, t in enumerate(grid):
        a, s = float(np.sqrt(bars[t])), float(np.sqrt(1 - bars[t]))
        v = predict_v(x, t)
        x0, eps = a * x - s * v, s * x + a * v
        if i + 1 == len(grid):
            return x0
        bar, before = bars[grid[i + 1]], bars[t]
        sigma = eta * np.sqrt((1 - bar) / (1 - before) * (1 - before / bar))
        x = float(np.sqrt(bar)) * x0 + float(np.sqrt(max(0.0, 1 - bar - sigma**2))) * eps
        if eta > 0:
            x = x + float(sigma) * torch.randn_like(x)
    return x


FIRST_LOG_SNR = -5.1
"""where DPM-Solver++ begins: before, x is noise to 0.6 %"""


def solver_times(steps: int) -> list[int]:
    """At most `steps` falling times, even in ln(signal / spread), rounded to trained ones: those of the engine."""
    bars = alpha_bars()
    rising = np.log(np.sqrt(bars / (1 - bars)))[::-1]
    first, last = max(rising[0], FIRST_LOG_SNR), rising[-1]
    even = first + (last - first) * np.arange(steps) / steps
    return list(dict.fromkeys(int(t) for t in np.floor(STEPS - 1 - np.interp(even, rising, np.arange(STEPS)) + 0.5)))


def dpm(predict_v: Callable[[Tensor, int], Tensor], x: Tensor, steps: int) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2, x0-prediction): noise x -> x0, no fresh noise."""
    bars = alpha_bars()
    signal, spread = np.sqrt(bars), np.sqrt(1 - bars)
    log_snr = np.log(signal / spread)
    grid = solver_times(steps)
    before: Tensor | None = None
    for i, t in enumerate(grid):
        x0 = float(signal[t]) * x - float(spread[t]) * predict_v(x, t)
        if i + 1 == len(grid):
            return x0
        to = grid[i + 1]
        step, ahead = log_snr[to] - log_snr[t], x0
        if before is not None:
            ahead = x0 + float(step / (2 * (log_snr[t] - log_snr[grid[i - 1]]))) * (x0 - before)
        x = float(spread[to] / spread[t]) * x - float(signal[to] * np.expm1(-step)) * ahead
        before = x0
    return x
