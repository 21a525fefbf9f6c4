"""The command line."""

import argparse
import json
from pathlib import Path

import onnx
import torch
import yaml

from ..manifest import MANIFEST, read
from . import splits, table
from .beside import entry_of, with_all
from .context import write_golden as write_context_golden
from .corpus import Corpus, load, read_all
from .evaluation import Run, accuracy, as_played, hints_of, onnx_run, report, report_of_history, torch_run, views
from .exporting import halved, write_entry, write_golden, write_onnx
from .history import write_golden as write_history_golden
from .kinds import KINDS
from .model import Arranger, parameters
from .training import MODELS, load_best, recipe, train

GOLDEN = MANIFEST.parents[1] / "tests" / "golden"
SHIPPED = MANIFEST.parent / "arranger"
"""folder of the exported files"""


def command_line() -> argparse.ArgumentParser:
    """Commands and their defaults."""
    parser = argparse.ArgumentParser(prog="python -m ripieno_training.arranger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, default=Path("data"), help="folder that holds the unpacked collections")
    data.add_argument("--cache", type=Path, help="folder to keep the notes in, one .npz per kind")
    kind = argparse.ArgumentParser(add_help=False)
    kind.add_argument("--kind", choices=KINDS, required=True)
    fit = commands.add_parser("train", parents=[data, kind], help="train a model, or go on training")
    fit.add_argument("--model", choices=MODELS, default="online")
    fit.add_argument("--inputs", nargs="*", default=[], choices=("duration", "entry", "hint"), help="for the paper's")
    fit.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    fit.add_argument("--minutes", type=float, default=float("inf"), help="processor time at most")
    fit.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    fit.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    fit.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe")
    measure = commands.add_parser("evaluate", parents=[data], help="measure a checkpoint, or an exported file")
    measure.add_argument("--checkpoint", type=Path, help="folder of the checkpoint; keeps the result for the table")
    measure.add_argument("--onnx", type=Path, help="exported file, with --kind")
    measure.add_argument("--kind", choices=KINDS)
    measure.add_argument("--split", default="test", choices=splits.SPLITS)
    ship = commands.add_parser("export", parents=[data], help="checkpoint -> ONNX, manifest entry, golden values")
    ship.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    ship.add_argument("--models", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    ship.add_argument("--golden", type=Path, default=GOLDEN / "arranger")
    commands.add_parser("split", parents=[data, kind], help="divide a kind's pieces anew and write splits/KIND.csv")
    commands.add_parser("golden", help="write tests/golden/arranger_context.json and arranger_history.json")
    commands.add_parser("table", help="write the model card's table from models/arranger/results")
    return parser


def variant(config: dict) -> str:
    """What a model's name says after its kind: the network and what it sees beyond the default."""
    further = [n for n in config["inputs"] if n in ("duration", "entry", "hint")]
    return config["model"] if config["model"] in ("online", "offline") else "_".join([config["model"], *further])


def figures_of(run: Run, corpus: Corpus, inputs: list[str], split: str = "test") -> dict:
    """The report, under the hints that the model takes."""
    if "history" in inputs:
        return report_of_history(run, corpus.part(split))
    hints = hints_of(inputs)
    always = hints if len(hints) == 1 else None
    return report(run, corpus.part(split), always, corpus.kind.mono, "velocity" in inputs)


def keep(model: Arranger, state: dict, figures: dict) -> None:
    """Writes the run's result where the table finds it."""
    config = state["config"]
    name = KINDS[config["kind"]].model(variant(config))
    best = max(state["log"], key=lambda line: line["valid"])
    result = {
        "name": name,
        "kind": config["kind"],
        "model": config["model"],
        "inputs": config["inputs"],
        "seed": config["seed"],
        "parameters": parameters(model),
        "steps": best["step"],
        "minutes": round(state["seconds"] / 60, 1),
        "valid": round(100 * state["accuracy"], 2),
        "figures": figures,
    }
    table.RESULTS.mkdir(parents=True, exist_ok=True)
    (table.RESULTS / f"{name}-{config['seed']}.json").write_text(json.dumps(result, indent=1) + "\n")


def export(arguments: argparse.Namespace) -> dict:
    """Writes the files; every figure is measured on the ONNX file that is shipped."""
    model, state = load_best(arguments.checkpoint)
    config = state["config"]
    kind = KINDS[config["kind"]]
    name = kind.model(variant(config))
    file = arguments.models / "arranger" / f"{name}.onnx"
    write_onnx(model, kind, file)
    more = entry_of(config)
    run = with_all(onnx_run(file), more, not model.state(), file.parent)
    corpus = load(kind, arguments.data, arguments.cache)
    figures = figures_of(run, corpus, config["inputs"])
    if "history" not in config["inputs"]:
        valid = corpus.part("valid")
        seen = views(valid, hints_of(config["inputs"])[0])
        together = as_played(run(seen), valid.pieces, kind.mono)
        # Whether giving out chords together answers more of the validation notes rightly than note by note.
        figures["joint_assignment"] = int(together > accuracy(run, seen))
    figures |= {
        "accuracy_valid": round(100 * state["accuracy"], 2),
        "training_steps": max(state["log"], key=lambda line: line["valid"])["step"],
        "training_minutes": round(state["seconds"] / 60, 1),
        "seed": config["seed"],
    }
    write_entry(model, name, file, more, figures, arguments.models / "manifest.toml")
    write_golden(run, model, name, arguments.golden / f"{name}.json")
    keep(model, state, figures)
    return figures


def evaluate(arguments: argparse.Namespace) -> dict:
    """A checkpoint as it would be exported, or an exported file as it is."""
    if arguments.checkpoint:
        model, state = load_best(arguments.checkpoint)
        corpus = load(KINDS[state["config"]["kind"]], arguments.data, arguments.cache)
        run = with_all(torch_run(halved(model)), entry_of(state["config"]), not model.state(), SHIPPED)
        figures = figures_of(run, corpus, state["config"]["inputs"], arguments.split)
        if arguments.split == "test":
            keep(model, state, figures)
        return figures
    graph = onnx.load(str(arguments.onnx)).graph
    inputs = [line.name for line in graph.input]
    corpus = load(KINDS[arguments.kind], arguments.data, arguments.cache)
    shipped = {entry["name"]: entry for entry in read(MANIFEST)["model"]}
    entry = shipped.get(arguments.onnx.stem, {})
    run = with_all(onnx_run(arguments.onnx), entry, len(graph.output) == 1, arguments.onnx.parent)
    return figures_of(run, corpus, inputs, arguments.split)


def main() -> None:
    """Parses the command and runs it."""
    arguments = command_line().parse_args()
    torch.set_num_threads(1)
    result: object = None
    match arguments.command:
        case "train":
            changes = dict(pair.split("=", 1) for pair in arguments.set)
            changes = {key: yaml.safe_load(value) for key, value in changes.items()}
            kind = KINDS[arguments.kind]
            config = recipe(kind.name, arguments.model, arguments.inputs, changes)
            corpus = load(kind, arguments.data, arguments.cache)
            state = train(corpus, arguments.out, arguments.minutes, arguments.resume, config, arguments.device)
            result = {"step": state["step"], "valid": state["accuracy"], "minutes": state["seconds"] / 60}
        case "evaluate":
            result = evaluate(arguments)
        case "export":
            result = export(arguments)
        case "split":
            kind = KINDS[arguments.kind]
            pieces = read_all(kind, arguments.data)
            result = str(splits.write(kind, splits.divide(kind, list(pieces), list(pieces.values()))))
        case "golden":
            write_context_golden(GOLDEN / "arranger_context.json")
            write_history_golden(GOLDEN / "arranger_history.json")
        case "table":
            print(table.write())
    if result is not None:
        print(json.dumps(result, indent=1))
