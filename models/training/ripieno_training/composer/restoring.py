"""A checkpoint from the files that ship: to evaluate, to see where it looks, to export again.

Nobody kept the checkpoint that they were exported from. Weights are what fp16 keeps of them, and what training
remembered besides is gone: it cannot go on from here.

How a weight is found: a network of the same recipe is exported whose every weight is another number, and each number
says where in the file the weight lies. The order in which the graph keeps them has not to be known.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from ..manifest import read
from .exporting import name_of, read_heads
from .graph import network
from .model import Composer
from .training import CHECKPOINT

FIRST = 1000
"""the number of the first weight: above all that a graph holds besides, of which some are whole numbers"""


def held(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    """What a graph holds, by name; what `halve` has made smaller by its name before."""
    return {x.name.removesuffix("_fp16"): numpy_helper.to_array(x) for x in graph.graph.initializer}


@torch.no_grad()
def restored(config: dict, models: Path) -> Composer:
    """The network of a recipe with the weights of its files in 32 bits."""
    model, name = Composer(config).eval(), name_of(config)
    blocks = [(key, x) for key, x in model.named_parameters() if not key.startswith("heads.")]
    # fp32 tells whole numbers apart up to 2^24.
    ends = np.cumsum([FIRST, *(x.numel() for _, x in blocks)])
    for start, (_, weight) in zip(ends, blocks, strict=False):
        weight.copy_(torch.arange(start, start + weight.numel(), dtype=torch.float64).reshape(weight.shape))
    file = models / "composer" / f"{name}.onnx"
    numbered, shipped = held(network(model)), held(onnx.load(str(file)))
    if {key: x.shape for key, x in numbered.items()} != {key: x.shape for key, x in shipped.items()}:
        raise SystemExit(f"{file} was exported by other code or another recipe: it holds other tensors")
    every = np.full(ends[-1] - FIRST, np.nan, np.float32)
    for key, numbers in numbered.items():
        if numbers.dtype == np.float32 and numbers.min() >= FIRST:
            every[numbers.astype(np.int64) - FIRST] = shipped[key]
    if np.isnan(every).any():
        raise SystemExit(f"{file} does not hold every weight of the network")
    for start, end, (_, weight) in zip(ends - FIRST, ends[1:] - FIRST, blocks, strict=False):
        weight.copy_(torch.from_numpy(every[start:end]).reshape(weight.shape))
    model.heads = read_heads(models / "composer" / f"{name}_heads.onnx", model.heads)
    return model


def restore(config: dict, models: Path, out: Path) -> Path:
    """Writes the checkpoint of a recipe's network, which is not there yet."""
    file = out / CHECKPOINT
    if file.exists():
        raise SystemExit(f"{file} is there already")
    figures = next(x for x in read(models / "manifest.toml")["model"] if x["name"] == name_of(config))["figures"]
    out.mkdir(parents=True, exist_ok=True)
    log = [{"step": figures["training_steps"], "nll": figures["valid_nll"]}]
    state = {"config": config, "best": restored(config, models).state_dict(), "score": figures["valid_nll"]}
    torch.save(state | {"log": log, "seconds": 60 * figures["training_minutes"]}, file)
    return file
