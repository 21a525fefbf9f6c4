"""Judges, and what is learnt from them: hinge losses (Lim & Ye 2017), feature matching."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.discriminators import Judged


def deceived(judgements: list[Judged]) -> Tensor:
    """Small where the judges take what they heard for true."""
    return torch.stack([-judged[-1].float().mean() for judged in judgements]).mean()


def discerned(false: list[Judged], true: list[Judged]) -> Tensor:
    """Small where the judges tell both apart by more than the hinge."""
    pairs = zip(false, true, strict=True)
    return torch.stack([F.relu(1 + f[-1].float()).mean() + F.relu(1 - t[-1].float()).mean() for f, t in pairs]).mean()


def apart(false: list[Judged], true: list[Judged]) -> Tensor:
    """Mean distance of the activations, in units of how large the true ones are."""
    distances = [
        (a.float() - b.float()).abs().mean() / (b.float().abs().mean() + 1e-3)
        for f, t in zip(false, true, strict=True)
        for a, b in zip(f[:-1], t[:-1], strict=True)
    ]
    return torch.stack(distances).mean()


class Adversary:
    """Judges that learn from every pair they are shown, and say what could be better about ours.

    `kept` is what the checkpoint keeps beside the network: there the judges are found, and left.
    """

    def __init__(self, judges: nn.Module, recipe: dict[str, Any], kept: dict[str, Any]) -> None:
        self.judges, self.recipe, self.kept = judges, recipe, kept
        self.optimiser = torch.optim.AdamW(judges.parameters(), lr=recipe["rate"], betas=(0.8, 0.99))
        if "adversary" in kept:
            self.judges.load_state_dict(kept["adversary"]["judges"])
            self.optimiser.load_state_dict(kept["adversary"]["optimiser"])

    def __call__(self, ours: Tensor, true: Tensor) -> Tensor:
        """Learns, then judges: small where ours passes for true."""
        self.learn(ours.detach(), true)
        self.judges.requires_grad_(False)
        false, right = self.judges(ours), self.judges(true)
        self.judges.requires_grad_(True)
        return self.recipe["deceive"] * deceived(false) + self.recipe["match"] * apart(false, right)

    def learn(self, ours: Tensor, true: Tensor) -> None:
        """One step of the judges."""
        loss = discerned(self.judges(ours), self.judges(true))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.judges.parameters(), self.recipe["clip"])
        self.optimiser.step()
        self.kept["adversary"] = {"judges": self.judges.state_dict(), "optimiser": self.optimiser.state_dict()}
