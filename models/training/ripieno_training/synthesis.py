"""The vocoder's gains as sound, and the distance of sounds, in PyTorch so that both can be trained through."""

from functools import cache

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor

from . import features as ft

LARGEST_STEP = 3.0
"""nepers that a band is brought up or down at most"""


def synthesize(gains: Tensor, excitation: Tensor, noise: Tensor) -> Tensor:
    """gains [B, F, 4, BINS], E [B, F, BINS], noise spectra [2, B, F, BINS] -> left, right [B, 2, (F - 1) * HOP + 1].

    The sound that the vocoder is trained on; what is heard is `resynthesize`.
    """
    return stereo(overlap_add(spectra(gains, excitation, noise)))


def resynthesize(gains: Tensor, excitation: Tensor, noise: Tensor, mel: Tensor) -> Tensor:
    """The same once more, each band of each frame brought to the level that mel [B, F, 2 * BANDS] has for it.

    One step of the projections of Griffin & Lim 1984 whose target is the mel: grains that overlap seldom add up to the
    levels each was made for, so they are measured where they have been added.
    """
    measured = analyse(overlap_add(spectra(gains, excitation, noise)))
    mid, side = mel[..., : ft.BANDS], mel[..., : ft.BANDS] + mel[..., ft.BANDS :]
    return stereo(overlap_add(levelled(measured, torch.stack([mid, side]))))


def levelled(spectrum: Tensor, target: Tensor) -> Tensor:
    """Spectra [..., BINS] whose bands are at the log levels `target` [..., BANDS], or `LARGEST_STEP` nearer to them."""
    filters, spread = (torch.tensor(x, dtype=torch.float32) for x in (ft.mel_filters().T, ft.band_spread()))
    have = torch.log(torch.clamp(torch.matmul(spectrum.abs(), filters.to(spectrum.device)), min=ft.FLOOR))
    steps = torch.clamp(target - have, -LARGEST_STEP, LARGEST_STEP)
    return spectrum * torch.exp(torch.matmul(steps, spread.to(spectrum.device)))


def hann(device: torch.device) -> Tensor:
    """The window [WINDOW]."""
    return torch.tensor(ft.hann(), dtype=torch.float32, device=device)


def turn(device: torch.device) -> Tensor:
    """Signs [BINS] that refer phases to a frame's centre."""
    signs = torch.ones(ft.BINS, device=device)
    signs[1::2] = -1.0
    return signs


def spectra(gains: Tensor, excitation: Tensor, noise: Tensor) -> Tensor:
    """Mid and side [2, B, F, BINS] as the gains have them."""
    mid = gains[:, :, 0] * excitation + gains[:, :, 1] * noise[0]
    side = gains[:, :, 2] * excitation + gains[:, :, 3] * noise[1]
    return torch.stack([mid, side])


def overlap_add(spectrum: Tensor) -> Tensor:
    """[..., F, BINS] -> [..., (F - 1) * HOP + WINDOW], from WINDOW / 2 before the centre of the first frame."""
    window = hann(spectrum.device)
    grains = torch.fft.irfft(spectrum * turn(spectrum.device) * (window.sum() / 2), n=ft.WINDOW) * window
    frames = grains.shape[-2]
    length = (frames - 1) * ft.HOP + ft.WINDOW

    def add(x: Tensor) -> Tensor:
        return F.fold(x.transpose(1, 2), (1, length), (1, ft.WINDOW), stride=(1, ft.HOP)).reshape(-1, length)

    power = add((window**2).expand(1, frames, ft.WINDOW)).clamp(min=1e-3)
    return (add(grains.reshape(-1, frames, ft.WINDOW)) / power).reshape(*spectrum.shape[:-2], length)


def stereo(added: Tensor) -> Tensor:
    """Mid and side [2, B, .] of `overlap_add` -> left, right [B, 2, samples], from the first centre to the last."""
    mid, side = added[..., ft.WINDOW // 2 : 1 - ft.WINDOW // 2]
    return torch.stack([mid + side, mid - side], 1)


def analyse(signal: Tensor) -> Tensor:
    """Centre-referenced spectra [..., F, BINS] of what `overlap_add` made, [..., (F - 1) * HOP + WINDOW]."""
    window = hann(signal.device)
    return torch.fft.rfft(signal.unfold(-1, ft.WINDOW, ft.HOP) * window) * (2.0 / window.sum()) * turn(signal.device)


def white_noise(batch: int, frames: int, device: torch.device) -> Tensor:
    """Centre-referenced spectra of unit white noise [2, B, F, BINS]."""
    length = (frames - 1) * ft.HOP + ft.WINDOW
    return analyse(torch.randn(2 * batch, length, device=device)).reshape(2, batch, frames, ft.BINS)


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
