"""The vocoder's gains as sound, and the distance of sounds, in PyTorch so that both can be trained through."""

from functools import cache

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor

from . import features as ft


def synthesize(gains: Tensor, excitation: Tensor, noise: Tensor) -> Tensor:
    """gains [B, F, 4, BINS], E [B, F, BINS], noise spectra [2, B, F, BINS] -> left, right [B, 2, (F - 1) * HOP + 1]."""
    mid = gains[:, :, 0] * excitation + gains[:, :, 1] * noise[0]
    side = gains[:, :, 2] * excitation + gains[:, :, 3] * noise[1]
    spectrum = torch.stack([mid + side, mid - side], 1)
    turn = torch.ones(ft.BINS, device=spectrum.device)
    turn[1::2] = -1.0
    window = torch.tensor(ft.hann(), dtype=torch.float32, device=spectrum.device)
    grains = torch.fft.irfft(spectrum * turn * (window.sum() / 2), n=ft.WINDOW) * window
    batch, channels, frames, _ = grains.shape
    length = (frames - 1) * ft.HOP + ft.WINDOW

    def overlap_add(x: Tensor) -> Tensor:
        return F.fold(x.transpose(1, 2), (1, length), (1, ft.WINDOW), stride=(1, ft.HOP)).reshape(-1, length)

    audio = overlap_add(grains.reshape(batch * channels, frames, ft.WINDOW))
    norm = overlap_add((window**2).expand(1, frames, ft.WINDOW)).clamp(min=1e-3)
    half = ft.WINDOW // 2
    return (audio / norm)[:, half : half + (frames - 1) * ft.HOP + 1].reshape(batch, channels, -1)


def white_noise(batch: int, frames: int, device: torch.device) -> Tensor:
    """Centre-referenced spectra of unit white noise [2, B, F, BINS]."""
    length = (frames - 1) * ft.HOP + ft.WINDOW
    window = torch.tensor(ft.hann(), dtype=torch.float32, device=device)
    grains = torch.randn(2 * batch, length, device=device).unfold(-1, ft.WINDOW, ft.HOP)
    spectrum = torch.fft.rfft(grains * window) * (2.0 / window.sum())
    turn = torch.ones(ft.BINS, device=device)
    turn[1::2] = -1.0
    return (spectrum * turn).reshape(2, batch, frames, ft.BINS)


CONVERGENCE_WEIGHT = 0.5
"""weight of the spectral convergence: it hears the loudest partials, the logarithm everything else"""


def magnitudes(signal: Tensor, size: int) -> Tensor:
    """Magnitude spectra of [N, samples] with a Hann window, quarter hops, a full-scale sine at 1."""
    window = torch.hann_window(size, device=signal.device)
    spectrum = torch.view_as_real(torch.stft(signal, size, size // 4, window=window, return_complex=True))
    # The square root of the power has a cheaper gradient than the modulus of a complex number.
    return torch.sqrt(spectrum.square().sum(-1) + 1e-10) * (2.0 / window.sum())


BINS_A_BAND = 8
"""of a resolution's mean mel band"""


@cache
def bands(size: int) -> Tensor:
    """Triangular mel filters [at most size / 16, size / 2 + 1] of a window; each row sums to 1."""
    count = (size // 2) // BINS_A_BAND
    filters = librosa.filters.mel(sr=ft.SAMPLE_RATE, n_fft=size, n_mels=count, htk=True, norm=None)
    # The lowest bands may be narrower than a bin.
    filled = filters[filters.sum(1) > 0]
    return torch.from_numpy(filled / filled.sum(1, keepdims=True))


def spectral_distance(ours: Tensor, true: Tensor, windows: list[int], level_weight: float = 0.0) -> Tensor:
    """Multi-resolution STFT distance (Yamamoto et al. 2020): log-magnitude L1, spectral convergence; [N, samples].

    With a weight the L1 of log mel levels is added (as Kumar et al. 2023): of two noises the convergence prefers one
    that is too soft, and single bins say little of a level.
    """
    total = ours.new_zeros(())
    for size in windows:
        a, b = magnitudes(ours, size), magnitudes(true, size)
        convergence = (a - b).norm() / (b.norm() + 1e-3)
        total = total + log_distance(a, b) + CONVERGENCE_WEIGHT * convergence
        if level_weight > 0:
            filters = bands(size).to(ours.device)
            total = total + level_weight * log_distance(torch.matmul(filters, a), torch.matmul(filters, b))
    return total / len(windows)


def log_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean distance of logarithms of magnitudes."""
    return (torch.log(a + 1e-5) - torch.log(b + 1e-5)).abs().mean()
