"""Training of the synthesizer's networks: `python -m ripieno_training.train --help`."""

from ..synthesis import spectral_distance, synthesize, white_noise
from .checkpoint import load_bounded, load_network

__all__ = ["load_bounded", "load_network", "spectral_distance", "synthesize", "white_noise"]
