"""The table of the model card: what each model scores, beside the paper's figure for the same network and inputs.

`python -m ripieno_training.arranger table` writes it from models/arranger/results/*.json, one file per model and seed,
so that a later run adds a line and nothing else changes. Rules that no network is needed for are measured by
`ripieno evaluate arranger --json`, kept in results/rules/KIND-RULE.json.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..manifest import MANIFEST
from .evaluation import HINTS, VELOCITY
from .kinds import KINDS

RESULTS = MANIFEST.parent / "arranger" / "results"
CARD = MANIFEST.parent / "arranger" / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
NAMES = {
    "online": "ours, online",
    "offline": "ours, offline, with durations",
    "most-common": "the part with most notes",
    "zone": "zones, the best for training pieces",
    "zone-oracle": "zones, the best for each piece",
    "closest": "closest pitch",
    "closest-mono": "closest pitch, a chord together",
    "mlp": "MLP",
    "lstm": "LSTM, online",
    "decoder": "Transformer decoder, online",
    "bilstm": "BiLSTM, offline",
    "encoder": "Transformer encoder, offline",
}
WORDS = {"none": "", "entry": "entry hints", "pitch": "pitch hints", "both": "entry and pitch hints"}
PAPER = {
    # Dong et al. 2021, tables 3 and 4: model, inputs -> chorale, quartet, game, pop; its own, unpublished splits.
    ("zone", ""): (73.14, 58.85, 43.67, 57.07),
    ("zone-oracle", ""): (78.33, 66.89, 79.54, None),
    ("closest", "entry hints"): (68.87, 50.69, 57.14, 47.45),
    ("closest-mono", "entry hints"): (89.76, 42.82, 49.91, 32.28),
    ("mlp", ""): (81.63, 29.85, 43.08, 33.50),
    ("mlp", "true history"): (97.59, 58.16, 65.30, 44.62),
    ("lstm", ""): (93.02, 67.43, 50.22, 74.14),
    ("decoder", ""): (91.51, 57.03, 45.82, 62.14),
    ("bilstm", ""): (97.13, 74.38, 52.93, 77.23),
    ("encoder", ""): (96.81, 58.86, 49.14, 66.57),
    ("lstm", "entry hints"): (92.70, 62.64, 62.11, 74.19),
    ("lstm", "pitch hints"): (92.87, 70.20, 67.45, 75.89),
    ("lstm", "duration"): (96.17, 66.96, 51.38, 78.17),
    ("lstm", "duration, entry hints"): (95.95, 68.17, 63.35, 74.74),
    ("bilstm", "entry hints"): (97.39, 71.51, 64.79, 75.59),
}
Row = tuple[str, str]
"""model, inputs in words"""


def rows_of(result: dict) -> dict[Row, float]:
    """Every accuracy of one run, by model and inputs."""
    model, figures = result["model"], result["figures"]
    further = [n for n in result["inputs"] if n == "duration" and model != "offline"]
    out = {}
    for hints in HINTS:
        key = "accuracy" if hints == "none" else f"accuracy_{hints}"
        if key in figures:
            given = hints if model in ("online", "offline") else _built_in(result["inputs"])
            out[model, ", ".join([*further, *([WORDS[given]] if WORDS[given] else [])])] = figures[key]
        key = f"accuracy_{VELOCITY}" if hints == "none" else f"accuracy_{VELOCITY}_{hints}"
        if key in figures:
            out[model, ", ".join([VELOCITY, *([WORDS[hints]] if WORDS[hints] else [])])] = figures[key]
    if "accuracy_true_history" in figures:
        out[model, "true history"] = figures["accuracy_true_history"]
    return out


def _built_in(inputs: list[str]) -> str:
    """The hints that one of the paper's networks was trained with, and always gets."""
    entry, pitch = "entry" in inputs, "hint" in inputs
    return "both" if entry and pitch else "entry" if entry else "pitch" if pitch else "none"


def rules(folder: Path) -> Iterator[tuple[Row, str, float]]:
    """Row, kind and accuracy of every rule."""
    for file in sorted(folder.glob("*.json")):
        kind, rule = file.stem.split("-", 1)
        inputs = WORDS["entry"] if rule.startswith("closest") else ""
        yield (rule, inputs), kind, json.loads(file.read_text())["accuracy"]


def table(folder: Path = RESULTS) -> str:
    """Markdown: per cent of the test notes; in brackets the paper's; over several seeds mean and standard deviation."""
    found: dict[Row, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text())
        for row, value in rows_of(result).items():
            found[row][result["kind"]].append(value)
    for row, kind, value in rules(folder / "rules"):
        found[row][kind].append(value)
    lines = [f"| model | inputs | {' | '.join(KINDS)} |", "|---" * (2 + len(KINDS)) + "|"]
    order = sorted({*found, *PAPER}, key=lambda row: (list(NAMES).index(row[0]), len(row[1]), row[1]))
    for row in order:
        cells = []
        for i, kind in enumerate(KINDS):
            values = found.get(row, {}).get(kind, [])
            cell = f"{np.mean(values):.2f}" if values else "-"
            cell += f" ±{np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
            paper = PAPER[row][i] if row in PAPER else None
            cells.append(cell + (f" ({paper:.2f})" if paper is not None else ""))
        lines.append(f"| {NAMES[row[0]]} | {row[1] or 'no hints'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(card: Path = CARD, folder: Path = RESULTS) -> str:
    """Puts the table between the card's marks. Returns it."""
    text, new = card.read_text(), table(folder)
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    card.write_text(f"{before}\n{new}\n{after}")
    return new
