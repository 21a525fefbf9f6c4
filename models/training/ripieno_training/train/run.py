"""One training run, resumable: the newest checkpoint is written every two minutes, atomically."""

import argparse
import copy
import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from ..dataset import Clip, Crops, load_split
from ..networks import MeanMel
from ..precision import products
from ..shifting import with_shifted
from ..transcriber import mixtures
from ..transcriber.loss import TranscriberLoss
from ..vocabulary import current
from .adversarial import AdversarialLoss
from .checkpoint import load_network, network, read, recipe
from .feeding import feed
from .growth import grown, known, order
from .losses import DenoiserLoss, PriorLoss, VocoderLoss, loudest, mean_mel, residual_deviation, to_tensors

SAVE_EVERY = 120.0
"""seconds"""
LAST_RATE = 0.03
"""of the learning rate, where its cosine ends"""
SHIFT_SEED = 20261128
TRANSCRIBER = "transcriber"
AUDIBLE = ("vocoder",)
"""networks that are trained on sound, not on mel frames"""

Loss = Callable[[nn.Module, dict[str, Tensor]], Tensor]
Clips = list[Clip] | list[mixtures.Mono]


@dataclass
class Schedule:
    """The learning rate: a warm-up, then a cosine over the planned minutes or steps, whichever end first."""

    rate: float
    warmup: int
    step: int = 0
    """where it began"""
    seconds: float = 0.0
    """of training, where it began"""

    def at(self, step: int, seconds: float, last_step: float, last_second: float) -> float:
        """The rate of a step."""
        by_time = (seconds - self.seconds) / max(last_second - self.seconds, 1e-9)
        by_step = (step - self.step) / max(last_step - self.step, 1e-9)
        progress = min(1.0, max(by_time, by_step))
        warm = min(1.0, (step - self.step + 1) / self.warmup)
        return self.rate * warm * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def optimiser_of(model: nn.Module, config: dict[str, Any]) -> torch.optim.AdamW:
    """AdamW; only matrices decay."""
    names, parameters = order(model), dict(model.named_parameters())
    matrices = sum(p.ndim > 1 for p in parameters.values())
    groups = [
        {"params": [parameters[n] for n in names[:matrices]], "weight_decay": config["weight_decay"]},
        {"params": [parameters[n] for n in names[matrices:]], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config["rate"], betas=(0.9, 0.99), fused=True)


def changed(config: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """A recipe with KEY=VALUE changes, values in YAML."""
    for change in changes:
        key, _, value = change.partition("=")
        if key not in config:
            raise SystemExit(f"the recipe has no {key}; it has {', '.join(config)}")
        # YAML takes 1e-3 for a word.
        config[key] = float(value) if isinstance(config[key], float) else yaml.safe_load(value)
    return config


class Run:
    """A network, its average, its optimiser and how far they have come."""

    def __init__(self, arguments: argparse.Namespace, name: str, config: dict[str, Any]) -> None:
        self.name, self.out = name, arguments.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.file = arguments.out / f"{name}.pt"
        self.config = changed(config, arguments.set)
        self.vocabulary = current()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_float32_matmul_precision("high")
        torch.manual_seed(self.config["seed"])
        self.model = network(self.config, self.vocabulary).to(self.device)
        self.average = copy.deepcopy(self.model).eval()
        self.optimiser = optimiser_of(self.model, self.config)
        self.step, self.seconds, self.kept = 0, 0.0, {}
        self.schedule = Schedule(self.config["rate"], self.config["warmup"])
        if arguments.resume and self.file.exists():
            self.resume(arguments.grow, dict(pair.split("=", 1) for pair in arguments.like), arguments.rewarm)

    def resume(self, grow: bool, like: dict[str, str], rewarm: bool) -> None:
        """Goes on from the newest checkpoint."""
        state = torch.load(self.file, map_location=self.device, weights_only=False)
        before = known(state, self.vocabulary)
        same = (before.performances, before.instruments) == (self.vocabulary.performances, self.vocabulary.instruments)
        if not same and not grow:
            raise SystemExit(
                f"{self.file} knows {len(before.performances)} performances and {len(before.instruments)} instruments, "
                f"performances.toml {len(self.vocabulary.performances)} and {len(self.vocabulary.instruments)}: "
                "--grow extends it"
            )
        if unknown := set(like.values()) - {*before.performances, *before.instruments}:
            raise SystemExit(f"--like: {self.file} knows no {', '.join(sorted(unknown))}")
        state = grown(state, self.model, self.vocabulary, like)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.kept = state["step"], state["seconds"], state["kept"]
        if not same or rewarm:
            # What was measured of the old players does not hold for the new ones.
            self.kept.pop("residual_std", None)
            self.schedule.step, self.schedule.seconds = self.step, self.seconds
        elif "schedule" in state:
            self.schedule.step, self.schedule.seconds = state["schedule"]["step"], state["schedule"]["seconds"]

    def save(self, clips: Clips) -> None:
        """Writes the checkpoint."""
        state = {
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "step": self.step, "seconds": self.seconds,
            "schedule": asdict(self.schedule), "config": self.config, "kept": self.kept,
            "vocabulary": self.vocabulary.kept(), "clips": len(clips),
            "hours": sum(clip.seconds for clip in clips) / 3600, "device": str(self.device),
        }  # fmt: skip
        part = self.file.with_suffix(".part")
        torch.save(state, part)
        part.rename(self.file)

    def learn(self, loss_of: Loss, batch: dict[str, Tensor], rate: float) -> float:
        """One step; the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with products(self.device.type):
            loss = loss_of(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config["clip"])
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        weight = min(self.config["average"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for a, b in zip(self.average.parameters(), self.model.parameters(), strict=True):
                a.lerp_(b, 1 - weight)
        return loss.item()


def coarse(run: Run, crops: Crops) -> nn.Module:
    """What a denoiser adds to: the folder's prior or the mean mel; measures what it lacks of the truth."""
    if run.config["onto"] == "mean":
        if "mean_mel" not in run.kept:
            run.kept["mean_mel"] = mean_mel(crops, 512)
        prior: nn.Module = MeanMel(run.kept["mean_mel"]).to(run.device)
    else:
        prior = load_network(run.out, "prior").to(run.device)
        if run.name != "denoiser" and (run.out / "denoiser.pt").exists():
            # All denoisers of a folder share the residual of its prior, and the engine knows one deviation.
            run.kept["residual_std"] = read(run.out, "denoiser")["kept"]["residual_std"]
    if "residual_std" not in run.kept:
        run.kept["residual_std"] = residual_deviation(prior, crops, 512, run.device).cpu()
    return prior


def drawn_from(run: Run, clips: Clips, seed: int) -> Crops | mixtures.Mixtures:
    """What a run's batches are cut from."""
    kind = mixtures.Mixtures if run.name == TRANSCRIBER else Crops
    return kind(clips, run.config["frames"], seed)


def objective(run: Run, clips: Clips) -> Loss:
    """What the network of a run is trained to make small; measures what that needs to know of the data."""
    if run.name == TRANSCRIBER:
        return TranscriberLoss(run.config)
    null = len(run.vocabulary.performances)
    if run.name == "prior":
        run.kept["ceiling"] = loudest(clips, null, len(run.vocabulary.instruments))
        return PriorLoss(run.config, null)
    if run.name == "vocoder":
        if "adversary" in run.config:
            return AdversarialLoss(run.config, run.kept, run.device)
        return VocoderLoss(run.config)
    prior = coarse(run, Crops(clips, run.config["frames"], run.config["seed"] + run.step))
    return DenoiserLoss(run.config, null, prior, run.kept["residual_std"].to(run.device))


def measured(run: Run, loss_of: Loss, held: Clips) -> float:
    """The loss of the averaged weights on the same 48 crops each time."""
    crops = drawn_from(run, held, 1)
    draw = crops.audio_batch if run.name in AUDIBLE else crops.batch
    torch.manual_seed(1)
    with torch.no_grad(), products(run.device.type):
        losses = [loss_of(run.average, to_tensors(draw(8), run.device)).item() for _ in range(6)]
    torch.manual_seed(run.config["seed"] + run.step)
    return float(np.mean(losses))


def load_clips(arguments: argparse.Namespace, name: str) -> tuple[Clips, Clips]:
    """Clips to train on, and those that losses are measured on, if that is wanted."""
    if name == TRANSCRIBER:
        held = mixtures.load_split(arguments.clips, "valid") if arguments.valid else []
        return mixtures.load_split(arguments.clips, "train"), held
    audible, share = name in AUDIBLE, arguments.shifted
    clips = load_split(arguments.clips, "train", arguments.threads, audible or share > 0)
    if share > 0:
        clips = with_shifted(clips, share, SHIFT_SEED, audible)
    return clips, load_split(arguments.clips, "valid", arguments.threads, audible) if arguments.valid else []


def go_on(run: Run, loss_of: Loss, clips: Clips, held: Clips, arguments: argparse.Namespace) -> None:
    """Trains for the minutes or steps asked for, and writes checkpoints."""
    config, audible = run.config, run.name in AUDIBLE
    crops = drawn_from(run, clips, config["seed"] + run.step)
    size = config["batch"] * (config["gpu_factor"] if run.device.type == "cuda" else 1)
    batches = feed(crops, size, audible, arguments.workers, run.device)
    before, first_step = run.seconds, run.step
    last_step, last_second = first_step + arguments.steps, before + 60 * arguments.minutes
    log = csv.writer(open(run.file.with_suffix(".csv"), "a" if run.step else "w", newline=""))
    smooth, started, saved = None, time.monotonic(), time.monotonic()
    bar = tqdm(total=100, unit="%", desc=run.name, mininterval=10)

    def said() -> str:
        valid = f" valid {measured(run, loss_of, held):.4f}" if held else ""
        return f"{run.name} step {run.step} {run.seconds / 60:.1f} min train {smooth:.4f}{valid}"

    while run.step < last_step and run.seconds < last_second:
        rate = run.schedule.at(run.step, run.seconds, last_step, last_second)
        loss = run.learn(loss_of, next(batches), rate)
        run.seconds = before + time.monotonic() - started
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        if run.step % 50 == 0 or run.step == first_step + 1:
            log.writerow([run.step, round(run.seconds, 1), round(smooth, 5)])
            bar.set_postfix(step=run.step, loss=round(smooth, 4), refresh=False)
        done = max((run.step - first_step) / arguments.steps, (run.seconds - before) / (last_second - before))
        bar.update(int(100 * done) - bar.n)
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            run.save(clips)
            if held:
                tqdm.write(said())
    run.save(clips)
    if run.step > first_step:
        tqdm.write(f"{said()} {(run.seconds - before) / (run.step - first_step):.3f} s a step")


def train(arguments: argparse.Namespace, name: str, of: str | None = None) -> None:
    """One training run of a network by the recipe of its name, or another."""
    torch.set_num_threads(arguments.threads)
    run = Run(arguments, name, recipe(of or name))
    clips, held = load_clips(arguments, name)
    go_on(run, objective(run, clips), clips, held, arguments)
