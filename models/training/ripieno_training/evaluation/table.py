"""Writes the section "Evaluation" of models/synth/README.md from the results beside it."""

import json
import re
from pathlib import Path

from ..features import MODELS

RESULTS = MODELS / "synth" / "results"
README = MODELS / "synth" / "README.md"
BEGIN, END = "<!-- evaluation: made by `python -m ripieno_training.evaluation table` -->", "<!-- evaluation ends -->"
COLUMNS = {
    "all_fad": ("All-FAD", "{:.1f}"),
    "group_fad": ("Group-FAD", "{:.1f}"),
    "top1": ("top-1", "{:.0%}"),
    "top3": ("top-3", "{:.0%}"),
    "centroid1": ("by mean", "{:.0%}"),
    "note_f1": ("note F1", "{:.3f}"),
    "note_f1_of_true": ("of the true", "{:.0%}"),
    "note_instrument_f1": ("note+instrument F1", "{:.3f}"),
    "note_instrument_f1_of_true": ("of the true", "{:.0%}"),
    "piano_f1": ("piano note F1", "{:.3f}"),
    "piano_f1_of_true": ("of the true", "{:.0%}"),
    "stft_distance": ("MR-STFT", "{:.3f}"),
    "loudness_distance": ("loudness, LU", "{:.2f}"),
}
SCORES = ("note_f1", "note_instrument_f1", "piano_f1")
"""that are also shown as a share of the true rendering's"""
PUBLISHED = """| published (Maman et al. 2024) | All-FAD, VGGish / TRILL | Group-FAD, VGGish / TRILL | top-1 / top-3 \
| note F1 / with instrument |
|---|---|---|---|---|
| T5 without performance | 3.9 / 0.12 | 5.8 / 0.43 | 36 / 60 | 62 / 38 |
| T5 with performance | 3.5 / 0.09 | 5.5 / 0.35 | 68 / 90 | 63 / 47 |
| U-Net without performance | 3.4 / 0.12 | 7.1 / 0.5 | 14 / 30 | 63 / 47 |
| U-Net with performance | 3.9 / 0.11 | 5.1 / 0.33 | 56 / 73 | 62 / 46 |"""
NOTES = """\
Parts of held-out pieces are given to the players of random performances; the true rendering is theirs by
`ripieno_training.render`. FAD is of musicnn embeddings of RMS-normalised audio: its values compare within one
table, not with the published ones, whose embeddings (VGGish, TRILL) no package has. All-FAD is the distance to
training works by all performances, Group-FAD to those by the performance that was asked for, an excerpt's nearest
group is its class. Note F1 is basic-pitch's, whose own ceiling is its F1 on the true rendering. MR-STFT and loudness
curve are distances to the true rendering, at its level. FluidR3 plays the same notes; some performances were recorded
from it, so it is nearer to these than any other General MIDI synthesizer would be. Note+instrument F1 is of our own
transcriber, trained on true audio of training works; piano note F1 is transkun's, of the excerpts that pianos alone
play. A dash was not measured.

Columns "of the true" divide by the true rendering's."""

COMMANDS = """\
    python -m ripieno_training.evaluation run --checkpoints DIR --work DIR --name NAME
    python -m ripieno_training.evaluation table"""


def rows(result: dict) -> str:
    """One result as a Markdown table."""
    systems = result["systems"]
    true = systems["true rendering"]
    shown = []
    for name, figures in systems.items():
        ratios = {f"{key}_of_true": figures[key] / true[key] for key in SCORES if true.get(key) and key in figures}
        shown.append((name, figures | ratios))
    measured = {key for _, figures in shown for key in figures} | {"note_instrument_f1"}
    columns = {key: how for key, how in COLUMNS.items() if key in measured}
    lines = [
        "| system | " + " | ".join(title for title, _ in columns.values()) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, figures in shown:
        cells = [how.format(figures[key]) if key in figures else "-" for key, (_, how) in columns.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def section(results: list[dict]) -> str:
    """The whole section."""
    parts = [BEGIN, "", "## Evaluation", "", NOTES, "", COMMANDS]
    if not results:
        parts += ["", "No run has left its result in `results/` yet."]
    for result in results:
        title = result.get("checkpoints", result["name"])
        of = "" if title == result["name"] else f", {title}"
        works = f"{result['works']} work" + "s" * (result["works"] != 1)
        about = (
            f"**{result['name']}**{of}: {result['excerpts']} excerpts of {result['seconds']:g} s, {works} of the "
            f"test split by {result['each']} random performances each, out of {result['performances']}."
        )
        parts += ["", about]
        if result.get("picture"):
            parts += ["", f"![Map of the performances]({RESULTS.name}/{result['picture']})"]
        parts += ["", rows(result)]
    return "\n".join([*parts, "", PUBLISHED, "", END])


def write(results: Path = RESULTS, readme: Path = README) -> None:
    """Replaces the section in the README, or puts it before the section "Speed"."""
    found = [json.loads(file.read_text()) for file in sorted(results.glob("evaluation-*.json"))]
    text, made = readme.read_text(), section(found)
    if BEGIN in text:
        text = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: made, text, flags=re.DOTALL)
    else:
        text = text.replace("## Speed", made + "\n\n## Speed", 1)
    readme.write_text(text)
