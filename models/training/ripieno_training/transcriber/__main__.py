"""`python -m ripieno_training.transcriber --checkpoints DIR --clips DIR`: how much it hears in clips it never heard.

The threshold of an onset is chosen on the valid split and kept in the checkpoint; figures are of the test split.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ..train.checkpoint import read
from .decode import Listener
from .mixtures import Mixtures, load_split
from .score import any_instrument_f1, note_instrument_f1
from .spectrum import FPS

THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
SEED = 20261121


def measured(listener: Listener, mixtures: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Mean F1 over mixtures of sound [samples] and notes [n, 4] (onset s, end s, pitch, instrument)."""
    found = []
    for sound, notes in mixtures:
        played, heard = notes[:, [0, 2, 3]], listener.notes_of_mono(sound)
        found.append((any_instrument_f1(played, heard), note_instrument_f1(played, heard)))
    return dict(zip(("note_f1", "note_instrument_f1"), np.mean(found, 0).round(4).tolist(), strict=True))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.transcriber", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True, help="folder the data renderer wrote")
    parser.add_argument("--mixtures", type=int, default=60, help="of each split")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    held = {}
    for split in ("valid", "test"):
        draws = Mixtures(load_split(arguments.clips, split), int(arguments.seconds * FPS), SEED)
        held[split] = [draws.draw() for _ in range(arguments.mixtures)]
    listener = Listener(arguments.checkpoints)
    tried = {}
    for listener.threshold in THRESHOLDS:
        tried[listener.threshold] = measured(listener, held["valid"])
        print(listener.threshold, tried[listener.threshold], flush=True)
    listener.threshold = max(tried, key=lambda threshold: tried[threshold]["note_instrument_f1"])
    state = read(arguments.checkpoints, "transcriber")
    state["kept"]["threshold"] = listener.threshold
    torch.save(state, arguments.checkpoints / "transcriber.pt")
    figures = {"threshold": listener.threshold, "steps": state["step"], "minutes": round(state["seconds"] / 60, 1)}
    print(json.dumps(figures | measured(listener, held["test"])))


if __name__ == "__main__":
    main()
