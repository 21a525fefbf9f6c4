"""What is done stays in a folder: sounds, so that a new measure needs no new rendering, and what was measured."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np


def sound(file: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Audio float32 [2, samples] of a file, 16 bits below its peak, or made and kept there."""
    if not file.exists():
        audio = make()
        peak = max(float(np.abs(audio).max()), 1e-9)
        _write(file, audio=np.round(audio / peak * 32767).astype(np.int16), peak=peak)
    with np.load(file) as kept:
        return kept["audio"] * np.float32(kept["peak"] / 32767)


def row(file: Path) -> tuple[dict[str, float], np.ndarray | None]:
    """Figures measured so far, and embeddings [n, d] if they are."""
    if not file.exists():
        return {}, None
    with np.load(file) as kept:
        return json.loads(str(kept["figures"])), kept["embeddings"]


def keep_row(file: Path, figures: dict[str, float], embeddings: np.ndarray) -> None:
    """Writes what `row` reads."""
    _write(file, figures=json.dumps(figures), embeddings=embeddings)


def _write(file: Path, **values) -> None:
    partial = file.with_suffix(".part.npz")
    np.savez(partial, **values)
    partial.rename(file)
