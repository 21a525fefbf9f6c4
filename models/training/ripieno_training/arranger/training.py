"""Fits the network; resumable at any time, the best averaged weights on the validation pieces are kept."""

import copy
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor
from tqdm import tqdm

from .data import Crops, load_split
from .evaluation import accuracy, torch_run
from .model import Arranger, rest

CONFIG = Path(__file__).with_name("config.yaml")
CHECKPOINT = "arranger.pt"


def loss_of(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B, T, parts + 1] and labels [B, T]; padding (0) does not count."""
    return F.cross_entropy(logits.flatten(0, 1), label.flatten(), ignore_index=0)


def rate_at(step: int, config: dict) -> float:
    """Linear warm-up, then half a cosine to zero."""
    if step < config["warmup"]:
        return config["rate"] * (step + 1) / config["warmup"]
    done = (step - config["warmup"]) / max(1, config["steps"] - config["warmup"])
    return config["rate"] * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def save(state: dict, path: Path) -> None:
    """Writes a checkpoint that is either the old or the new one, whatever happens meanwhile."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load_best(folder: Path) -> tuple[Arranger, dict]:
    """The kept weights of a training folder, ready to use, and the checkpoint."""
    state = torch.load(Path(folder) / CHECKPOINT, map_location="cpu", weights_only=False)
    model = Arranger(state["config"]["dropout"])
    model.load_state_dict(state["best"])
    return model.eval(), state


def train(data: Path, out: Path, minutes: float, resume: bool, changes: dict) -> dict:
    """Trains until validation no longer improves, the recipe's last step, or for `minutes` of processor time.

    Returns the checkpoint.
    """
    config = yaml.safe_load(CONFIG.read_text()) | changes
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    state = torch.load(path, map_location="cpu", weights_only=False) if resume and path.exists() else None
    if state:
        config = state["config"] | changes
    torch.manual_seed(config["seed"])
    model = Arranger(config["dropout"])
    average = copy.deepcopy(model)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config["rate"])
    crops = Crops(load_split(data, "train"), config, config["seed"])
    valid = load_split(data, "valid")
    first, seconds, best, kept = 0, 0.0, -1.0, None
    log: list[dict] = []
    if state:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        crops.rng.bit_generator.state, crops.deck = state["crops"]
        torch.set_rng_state(state["dice"])
        first, seconds, best, kept, log = (state[key] for key in ("step", "seconds", "accuracy", "best", "log"))
    began = time.process_time() - seconds
    bar = tqdm(range(first, config["steps"]), initial=first, total=config["steps"], mininterval=10)
    losses: list[float] = []
    step = first
    for step in bar:
        batch = crops.batch()
        model.train()
        optimiser.param_groups[0]["lr"] = optimiser.param_groups[1]["lr"] = rate_at(step, config)
        pitch, beat, position, label = (
            torch.from_numpy(np.ascontiguousarray(x)) for x in (batch.pitch, batch.beat, batch.position, batch.label)
        )
        logits, _, _ = model(pitch, beat, position, *rest(len(pitch)))
        loss = loss_of(logits, label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config["clip"])
        optimiser.step()
        losses.append(loss.item())
        decay = min(config["average"], (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 1 - decay)
        spent = time.process_time() - began
        over = spent > 60 * minutes
        if (step + 1) % config["validate_every"] == 0 or step + 1 == config["steps"] or over:
            score = accuracy(torch_run(average), valid)
            if score > best:
                best, kept = score, copy.deepcopy(average.state_dict())
            log.append({"step": step + 1, "loss": float(np.mean(losses)), "valid": score, "seconds": round(spent, 1)})
            losses = []
            tqdm.write(f"step {step + 1}: loss {log[-1]['loss']:.4f}, valid {100 * score:.2f} %, {spent / 60:.1f} min")
            save(
                {
                    "config": config, "model": model.state_dict(), "average": average.state_dict(), "best": kept,
                    "accuracy": best, "optimiser": optimiser.state_dict(), "step": step + 1, "seconds": spent,
                    "crops": (crops.rng.bit_generator.state, crops.deck), "dice": torch.get_rng_state(), "log": log,
                },
                path,
            )  # fmt: skip
            if over or step + 1 - max(log, key=lambda line: line["valid"])["step"] >= config["patience"]:
                break
    return torch.load(path, map_location="cpu", weights_only=False)
