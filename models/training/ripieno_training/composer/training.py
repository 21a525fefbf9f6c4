"""Fits a network; resumable at any time, the best averaged weights on the validation songs are kept."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn
from tqdm import tqdm

from ..arranger.training import save
from ..muon import Muon
from ..precision import products
from .corpus import Song, part
from .data import Sequences
from .evaluation import held_out
from .model import Composer, losses

CONFIGS = Path(__file__).with_name("configs")
MODELS = tuple(sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "common"))
CHECKPOINT = "composer.pt"


def recipe(model: str, changes: dict) -> dict:
    """The recipe of a model."""
    common, own = (yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in ("common", model))
    return common | own | {"model": model} | changes


def rate_at(step: int, config: dict) -> float:
    """Factor of the learning rates: linear warm-up, then half a cosine to zero, or straight down to a tenth."""
    if step < config["warmup"]:
        return (step + 1) / config["warmup"]
    if config["decay"] == "tenth":
        return 1 - 0.9 * min(1.0, (step - config["warmup"]) / (100_000 - config["warmup"]))
    done = (step - config["warmup"]) / max(1, config["steps"] - config["warmup"])
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def optimisers(model: Composer, config: dict) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the blocks' matrices and AdamW for the rest, or Adam for all."""
    if config["optimiser"] == "adam":
        return [torch.optim.Adam(model.parameters(), lr=config["rate"])]
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in known]
    return [
        Muon(matrices, lr=config["muon_rate"], weight_decay=config["weight_decay"]),
        torch.optim.AdamW(others, lr=config["rate"], betas=(0.9, 0.98), weight_decay=config["weight_decay"]),
    ]


def load_best(folder: Path) -> tuple[Composer, dict]:
    """The kept weights of a training folder, ready to use, and the checkpoint."""
    state = torch.load(Path(folder) / CHECKPOINT, map_location="cpu", weights_only=False)
    state["config"].setdefault("music", "orchestra")
    model = Composer(state["config"])
    model.load_state_dict(state["best"])
    return model.eval(), state


def trained(state: dict) -> dict:
    """Steps and seconds of processor time in which a checkpoint's kept weights were learnt, with those of the network
    that they began as.
    """
    before = state.get("before", {"steps": 0, "seconds": 0.0})
    best = min(state["log"], key=lambda line: line["nll"])
    return {"steps": before["steps"] + best["step"], "seconds": before["seconds"] + state["seconds"]}


@torch.no_grad()
def begin_as(model: Composer, other: Composer) -> None:
    """Takes the weights of another network, which may have more heads of keys and values: those that become one are
    averaged (Ainslie et al. 2023, section 2.1).
    """
    held = other.state_dict()
    for i, (block, known) in enumerate(zip(model.blocks, other.blocks, strict=True)):
        split = [heads * known.size for heads in (known.heads, known.kv_heads, known.kv_heads)]
        queries, *rest = known.qkv.weight.split(split)
        means = (x.unflatten(0, (block.kv_heads, -1, known.size)).mean(1).flatten(0, 1) for x in rest)
        held[f"blocks.{i}.qkv.weight"] = torch.cat([queries, *means])
    model.load_state_dict(held)


def train(
    songs: list[Song],
    out: Path,
    minutes: float,
    resume: bool,
    config: dict,
    device: str = "cpu",
    begin: tuple[Composer, dict] | None = None,
) -> dict:
    """Trains until the recipe's last step or for `minutes` of processor time; returns the checkpoint.

    Where there is nothing to go on from it begins by lot, or as a network and checkpoint `begin`.
    The loss is the sum of the six fields' cross-entropies per event, padding left out. Matrix products run in bf16
    where the device has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    state = torch.load(path, map_location=device, weights_only=False) if resume and path.exists() else None
    torch.manual_seed(config["seed"])
    model = Composer(config).to(device)
    before = {"steps": 0, "seconds": 0.0}
    if begin:
        begin_as(model, begin[0])
        before = trained(begin[1])
    average = copy.deepcopy(model)
    optimise = optimisers(model, config)
    highest = [o.param_groups[0]["lr"] for o in optimise]
    sequences = Sequences(part(songs, "train", config["music"]), config, config["seed"])
    valid = part(songs, "valid", config["music"])
    valid = [valid[i] for i in np.random.default_rng(0).permutation(len(valid))[: config["valid_songs"]]]
    first, seconds, best, kept, log = 0, 0.0, float("inf"), None, []
    if state:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for one, held in zip(optimise, state["optimisers"], strict=True):
            one.load_state_dict(held)
        sequences.rng.bit_generator.state = state["sequences"]
        torch.set_rng_state(state["dice"].cpu())
        first, seconds, best, kept, log = (state[key] for key in ("step", "seconds", "score", "best", "log"))
        before = state.get("before", before)
    began = time.process_time() - seconds
    running: list[float] = []
    for step in tqdm(range(first, config["steps"]), initial=first, total=config["steps"], mininterval=10):
        events, real = (torch.from_numpy(x).to(device) for x in sequences.batch())
        model.train()
        for one, rate in zip(optimise, highest, strict=True):
            one.param_groups[0]["lr"] = rate * rate_at(step, config)
        with products(device):
            loss = losses(model, events, real).sum() / real[:, 1:].sum()
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config["clip"])
        for one in optimise:
            one.step()
        running.append(loss.item())
        decay = min(config["average"], (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        over = time.process_time() - began > 60 * minutes
        if (step + 1) % config["validate_every"] == 0 or step + 1 == config["steps"] or over:
            figures = held_out(average, valid)
            if figures["nll"] < best:
                best, kept = figures["nll"], copy.deepcopy(average.state_dict())
            spent = time.process_time() - began
            log.append({"step": step + 1, "loss": float(np.mean(running)), "seconds": round(spent, 1)} | figures)
            running = []
            tqdm.write(f"step {step + 1}: loss {log[-1]['loss']:.4f}, valid {figures}, {spent / 60:.1f} min")
            save(
                {
                    "config": config, "model": model.state_dict(), "average": average.state_dict(), "best": kept,
                    "score": best, "optimisers": [o.state_dict() for o in optimise], "step": step + 1,
                    "seconds": spent, "sequences": sequences.rng.bit_generator.state, "dice": torch.get_rng_state(),
                    "log": log, "before": before,
                },
                path,
            )  # fmt: skip
            if over:
                break
    return torch.load(path, map_location="cpu", weights_only=False)
