"""The command line."""

import argparse
import json
from pathlib import Path

import torch
import yaml

from ..manifest import MANIFEST
from .data import load_split
from .evaluation import accuracy, onnx_run, report
from .exporting import NAME, write_entry, write_golden, write_onnx
from .training import load_best, train

SHIPPED = MANIFEST.parent / "arranger" / f"{NAME}.onnx"
GOLDEN = MANIFEST.parents[1] / "tests" / "golden" / "arranger.json"


def command_line() -> argparse.ArgumentParser:
    """Commands and their defaults."""
    parser = argparse.ArgumentParser(prog="python -m ripieno_training.arranger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, required=True, help="folder of the chorales' MIDI files")
    fit = commands.add_parser("train", parents=[data], help="train on the Bach chorales, or go on training")
    fit.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    fit.add_argument("--minutes", type=float, default=float("inf"), help="processor time at most")
    fit.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    fit.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to config.yaml")
    measure = commands.add_parser("evaluate", parents=[data], help="measure an exported model")
    measure.add_argument("--model", type=Path, default=SHIPPED)
    measure.add_argument("--split", default="test", choices=("train", "valid", "test"))
    ship = commands.add_parser("export", parents=[data], help="checkpoint -> ONNX, manifest entry, golden values")
    ship.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    ship.add_argument("--models", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    ship.add_argument("--golden", type=Path, default=GOLDEN)
    return parser


def export(arguments: argparse.Namespace) -> dict:
    """Writes the files; every figure is measured on the ONNX file that is shipped."""
    model, state = load_best(arguments.checkpoint)
    file = arguments.models / "arranger" / f"{NAME}.onnx"
    write_onnx(model, file)
    run = onnx_run(file)
    figures = report(run, load_split(arguments.data, "test"))
    figures |= {
        "accuracy_valid": round(100 * accuracy(run, load_split(arguments.data, "valid")), 2),
        "training_steps": max(state["log"], key=lambda line: line["valid"])["step"],
        "training_minutes": round(state["seconds"] / 60, 1),
        "seed": state["config"]["seed"],
    }
    write_entry(model, file, figures, arguments.models / "manifest.toml")
    figures["golden_accuracy"] = write_golden(run, arguments.golden)
    return figures


def main() -> None:
    """Parses the command and runs it."""
    arguments = command_line().parse_args()
    torch.set_num_threads(1)
    match arguments.command:
        case "train":
            changes = dict(pair.split("=", 1) for pair in arguments.set)
            changes = {key: yaml.safe_load(value) for key, value in changes.items()}
            state = train(arguments.data, arguments.out, arguments.minutes, arguments.resume, changes)
            result = {"step": state["step"], "valid": state["accuracy"], "minutes": state["seconds"] / 60}
        case "evaluate":
            result = report(onnx_run(arguments.model), load_split(arguments.data, arguments.split))
        case "export":
            result = export(arguments)
    print(json.dumps(result, indent=1))
