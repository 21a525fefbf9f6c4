"""The network's matrices in 8 bits, cut into blocks of 32 numbers with a scale each.

Those of the transformer are multiplied by com.microsoft MatMulNBits, which rounds what they multiply to 8 bits too,
also in blocks, so that how one event is rounded does not hang on the others. Those of the heads the engine multiplies
with numbers in 32 bits.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from .model import Block, Composer

BLOCK = 32
"""Numbers that share a scale, along a matrix's inputs."""
INT8_INPUTS = 4
"""MatMulNBits: round the inputs as well; without it a product takes three times as long as in 32 bits."""
ZERO, STEPS = 128, 127


def rounded(weight: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """weight fp32 [out, in] -> codes uint8 [out, blocks, 32], scales fp32 [out x blocks] that 16 bits hold exactly."""
    blocks = weight.detach().numpy().reshape(len(weight), -1, BLOCK)
    scales = (np.abs(blocks).max(-1) / STEPS).astype(np.float16).astype(np.float32)
    codes = np.round(blocks / np.maximum(scales, np.finfo(np.float16).tiny)[..., None])
    return (np.clip(codes, -STEPS, STEPS) + ZERO).astype(np.uint8), scales.ravel()


def layers(block: Block) -> list[nn.Linear]:
    """The layers of a block whose weights are rounded: all of them."""
    return [block.qkv, block.project, block.up, block.down]


def unrounded(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """What `rounded` has made of a matrix, fp32 [out, in]; exact."""
    values = (codes.astype(np.float32) - ZERO) * scales.reshape(len(codes), -1, 1)
    return values.reshape(len(codes), -1)


def head_layers(heads: nn.Module) -> list[nn.Linear]:
    """The layers of heads whose weights are rounded: all of them. What codes add to the hidden vector is not."""
    return [layer for layer in heads.modules() if isinstance(layer, nn.Linear)]


class Rounding(nn.Linear):
    """A layer that multiplies as the graph's does, for comparison."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = x.unflatten(-1, (-1, BLOCK))
        scale = blocks.abs().amax(-1, keepdim=True) / STEPS
        codes = (blocks / scale.clamp(min=1e-30)).round()
        return super().forward((codes * scale).flatten(-2))


def in_eight_bits(model: Composer) -> Composer:
    """A copy that computes in 32 bits what the graph computes in 8."""
    model = copy.deepcopy(model).eval()
    blocks = [layer for block in model.blocks for layer in layers(block)]
    with torch.no_grad():
        for layer in [*blocks, *head_layers(model.heads)]:
            layer.weight.copy_(torch.from_numpy(unrounded(*rounded(layer.weight))))
    for layer in blocks:
        layer.__class__ = Rounding
    return model
