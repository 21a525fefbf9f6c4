"""`python -m ripieno_training.train {prior,denoiser,vocoder} --clips DIR --out DIR --minutes M [--resume]`.

Each run is resumable: the newest checkpoint (weights, EMA, optimiser, step, seconds, configuration) is written every
two minutes, atomically. The same command trains on a GPU when there is one, with larger batches.
"""

import argparse
import copy
import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from . import features as ft
from .dataset import Clip, Crops, catalogue, load_split
from .diffusion import STEPS, alpha_bars
from .networks import MEL_SCALE, Bounded, Denoiser, Prior, Vocoder

CONFIGS = Path(__file__).parent / "configs"
SAVE_EVERY = 120.0
"""seconds"""


def network(name: str) -> nn.Module:
    """A fresh network."""
    performances, instruments = (len(ids) for ids in catalogue())
    if name == "vocoder":
        return Vocoder()
    return {"prior": Prior, "denoiser": Denoiser}[name](performances, instruments)


def load_network(folder: Path, name: str) -> nn.Module:
    """The averaged weights of a checkpoint, ready to use."""
    model = network(name)
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=False)
    model.load_state_dict(state["average"])
    if "ceiling" in state["kept"]:
        model.ceiling.copy_(state["kept"]["ceiling"])
    return model.eval()


def load_bounded(folder: Path) -> tuple[Bounded, Tensor]:
    """The denoiser of a folder as it is shipped, and the residual's deviation per band [MEL]."""
    state = torch.load(folder / "denoiser.pt", map_location="cpu", weights_only=False)
    deviation, bars = state["kept"]["residual_std"], torch.from_numpy(alpha_bars())
    ceiling = load_network(folder, "prior").ceiling
    return Bounded(load_network(folder, "denoiser"), bars, deviation, ceiling).eval(), deviation


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


def prior_loss(model: nn.Module, batch: dict[str, Tensor], config: dict, null: int) -> Tensor:
    """L1 on the mel in units of its deviation; side counts less than mid."""
    performance, notes_on = dropped(batch, config["drop"], null)
    mel = model(batch["roll"], batch["instrument"], performance, notes_on)
    error = (mel - batch["mel"]).abs() / MEL_SCALE
    return error[..., : ft.BANDS].mean() + config["side_weight"] * error[..., ft.BANDS :].mean()


class DenoiserLoss:
    """Mean square of v on the residual of a frozen prior, in units of the residual's deviation per band."""

    def __init__(self, prior: nn.Module, deviation: Tensor) -> None:
        self.prior, self.deviation = prior, deviation
        self.bars = torch.tensor(alpha_bars(), dtype=torch.float32, device=deviation.device)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor], config: dict, null: int) -> Tensor:
        on = torch.ones(len(batch["roll"]), device=self.deviation.device)
        with torch.no_grad():
            prior = self.prior(batch["roll"], batch["instrument"], batch["performance"], on)
        x0 = torch.clamp((batch["mel"] - prior) / self.deviation, -8.0, 8.0)
        performance, notes_on = dropped(batch, config["drop"], null)
        # Few sampling steps lean on the noisiest times: they are drawn more often than the clean ones.
        t = (torch.rand(len(x0), device=x0.device) ** config["time_power"] * STEPS).long().clamp(max=STEPS - 1)
        bar = self.bars[t][:, None, None]
        noise = torch.randn_like(x0)
        x = bar.sqrt() * x0 + (1 - bar).sqrt() * noise
        target = bar.sqrt() * noise - (1 - bar).sqrt() * x0
        v = model(x, prior, batch["roll"], batch["instrument"], performance, notes_on, t.float())
        error = (v - target).square()
        return error[..., : ft.BANDS].mean() + config["side_weight"] * error[..., ft.BANDS :].mean()


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


def spectral_distance(ours: Tensor, true: Tensor, windows: list[int]) -> Tensor:
    """Multi-resolution STFT distance (Yamamoto et al. 2020): log-magnitude L1, spectral convergence; [N, samples]."""
    total = ours.new_zeros(())
    for size in windows:
        a, b = magnitudes(ours, size), magnitudes(true, size)
        convergence = (a - b).norm() / (b.norm() + 1e-3)
        total = total + (torch.log(a + 1e-5) - torch.log(b + 1e-5)).abs().mean() + CONVERGENCE_WEIGHT * convergence
    return total / len(windows)


