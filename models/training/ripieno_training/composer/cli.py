"""The command line."""

import argparse
import json
from pathlib import Path

import torch
import yaml

from ..manifest import MANIFEST
from . import attention, corpus
from .evaluation import held_out
from .exporting import export, write_untrained
from .fixtures import write_golden
from .restoring import restore
from .training import MODELS, load_best, recipe, train

GOLDEN = MANIFEST.parents[1] / "tests" / "golden" / "composer"


def command_line() -> argparse.ArgumentParser:
    """Commands and their defaults."""
    parser = argparse.ArgumentParser(prog="python -m ripieno_training.composer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, default=Path("data"), help="folder that holds the unpacked collections")
    data.add_argument("--cache", type=Path, help="folder to keep the notes in")
    fit = commands.add_parser("train", parents=[data], help="train a model, or go on training")
    fit.add_argument("--model", choices=MODELS, default="small")
    fit.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    fit.add_argument("--minutes", type=float, default=float("inf"), help="processor time at most")
    fit.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    fit.add_argument("--begin", type=Path, metavar="FOLDER", help="begin with the weights of the checkpoint there")
    fit.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    fit.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe")
    measure = commands.add_parser("evaluate", parents=[data], help="negative log-likelihood of a checkpoint")
    measure.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    measure.add_argument("--split", default="test", choices=corpus.SPLITS)
    look = commands.add_parser("attention", parents=[data], help="draw where the last layer looks, on 100 test songs")
    look.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    look.add_argument("--songs", type=int, default=100)
    look.add_argument("-o", "--out", type=Path, default=MANIFEST.parent / "composer" / "attention.png")
    ship = commands.add_parser("export", parents=[data], help="checkpoint -> ONNX, manifest entries, golden values")
    ship.add_argument("--checkpoint", type=Path, required=True, help="folder of the checkpoint")
    ship.add_argument("--models", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    ship.add_argument("--golden", type=Path, default=GOLDEN)
    blank = commands.add_parser("untrained", help="a network that learnt nothing, to measure its speed: ONNX, entries")
    blank.add_argument("--model", choices=MODELS, default="mmt_small")
    blank.add_argument("--models", type=Path, required=True, help="a copy of the models folder")
    again = commands.add_parser("restore", help="the shipped files -> checkpoint, to evaluate, look or export")
    again.add_argument("--model", choices=MODELS, default="small")
    again.add_argument("--models", type=Path, default=MANIFEST.parent, help="models folder with a manifest.toml")
    again.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    commands.add_parser("golden", help="write tests/golden/composer/encoding.json")
    commands.add_parser("split", parents=[data], help="divide the songs anew and write splits/orchestra.csv")
    return parser


def main() -> None:
    """Parses the command and runs it."""
    arguments = command_line().parse_args()
    torch.set_num_threads(1)
    if arguments.command == "golden":
        return write_golden(GOLDEN / "encoding.json")
    if arguments.command == "untrained":
        return print(*write_untrained(recipe(arguments.model, {}), arguments.models))
    if arguments.command == "restore":
        return print(restore(recipe(arguments.model, {}), arguments.models, arguments.out))
    result: object
    config: dict = {"music": "orchestra"}
    if arguments.command == "train":
        changes = {k: yaml.safe_load(x) for k, x in (pair.split("=", 1) for pair in arguments.set)}
        config = recipe(arguments.model, changes)
    elif "checkpoint" in arguments:
        model, state = load_best(arguments.checkpoint)
        config = state["config"]
    songs = corpus.load(arguments.data, arguments.cache, config["music"])
    match arguments.command:
        case "train":
            begin = arguments.begin and load_best(arguments.begin)
            state = train(songs, arguments.out, arguments.minutes, arguments.resume, config, arguments.device, begin)
            result = {"step": state["step"], "valid": state["score"], "minutes": state["seconds"] / 60}
        case "evaluate":
            result = held_out(model, corpus.part(songs, arguments.split, config["music"]))
        case "attention":
            network = arguments.checkpoint / "attention.onnx"
            attention.export(model, network)
            test = corpus.part(songs, "test", config["music"])[: arguments.songs]
            result = attention.draw(network, test, model.config["window"], arguments.out)
        case "export":
            result = export(arguments.checkpoint, songs, arguments.models, arguments.golden)
        case "split":
            split = corpus.divide(songs)
            corpus.write_split(split)
            counts = {name: 0 for name in set(split.values())}
            for song in songs:
                counts[split[song.name]] += len(song.notes)
            result = counts
    print(json.dumps(result, indent=1))
