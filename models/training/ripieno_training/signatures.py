"""Inputs and outputs of the exported networks, as the manifest lists them, and examples of them."""

import numpy as np
import torch
from torch import Tensor

from . import features as ft
from .networks import MEL


def tensor(name: str, shape: list, kind: str, unit: str) -> dict:
    """One manifest line of an input or output."""
    return {"name": name, "shape": shape, "type": kind, "unit": unit}


FRAMES = ["batch", "frames"]
ROLL = tensor("roll", [*FRAMES, ft.PLANES, ft.KEYS], "f32", "note roll: onset, held, age, release per key")
WHO = [
    tensor("instrument", ["batch"], "i64", "index in performances.toml"),
    tensor("performance", ["batch"], "i64", "index in performances.toml; their number is the null performance"),
    tensor("notes_on", ["batch"], "f32", "1, or 0 to null the notes"),
]
MEL_OUT = "natural log magnitude: mid bands, then side minus mid"
NOISY = tensor("x", [*FRAMES, MEL], "f32", "noisy residual in its standard deviations")
PRIOR = tensor("prior", [*FRAMES, MEL], "f32", MEL_OUT)
TIME = tensor("t", ["batch"], "f32", "diffusion time, 0 to 999")
V = tensor("v", [*FRAMES, MEL], "f32", "v of the residual in its standard deviations")

Signature = tuple[list[dict], list[dict]]
"""inputs and outputs"""

SIGNATURES: dict[str, Signature] = {
    "prior": ([ROLL, *WHO], [tensor("mel", [*FRAMES, MEL], "f32", MEL_OUT)]),
    "denoiser": (
        [
            NOISY,
            PRIOR,
            ROLL,
            *WHO,
            TIME,
        ],
        [V],
    ),
    "vocoder": (
        [
            tensor("mel", [*FRAMES, MEL], "f32", MEL_OUT),
            ROLL,
            tensor("wanted", ["heard"], "i64", "indices of the frames whose gains are asked for"),
        ],
        [tensor("gains", ["batch", "heard", 4, ft.BINS], "f32", "linear gain of E and Z1 in mid, of E and Z2 in side")],
    ),
}


def pair(width: int) -> tuple[Signature, Signature]:
    """Encoder and decoder of a T5-style denoiser with a memory of `width` channels."""
    memory = tensor("memory", [*FRAMES, width], "f32", "of the notes, once per segment; notes_on and ceiling last")
    return ([ROLL, *WHO], [memory]), ([NOISY, PRIOR, memory, WHO[1], TIME], [V])


def example(inputs: list[dict], batch: int, frames: int) -> tuple[Tensor, ...]:
    """Plausible values of a network's inputs, in their order."""
    random = np.random.default_rng(7)
    notes = np.array([[i * 0.11, i * 0.11 + 0.4, 40 + 5 * i, 90] for i in range(8)])
    roll = torch.from_numpy(ft.note_roll(notes, 0, frames))[None].repeat(batch, 1, 1, 1)
    made = {
        "roll": roll,
        "mel": torch.from_numpy(random.normal(-7, 2, (batch, frames, MEL)).astype(np.float32)),
        "x": torch.from_numpy(random.normal(0, 1, (batch, frames, MEL)).astype(np.float32)),
        "prior": torch.from_numpy(random.normal(-7, 2, (batch, frames, MEL)).astype(np.float32)),
        "instrument": torch.arange(batch) % 3,
        "performance": torch.arange(batch) % 3,
        "notes_on": torch.ones(batch),
        "t": torch.full((batch,), 500.0),
        "wanted": torch.arange(1, frames),
    }
    for line in inputs:
        if line["name"] == "memory":
            values = random.normal(0, 1, (batch, frames, line["shape"][-1]))
            made["memory"] = torch.from_numpy(values.astype(np.float32))
    return tuple(made[line["name"]] for line in inputs)
