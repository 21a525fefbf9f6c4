"""Frechet distances of embeddings to the audio of each performance, fast enough for thousands."""

from dataclasses import dataclass

import numpy as np

from ..listening import COVARIANCE_FLOOR


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


@dataclass(frozen=True)
class Gaussian:
    """Moments of a set of embeddings."""

    mean: np.ndarray
    """[d]"""
    covariance: np.ndarray
    """[d, d]"""
    root: np.ndarray
    """[d, d], the covariance's square root"""

    @classmethod
    def of(cls, embeddings: np.ndarray) -> "Gaussian":
        """`embeddings` [n, d], n at least 2. The floor of `listening.frechet` is in the covariance."""
        covariance = np.cov(embeddings.T) + COVARIANCE_FLOOR * np.eye(embeddings.shape[1])
        return cls(embeddings.mean(0), covariance, _root(covariance))

    def distance(self, other: "Gaussian") -> float:
        """Frechet distance: tr (S1 S2)^(1/2) is the sum of the roots of the eigenvalues of S1^(1/2) S2 S1^(1/2)."""
        apart = self.mean - other.mean
        shared = np.sqrt(np.maximum(np.linalg.eigvalsh(self.root @ other.covariance @ self.root), 0.0)).sum()
        return float(apart @ apart + np.trace(self.covariance) + np.trace(other.covariance) - 2 * shared)


def ranking(embeddings: np.ndarray, groups: dict[str, Gaussian]) -> list[str]:
    """Performances by the Frechet distance of one excerpt's embeddings [n, d] to their audio, the nearest first."""
    ours = Gaussian.of(embeddings)
    return sorted(groups, key=lambda name: groups[name].distance(ours))


def between(groups: dict[str, np.ndarray]) -> float:
    """Mean Frechet distance between different performances' embeddings [n, d] each."""
    gaussians = [Gaussian.of(group) for group in groups.values()]
    return float(np.mean([a.distance(b) for i, a in enumerate(gaussians) for b in gaussians[:i]]))
