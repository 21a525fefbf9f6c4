"""The synthesizer's networks. Tensors are [batch, frames, channels].

No network knows absolute positions, so that a segment of any length at any place means the same.
"""

from .bounded import Bounded, bounded
from .conditions import MEL, MEL_CENTRE, MEL_SCALE, ROLL, Excitation, Players, scaled
from .mean import MeanMel
from .prior import Prior
from .t5 import T5
from .unet import UNet
from .vocoder import Vocoder

__all__ = [
    "MEL",
    "MEL_CENTRE",
    "MEL_SCALE",
    "ROLL",
    "T5",
    "Bounded",
    "Excitation",
    "MeanMel",
    "Players",
    "Prior",
    "UNet",
    "Vocoder",
    "bounded",
    "scaled",
]
