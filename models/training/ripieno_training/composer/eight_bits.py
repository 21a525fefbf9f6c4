"""The transformer's matrices in 8 bits: com.microsoft MatMulNBits, which rounds what they multiply to 8 bits too.

Both are cut into blocks of 32 numbers with a scale each, so that how one event is rounded does not hang on the others.
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
    with torch.no_grad():
        for layer in (layer for block in model.blocks for layer in layers(block)):
            codes, scales = rounded(layer.weight)
            values = (codes.astype(np.float32) - ZERO) * scales.reshape(len(codes), -1, 1)
            layer.weight.copy_(torch.from_numpy(values.reshape(layer.weight.shape)))
            layer.__class__ = Rounding
    return model
