"""What is asked beside a network, by its recipe and its entry in the manifest: another network, and the piece's habits.

`beside` is a network of the same ensemble whose answers count as much: the mean of both's log probabilities. `habits`
are the weights of what is counted of the piece at hand (habits.py). Neither needs training, so that today's recipe says
it of yesterday's checkpoint. Who is asked is exported before those that ask, and they anew after it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .assignment import log_softmax
from .data import Arrays
from .evaluation import Run, onnx_run
from .habits import with_habits
from .kinds import KINDS
from .training import recipe


def mean_of(runs: Sequence[Run]) -> Run:
    """The mean of several networks' log probabilities of the parts; the padding's logit is the first's."""

    def answer(pieces: Sequence[Arrays]) -> list[np.ndarray]:
        answers = [run(pieces) for run in runs]
        return [
            np.concatenate([each[0][:, :1], np.mean([log_softmax(x[:, 1:]) for x in each], 0)], 1).astype(np.float32)
            for each in zip(*answers, strict=True)
        ]

    return answer


def entry_of(config: dict) -> dict:
    """`beside` and `habits` of a model as its manifest entry has them, from the recipe of its kind."""
    kind = KINDS[config["kind"]]
    asked = recipe(config["kind"], config["model"], [], {})
    entry = {"habits": asked["habits"]} if asked.get("habits") else {}
    return ({"beside": kind.model(asked["beside"])} if asked.get("beside") else {}) | entry


def with_all(run: Run, entry: dict, whole: bool, folder: Path) -> Run:
    """A network's answers with all that its entry asks for. folder: of the exported files.

    whole: it hears pieces to their end.
    """
    if other := entry.get("beside"):
        run = mean_of([run, onnx_run(folder / f"{other}.onnx")])
    return with_habits(run, entry.get("habits", {}), whole)