def vocoder_loss(model: nn.Module, batch: dict[str, Tensor], config: dict, null: int) -> Tensor:
    """Multi-resolution STFT distance of mid and side, away from the crop's edges; two resolutions a step, in turn."""
    gains = model(batch["mel"], batch["roll"])
    frames = gains.shape[1]
    ours = synthesize(gains, batch["excitation"], white_noise(len(gains), frames, gains.device))
    true = batch["audio"]
    edge = 3 * ft.HOP
    ours, true = ours[..., edge:-edge], true[..., edge:-edge]
    channels = [torch.cat([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]]) / 2 for x in (ours, true)]
    first = int(torch.randint(len(config["windows"]), ()))
    windows = [config["windows"][(first + i) % len(config["windows"])] for i in range(2)]
    return spectral_distance(channels[0], channels[1], windows)


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


def train(arguments: argparse.Namespace) -> None:
    """One training run."""
    name, out = arguments.model, arguments.out
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config["seed"])
    model = network(name).to(device)
    average = copy.deepcopy(model).eval()
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decay, "weight_decay": config["weight_decay"]},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=config["rate"], betas=(0.9, 0.99))
    step, seconds, kept = 0, 0.0, {}
    file = out / f"{name}.pt"
    if arguments.resume and file.exists():
        state = torch.load(file, map_location=device, weights_only=False)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds, kept = state["step"], state["seconds"], state["kept"]
    null = len(catalogue()[0])
    audio = name == "vocoder"
    clips = load_split(arguments.clips, "train", arguments.threads, audio)
    crops = Crops(clips, config["frames"], config["seed"] + step)
    held = load_split(arguments.clips, "valid", arguments.threads, audio) if arguments.valid else []
    if name == "prior":
        loss_of = prior_loss
        kept["ceiling"] = loudest(clips, *(len(ids) for ids in catalogue()))
    elif name == "vocoder":
        loss_of = vocoder_loss
    else:
        prior = load_network(out, "prior").to(device)
        if "residual_std" not in kept:
            kept["residual_std"] = residual_deviation(prior, crops, 512, device).cpu()
        loss_of = DenoiserLoss(prior, kept["residual_std"].to(device))
    limit, size = (
        arguments.minutes * 60.0,
        config["batch"] * (config["gpu_factor"] if device.type == "cuda" else 1),
    )
    total = seconds + limit
    log = csv.writer(open(out / f"{name}.csv", "a" if step else "w", newline=""))
    draw = crops.audio_batch if audio else crops.batch
    smooth, started, saved = None, time.monotonic(), time.monotonic()
    bar = tqdm(total=int(limit), unit="s", desc=name, mininterval=10)

    def save() -> None:
        state = {
            "model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
            "step": step, "seconds": seconds + time.monotonic() - started, "config": config, "kept": kept,
            "clips": len(clips), "hours": sum(len(c.mel) for c in clips) / ft.FPS / 3600, "device": str(device),
        }  # fmt: skip
        part = file.with_suffix(".part")
        torch.save(state, part)
        part.rename(file)

    def measure() -> float:
        random = Crops(held, config["frames"], 1)
        pick = random.audio_batch if audio else random.batch
        torch.manual_seed(1)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            return float(
                np.mean([loss_of(average, to_tensors(pick(8), device), config, null).item() for _ in range(6)])
            )

    while (elapsed := time.monotonic() - started) < limit:
        # Cosine over the planned time: a wall-clock budget is what a run here is given.
        progress = (seconds + elapsed) / total
        warm = min(1.0, (step + 1) / config["warmup"])
        rate = config["rate"] * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = to_tensors(draw(size), device)
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(model, batch, config, null)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config["clip"])
        if torch.isfinite(norm):
            optimiser.step()
        step += 1
        weight = min(config["average"], (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(b, 1 - weight)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0:
            log.writerow([step, round(seconds + elapsed, 1), round(smooth, 5)])
            bar.set_postfix(step=step, loss=round(smooth, 4), refresh=False)
        bar.update(int(elapsed) - bar.n)
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save()
            if held:
                print(
                    f"\n{name} step {step} {(seconds + elapsed) / 60:.1f} min train {smooth:.4f} valid {measure():.4f}",
                    flush=True,
                )
                torch.manual_seed(config["seed"] + step)
    save()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.train", description=__doc__)
    parser.add_argument("model", choices=["prior", "denoiser", "vocoder"])
    parser.add_argument("--clips", type=Path, required=True, help="folder the data renderer wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of this run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--valid", action="store_true", help="measure on the valid split at every checkpoint")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
