"""What each network is trained to make small."""

import numpy as np
import torch
from torch import Tensor, nn

from .. import features as ft
from ..dataset import Clip, Crops
from ..diffusion import STEPS, alpha_bars
from ..networks import MEL_SCALE
from ..networks.bounded import LARGEST
from ..synthesis import spectral_distance, synthesize, white_noise


def loudest(clips: list[Clip], performances: int, instruments: int) -> Tensor:
    """The ceiling [performances + 1, instruments, BANDS]: per band what all but one frame in a thousand stay below.

    Who was never heard may be as loud as that instrument, or else as anybody, elsewhere.
    """
    ceiling = np.full((performances + 1, instruments, ft.BANDS), -np.inf, np.float32)
    players: dict[tuple[int, int], list[np.ndarray]] = {}
    for clip in clips:
        players.setdefault((clip.performance, clip.instrument), []).append(clip.mel[:, : ft.BANDS])
    for who, mels in players.items():
        ceiling[who] = np.quantile(np.concatenate(mels).astype(np.float32), 0.999, axis=0)
    anywhere = ceiling.max(0)
    anywhere = np.where(np.isinf(anywhere), anywhere.max(0), anywhere)
    return torch.from_numpy(np.where(np.isinf(ceiling), anywhere, ceiling))


def dropped(batch: dict[str, Tensor], probability: float, null: int) -> tuple[Tensor, Tensor]:
    """Performance ids and notes_on, each nulled independently with a probability."""
    size, device = len(batch["performance"]), batch["performance"].device
    performance = torch.where(torch.rand(size, device=device) < probability, null, batch["performance"])
    notes_on = (torch.rand(size, device=device) >= probability).float()
    return performance, notes_on


class PriorLoss:
    """L1 on the mel in units of its deviation; side counts less than mid."""

    def __init__(self, config: dict, null: int) -> None:
        self.config, self.null = config, null

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        performance, notes_on = dropped(batch, self.config["drop"], self.null)
        mel = model(batch["roll"], batch["instrument"], performance, notes_on)
        error = (mel - batch["mel"]).abs() / MEL_SCALE
        return error[..., : ft.BANDS].mean() + self.config["side_weight"] * error[..., ft.BANDS :].mean()


class DenoiserLoss:
    """What a recipe `predicts` on the residual of a frozen prior, in units of the residual's deviation per band.

    `v`: mean square (Salimans & Ho 2022); `epsilon`: L1, as in Maman et al. 2024.
    """

    def __init__(self, config: dict, null: int, prior: nn.Module, deviation: Tensor) -> None:
        self.config, self.null, self.prior, self.deviation = config, null, prior, deviation
        self.bars = torch.tensor(alpha_bars(), dtype=torch.float32, device=deviation.device)

    def residual(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Prior and x0, what it lacks of the truth in deviations, each [B, F, MEL]."""
        on = torch.ones(len(batch["roll"]), device=self.deviation.device)
        with torch.no_grad():
            prior = self.prior(batch["roll"], batch["instrument"], batch["performance"], on)
        return prior, torch.clamp((batch["mel"] - prior) / self.deviation, -LARGEST, LARGEST)

    def distance(self, error: Tensor) -> Tensor:
        """Mean of errors [B, F, MEL]; side counts less than mid."""
        return error[..., : ft.BANDS].mean() + self.config["side_weight"] * error[..., ft.BANDS :].mean()

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        prior, x0 = self.residual(batch)
        performance, notes_on = dropped(batch, self.config["drop"], self.null)
        # Few sampling steps lean on the noisiest times: they are drawn more often than the clean ones.
        t = (torch.rand(len(x0), device=x0.device) ** self.config["time_power"] * STEPS).long().clamp(max=STEPS - 1)
        bar = self.bars[t][:, None, None]
        noise = torch.randn_like(x0)
        x = bar.sqrt() * x0 + (1 - bar).sqrt() * noise
        said = model(x, prior, batch["roll"], batch["instrument"], performance, notes_on, t.float())
        if self.config["predicts"] == "epsilon":
            return self.distance((said - noise).abs())
        return self.distance((said - (bar.sqrt() * noise - (1 - bar).sqrt() * x0)).square())


class VocoderLoss:
    """Distance of spectra and levels of mid and side, away from the crop's edges; two resolutions a step, in turn."""

    def __init__(self, config: dict) -> None:
        self.windows, self.level_weight = config["windows"], config["level_weight"]

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return self.distance(*heard(model, batch))

    def distance(self, ours: Tensor, true: Tensor) -> Tensor:
        """Distance of sounds [N, samples] in some resolutions."""
        return spectral_distance(ours, true, self.some_windows(), self.level_weight)

    def some_windows(self) -> list[int]:
        """Two resolutions that follow one another."""
        first = int(torch.randint(len(self.windows), ()))
        return [self.windows[(first + i) % len(self.windows)] for i in range(2)]


def heard(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What a vocoder makes of a batch and what was played, mid then side [2 * B, samples], without the crops' edges."""
    gains = model(batch["mel"], batch["roll"])
    frames = gains.shape[1]
    ours = synthesize(gains, batch["excitation"], white_noise(len(gains), frames, gains.device))
    true, edge = batch["audio"], 3 * ft.HOP
    ours, true = ours[..., edge:-edge], true[..., edge:-edge]
    ours, true = (torch.cat([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]]) / 2 for x in (ours, true))
    return ours, true


def mean_mel(crops: Crops, count: int) -> Tensor:
    """Mean of `count` crops per band [2 * BANDS]."""
    return torch.from_numpy(np.mean([crops.batch(1)["mel"].mean((0, 1)) for _ in range(count)], 0).astype(np.float32))


def residual_deviation(prior: nn.Module, crops: Crops, count: int, device: torch.device) -> Tensor:
    """Standard deviation of mel - prior per band [2 * BANDS], natural-log units."""
    squares, frames = torch.zeros(2 * ft.BANDS, device=device), 0
    with torch.no_grad():
        for _ in range(count // 16):
            batch = to_tensors(crops.batch(16), device)
            on = torch.ones(16, device=device)
            residual = batch["mel"] - prior(batch["roll"], batch["instrument"], batch["performance"], on)
            squares += residual.square().sum((0, 1))
            frames += residual.shape[0] * residual.shape[1]
    return (squares / frames).sqrt().clamp(min=0.05)


def to_tensors(batch: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """NumPy arrays to tensors on a device."""
    return {key: torch.from_numpy(value).to(device) for key, value in batch.items()}
