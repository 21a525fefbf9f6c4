"""Progressive distillation (Salimans & Ho 2022): a student that makes in one DDIM step what its teacher makes in two.

A chain of stages, say 4, 2, 1: the student of a stage of n steps learns from 2n steps of the one before, the first
from the teacher. All run at `diffusion.times`, where those of n steps are among those of 2n.
"""

import argparse
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion import alpha_bars, guided, times
from .checkpoint import load_network, network, read, recipe
from .growth import grown
from .losses import DenoiserLoss, dropped
from .run import Run, go_on, load_clips

MARK = "_distilled_"


def grid(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Times [steps], and the signal and noise [steps + 1] at each, at last of the clean x0."""
    at = torch.tensor(times(steps))
    bars = torch.cat([torch.from_numpy(alpha_bars())[at], torch.ones(1, dtype=torch.float64)])
    return at, bars.sqrt().float(), (1 - bars).clamp(min=0.0).sqrt().float()


class DistilLoss(DenoiserLoss):
    """Mean square of v between a student's step and two of its teacher's, at the student's `steps` times."""

    def __init__(
        self, config: dict[str, Any], null: int, prior: nn.Module, deviation: Tensor, teacher: nn.Module, steps: int
    ) -> None:
        super().__init__(config, null, prior, deviation)
        self.teacher, self.steps = teacher, steps
        self.times, self.signal, self.noise = (values.to(deviation.device) for values in grid(2 * steps))

    def taught(self, x: Tensor, conditions: tuple[Tensor, ...], t: Tensor) -> Tensor:
        """The teacher's v, guided where the recipe says so."""
        both = self.teacher(x, *conditions, t)
        weight = self.config["guidance"]
        if weight == 1.0:
            return both
        prior, roll, instrument, performance, notes_on = conditions
        nobody = torch.full_like(performance, self.null)
        no_notes = self.teacher(x, prior, roll, instrument, performance, torch.zeros_like(notes_on), t)
        no_performance = self.teacher(x, prior, roll, instrument, nobody, notes_on, t)
        return guided(both, no_notes, no_performance, weight, weight)

    def step(self, x: Tensor, conditions: tuple[Tensor, ...], at: Tensor) -> Tensor:
        """One DDIM step of the teacher from index `at` [B] of its times to the next."""
        a, s, b, r = (
            v[:, None, None] for v in (self.signal[at], self.noise[at], self.signal[at + 1], self.noise[at + 1])
        )
        v = self.taught(x, conditions, self.times[at].float())
        return b * (a * x - s * v) + r * (s * x + a * v)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        prior, x0 = self.residual(batch)
        drop = self.config["drop"] if self.config["guidance"] == 1.0 else 0.0
        performance, notes_on = dropped(batch, drop, self.null)
        conditions = (prior, batch["roll"], batch["instrument"], performance, notes_on)
        at = 2 * torch.randint(self.steps, (len(x0),), device=x0.device)
        a, s, b, r = (
            v[:, None, None] for v in (self.signal[at], self.noise[at], self.signal[at + 2], self.noise[at + 2])
        )
        x = a * x0 + s * torch.randn_like(x0)
        with torch.no_grad():
            after = self.step(self.step(x, conditions, at), conditions, at + 1)
            # The x0 from which one step, too, would lead there (their appendix G), and its v.
            aim = (after - r / s * x) / (b - r / s * a)
            target = (a * x - aim) / s
        return self.distance((model(x, *conditions, self.times[at].float()) - target).square())


def student(teacher: str, steps: int) -> str:
    """The checkpoint of a teacher's student of so many steps: students of different teachers share a folder."""
    return f"{teacher}{MARK}{steps}"


def teacher_of(name: str) -> str:
    """Whose student a checkpoint is."""
    return name.rpartition(MARK)[0]


def steps_of(name: str) -> int | None:
    """Steps that a checkpoint was distilled for; None of one that was not."""
    _, mark, steps = name.rpartition(MARK)
    return int(steps) if mark else None


def distil(arguments: argparse.Namespace) -> None:
    """All stages, each a checkpoint `TEACHER_distilled_N` beside the teacher's; a finished one is not made again."""
    torch.set_num_threads(arguments.threads)
    folder, before = arguments.out, arguments.teacher
    clips, held = load_clips(arguments, "denoiser")
    for number, steps in enumerate(arguments.stages):
        name, config, state = student(arguments.teacher, steps), recipe("distilled"), read(folder, before)
        if state["config"].get("predicts", "v") != "v":
            raise SystemExit("only a teacher that predicts v can be distilled: at the noisiest time noise says nothing")
        if state["config"].get("onto") == "mean":
            raise SystemExit("only a teacher that adds to the prior can be distilled: the engine has no other")
        config["network"] = state["config"]["network"]
        if number:
            # Guidance was learned in the first stage.
            config["guidance"] = 1.0
        run = Run(arguments, name, config)
        teacher = network(config, run.vocabulary).to(run.device)
        weights = grown(state, teacher, run.vocabulary)["average"]
        teacher.load_state_dict(weights)
        if run.step == 0:
            run.model.load_state_dict(weights)
            run.average.load_state_dict(weights)
        run.kept |= {"residual_std": state["kept"]["residual_std"], "times": times(steps)}
        if not run.kept.get("done"):
            prior, deviation = load_network(folder, "prior").to(run.device), run.kept["residual_std"].to(run.device)
            loss_of = DistilLoss(run.config, len(run.vocabulary.performances), prior, deviation, teacher.eval(), steps)
            go_on(run, loss_of, clips, held, arguments)
            run.kept["done"] = True
            run.save(clips)
        before = name
