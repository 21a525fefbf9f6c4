"""What students learn from: two steps of their teacher, and, where they are to be sharp, judges of mels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion import alpha_bars, guided, times
from ..networks import scaled
from ..networks.discriminators import MelJudges
from .adversary import Adversary
from .losses import DenoiserLoss, dropped


def grid(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Times [steps], and the signal and noise [steps + 1] at each, at last of the clean x0."""
    at = torch.tensor(times(steps))
    bars = torch.cat([torch.from_numpy(alpha_bars())[at], torch.ones(1, dtype=torch.float64)])
    return at, bars.sqrt().float(), (1 - bars).clamp(min=0.0).sqrt().float()


@dataclass(frozen=True)
class Lesson:
    """A batch of a student."""

    x0: Tensor
    """[B, F, MEL], true"""
    x: Tensor
    """the same under noise"""
    conditions: tuple[Tensor, ...]
    """prior, roll, instrument, performance, notes_on"""
    at: Tensor
    """[B] indices of its times"""


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

    def lesson(self, batch: dict[str, Tensor]) -> Lesson:
        """True residuals under the noise of a student's times."""
        prior, x0 = self.residual(batch)
        drop = self.config["drop"] if self.config["guidance"] == 1.0 else 0.0
        performance, notes_on = dropped(batch, drop, self.null)
        at = 2 * torch.randint(self.steps, (len(x0),), device=x0.device)
        x = self.signal[at][:, None, None] * x0 + self.noise[at][:, None, None] * torch.randn_like(x0)
        return Lesson(x0, x, (prior, batch["roll"], batch["instrument"], performance, notes_on), at)

    @torch.no_grad()
    def target(self, lesson: Lesson) -> Tensor:
        """The v by which one step leads where two of the teacher's do."""
        x, conditions, at = lesson.x, lesson.conditions, lesson.at
        a, s, b, r = (
            v[:, None, None] for v in (self.signal[at], self.noise[at], self.signal[at + 2], self.noise[at + 2])
        )
        after = self.step(self.step(x, conditions, at), conditions, at + 1)
        # The x0 from which one step, too, would lead there (their appendix G), and its v.
        aim = (after - r / s * x) / (b - r / s * a)
        return (a * x - aim) / s

    def said(self, model: nn.Module, lesson: Lesson) -> Tensor:
        """The student's v."""
        return model(lesson.x, *lesson.conditions, self.times[lesson.at].float())

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        lesson = self.lesson(batch)
        return self.distance((self.said(model, lesson) - self.target(lesson)).square())


class AdversarialDistilLoss(DistilLoss):
    """A student whose mels judges take for true ones (as Sauer et al. 2023); averaged weights are only measured.

    Beside judges it learns from its teacher, if the recipe says so, and from the truth, since every residual has its
    notes (L1, as Isola et al. 2017).
    """

    def __init__(self, *arguments: Any, kept: dict[str, Any]) -> None:
        super().__init__(*arguments)
        self.recipe = self.config["adversary"]
        judges = MelJudges(self.recipe["widths"]).to(self.deviation.device)
        self.adversary = Adversary(judges, self.recipe, kept)

    def shown(self, prior: Tensor, x0: Tensor) -> Tensor:
        """What judges see of a mel: itself and the prior's, [B, 4, F, BANDS]."""
        mels = torch.cat([scaled(prior + self.deviation * x0), scaled(prior)], -1)
        return mels.unflatten(-1, (4, -1)).transpose(1, 2)

    def __call__(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        lesson = self.lesson(batch)
        v = self.said(model, lesson)
        a, s = (values[lesson.at][:, None, None] for values in (self.signal, self.noise))
        x0, prior = a * lesson.x - s * v, lesson.conditions[0]
        distance = self.distance((x0 - lesson.x0).abs())
        if not model.training:
            return distance
        loss = self.recipe["distance"] * distance + self.adversary(self.shown(prior, x0), self.shown(prior, lesson.x0))
        if self.recipe["teach"] > 0:
            loss = loss + self.recipe["teach"] * self.distance((v - self.target(lesson)).square())
        return loss
