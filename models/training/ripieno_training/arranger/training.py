"""Fits a network; resumable at any time, the best averaged weights on the validation pieces are kept."""

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

from ..precision import products
from .corpus import Corpus
from .data import Crops
from .evaluation import Run, accuracy, alone, hints_of, torch_run, views
from .kinds import KINDS
from .model import Arranger, Dense

CONFIGS = Path(__file__).with_name("configs")
MODELS = tuple(sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "common"))
CHECKPOINT = "arranger.pt"


def recipe(kind: str, model: str, inputs: list[str], changes: dict) -> dict:
    """The recipe of a model for a kind. inputs: further ones for the paper's networks, always given."""
    own = yaml.safe_load((CONFIGS / f"{model}.yaml").read_text())
    config = yaml.safe_load((CONFIGS / "common.yaml").read_text()) | own
    config |= config.pop("kinds", {}).get(kind, {})
    config["inputs"] = [*config["inputs"], *(name for name in inputs if name not in config["inputs"])]
    config |= {f"{name}_given": 1.0 for name in ("entry", "hint") if name in inputs}
    return config | {"kind": kind, "model": model} | changes


def loss_of(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B, T, parts + 1] and labels [B, T]; padding (0) does not count."""
    return F.cross_entropy(logits.float().flatten(0, 1), label.flatten(), ignore_index=0)


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


def build(config: dict) -> Arranger | Dense:
    return (Dense if config["network"] == "dense" else Arranger)(config, len(KINDS[config["kind"]].parts))


def validated(model: Arranger | Dense) -> Run:
    """How a network is validated: fast, and where it knows a history, by its own."""
    run = torch_run(model, fast=True)
    return alone(run, model.parts) if "history" in model.config["inputs"] else run


def load_best(folder: Path) -> tuple[Arranger, dict]:
    """The kept weights of a training folder, ready to use, and the checkpoint."""
    state = torch.load(Path(folder) / CHECKPOINT, map_location="cpu", weights_only=False)
    model = build(state["config"])
    model.load_state_dict(state["best"])
    return model.eval(), state


def validation(corpus: Corpus, config: dict) -> list[list[dict[str, np.ndarray]]]:
    """Inputs of the validation pieces under each kind of hints."""
    every = corpus.part("valid")
    cut = Corpus(every.kind, [], [], [])
    for piece, near in zip(every.pieces, every.near, strict=True):
        if cut.notes < config["valid_notes"]:
            cut.pieces.append(piece)
            cut.near.append(near)
    known = [False, True] if "velocity" in config["inputs"] else [False]
    return [views(cut, hints, velocity=velocity) for velocity in known for hints in hints_of(config["inputs"])]


def train(corpus: Corpus, out: Path, minutes: float, resume: bool, config: dict, device: str = "cpu") -> dict:
    """Trains until validation no longer improves, the recipe's last step, or for `minutes` of processor time.

    Returns the checkpoint. Matrix products run in bf16 where the device has it: on an AMX processor an LSTM trains
    three times faster so, and the weights stay fp32.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    state = torch.load(path, map_location=device, weights_only=False) if resume and path.exists() else None
    torch.manual_seed(config["seed"])
    model = build(config).to(device)
    average = copy.deepcopy(model)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=config["rate"])
    crops = Crops(corpus.part("train"), config, config["seed"])
    valid = validation(corpus, config)
    first, seconds, best, kept = 0, 0.0, -1.0, None
    log: list[dict] = []
    if state:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        crops.rng.bit_generator.state, crops.deck = state["crops"]
        torch.set_rng_state(state["dice"].cpu())
        first, seconds, best, kept, log = (state[key] for key in ("step", "seconds", "accuracy", "best", "log"))
    began = time.process_time() - seconds
    losses: list[float] = []
    for step in tqdm(range(first, config["steps"]), initial=first, total=config["steps"], mininterval=10):
        batch = {name: torch.from_numpy(x).to(device) for name, x in crops.batch().items()}
        model.train()
        optimiser.param_groups[0]["lr"] = optimiser.param_groups[1]["lr"] = rate_at(step, config)
        with products(device):
            logits, _ = model(batch)
        loss = loss_of(logits, batch["label"])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config["clip"])
        optimiser.step()
        losses.append(loss.item())
        decay = min(config["average"], (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        spent = time.process_time() - began
        over = spent > 60 * minutes
        if (step + 1) % config["validate_every"] == 0 or step + 1 == config["steps"] or over:
            scores = [accuracy(validated(average), seen) for seen in valid]
            score = float(np.mean(scores))
            if score > best:
                best, kept = score, copy.deepcopy(average.state_dict())
            spent = time.process_time() - began
            log.append({"step": step + 1, "loss": float(np.mean(losses)), "valid": score, "seconds": round(spent, 1)})
            losses = []
            shown = " / ".join(f"{100 * x:.2f}" for x in scores)
            tqdm.write(f"step {step + 1}: loss {log[-1]['loss']:.4f}, valid {shown} %, {spent / 60:.1f} min")
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
