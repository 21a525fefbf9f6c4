"""`python -m ripieno_training.restore prior denoiser vocoder --out DIR`: checkpoints from the files that ship.

Training goes on from them (`train NETWORK --resume --rewarm`), though nobody kept the checkpoints they were exported
from. What a file lacks begins anew: the optimiser's moments, the weights before averaging, and what performances share
with their room, which the exporter has added to each of them. Weights are what fp16 or 8 bits keep of them.

How it finds a weight: it exports a network of the same recipe whose every weight is another number, and looks where in
that file each number lies, and whether transposed. No name that the exporter gives has to be known.
"""

import argparse
import copy
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .diffusion import alpha_bars
from .export import export
from .manifest import MANIFEST, read
from .networks import Players, Prior, bounded
from .signatures import SIGNATURES, example
from .storage import weights
from .train.checkpoint import network, recipe
from .train.run import optimiser_of
from .vocabulary import Vocabulary, parse

NAMES = tuple(SIGNATURES)
"""networks whose checkpoint and file have one name"""
NEAR, NEAR_IN_8_BITS = 2e-3, 0.02
"""of the largest output: how near a restored network must be to its file, whose inner products are rounded otherwise"""


def heard(models: Path) -> Vocabulary:
    """Whom the exported networks of a models folder know."""
    cards = tomllib.loads((models / "synth" / "performances.toml").read_text())
    return parse(cards).first(cards["trained"]["performances"], cards["trained"]["instruments"])


def shipped(model: nn.Module, ceiling: Tensor | None, deviation: Tensor | None) -> nn.Module:
    """A copy of a network as the exporter writes it: rooms folded, a denoiser under its ceiling."""
    model = copy.deepcopy(model).eval()
    for part in model.modules():
        if isinstance(part, Players):
            part.fold()
    if isinstance(model, Prior):
        model.ceiling.copy_(ceiling)
        return model
    return model if deviation is None else bounded(model, torch.from_numpy(alpha_bars()), deviation, ceiling, "v")


def numbers(file: Path) -> list[np.ndarray]:
    """Every tensor of numbers of a file, in its order: weights, then constants of the graph."""
    graph = onnx.load(str(file)).graph
    constants = [node.attribute[0].t for node in graph.node if node.op_type == "Constant"]
    return [*weights(graph), *(numpy_helper.to_array(tensor).astype(np.float32) for tensor in constants)]


def found(fresh: list[np.ndarray], theirs: list[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """What lies in the shipped file where the fresh one has `wanted`."""
    for ours, other in zip(fresh, theirs, strict=True):
        if ours.shape == wanted.shape and np.array_equal(ours, wanted):
            return other
        if wanted.ndim == 2 and ours.shape == wanted.shape[::-1] and np.array_equal(ours.T, wanted):
            return other.T
    raise SystemExit("the file was exported by other code or another recipe: a weight is not where it should be")


def restored(name: str, models: Path, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The checkpoint of a network of a models folder, as `train` resumes from it."""
    config, vocabulary, manifest = config or recipe(name), heard(models), read(models / "manifest.toml")
    file, signature = models / "synth" / f"{name}.onnx", SIGNATURES[name]
    model = network(config, vocabulary)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
        for part in model.modules():
            if isinstance(part, Players):
                part.room.weight.zero_()
    ceiling = torch.randn(len(vocabulary.performances) + 1, len(vocabulary.instruments), 128)
    kept: dict[str, Tensor] = {}
    if name == "denoiser":
        synth = manifest["synth"]
        kept["residual_std"] = torch.tensor(synth["residual_std"]) / synth.get("residual_share", 1.0)
    fresh = shipped(model, ceiling, kept.get("residual_std"))
    with tempfile.TemporaryDirectory() as folder:
        export(fresh, signature, Path(folder) / "fresh.onnx", fp16=False)
        ours, theirs = numbers(Path(folder) / "fresh.onnx"), numbers(file)
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        raise SystemExit(f"{file} was exported by other code or another recipe: its tensors have other shapes")
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if not key.endswith("players.room.weight"):
                weight.copy_(torch.from_numpy(found(ours, theirs, weight.numpy()).copy()))
    if name != "vocoder":
        ceiling = torch.from_numpy(found(ours, theirs, ceiling.numpy()).copy())
    if name == "prior":
        kept["ceiling"] = ceiling
    agree(shipped(model, ceiling, kept.get("residual_std")), name, file)
    figures = next(entry for entry in manifest["model"] if entry["name"] == name)["figures"]
    return {
        "model": model.state_dict(), "average": model.state_dict(),
        "optimiser": optimiser_of(model, config).state_dict(), "step": figures["training_steps"],
        "seconds": 60 * figures["training_minutes"], "config": config, "kept": kept, "vocabulary": vocabulary.kept(),
        "hours": figures["training_hours_of_audio"], "device": figures["device"],
    }  # fmt: skip


def agree(model: nn.Module, name: str, file: Path) -> None:
    """Holds a restored network to its file."""
    inputs, _ = SIGNATURES[name]
    feed = example(inputs, 2, 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {line["name"]: x.numpy() for line, x in zip(inputs, feed, strict=True)})[0]
    with torch.no_grad():
        apart = np.abs(model(*feed).numpy() - theirs).max() / np.abs(theirs).max()
    if not apart < (NEAR_IN_8_BITS if name == "denoiser" else NEAR):
        raise SystemExit(f"{file}: what was restored differs from it by {apart:.2g} of its largest output")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.restore", description=__doc__)
    parser.add_argument("names", nargs="+", choices=NAMES)
    parser.add_argument("--models", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints; none of its files is replaced")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        file = arguments.out / f"{name}.pt"
        if file.exists():
            raise SystemExit(f"{file} is there already")
        torch.save(restored(name, arguments.models), file)
        print(file)


if __name__ == "__main__":
    main()
