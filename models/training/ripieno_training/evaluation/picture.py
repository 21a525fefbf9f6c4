"""A map of the performances: what the excerpts' embeddings are near to, true and generated (t-SNE)."""

from pathlib import Path

import matplotlib
import numpy as np

from .summary import Heard

matplotlib.use("Agg")
SEED = 20261121


def draw(systems: dict[str, list[Heard]], file: Path) -> None:
    """A point an excerpt: colour is the performance that was asked for, shape the system. All share one map."""
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from sklearn.manifold import TSNE

    names = sorted({one.performance for heard in systems.values() for one in heard})
    points = np.array([one.embeddings.mean(0) for heard in systems.values() for one in heard])
    perplexity = min(20.0, (len(points) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(points)
    colours = pyplot.get_cmap("nipy_spectral")(np.linspace(0.05, 0.95, len(names)))
    figure, axes = pyplot.subplots(figsize=(10, 7), layout="constrained")
    shapes = dict(zip(systems, "o^sx", strict=False))
    first = 0
    for system, heard in systems.items():
        for one, place in zip(heard, places[first:], strict=False):
            axes.scatter(*place, color=colours[names.index(one.performance)], marker=shapes[system], s=40, alpha=0.8)
        first += len(heard)
    axes.set(xticks=[], yticks=[])
    marks = [Line2D([], [], color="black", marker=shape, ls="", label=name) for name, shape in shapes.items()]
    dots = [Line2D([], [], color=colours[i], marker="o", ls="", label=name) for i, name in enumerate(names)]
    axes.add_artist(axes.legend(handles=marks, loc="upper left", fontsize=8))
    figure.legend(handles=dots, loc="outside right upper", fontsize=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
