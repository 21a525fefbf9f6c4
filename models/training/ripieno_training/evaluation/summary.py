"""Figures of a system over all excerpts."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from .groups import Gaussian, ranking

TOP = 3
MEANS = ("note_f1", "note_instrument_f1", "piano_f1", "stft_distance", "loudness_distance")


@dataclass
class Heard:
    """One system's sound of one excerpt."""

    performance: str
    """who was asked to play"""
    embeddings: np.ndarray
    """[n, d]"""
    figures: dict[str, float] = field(default_factory=dict)


def figures(heard: list[Heard], groups: dict[str, np.ndarray]) -> dict[str, float]:
    """All-FAD, Group-FAD, classification, and the means of each excerpt's own figures.

    All-FAD is the distance of all excerpts to the audio of all `groups` [n, d]; Group-FAD the distance of a
    performance's excerpts to its own audio, the mean over performances. An excerpt is classified by the nearest group;
    `centroid1` by the nearest mean alone, because a few seconds have too few embeddings for their covariance, and
    the Frechet distance of a small set is smallest to the group that varies least.
    """
    gaussians = {name: Gaussian.of(embeddings) for name, embeddings in groups.items()}
    own: dict[str, list[np.ndarray]] = defaultdict(list)
    for one in heard:
        own[one.performance].append(one.embeddings)
    ranks = [ranking(one.embeddings, gaussians).index(one.performance) for one in heard]
    nearest = [
        min(gaussians, key=lambda name: float(np.sum((gaussians[name].mean - one.embeddings.mean(0)) ** 2)))
        for one in heard
    ]
    everything = Gaussian.of(np.concatenate(list(groups.values())))
    result = {
        "all_fad": everything.distance(Gaussian.of(np.concatenate([one.embeddings for one in heard]))),
        "group_fad": float(
            np.mean([gaussians[name].distance(Gaussian.of(np.concatenate(parts))) for name, parts in own.items()])
        ),
        "top1": float(np.mean([rank == 0 for rank in ranks])),
        f"top{TOP}": float(np.mean([rank < TOP for rank in ranks])),
        "centroid1": float(np.mean([name == one.performance for name, one in zip(nearest, heard, strict=True)])),
    }
    for key in MEANS:
        values = [one.figures[key] for one in heard if key in one.figures]
        if values:
            result[key] = float(np.mean(values))
    return result
