"""Commands of the evaluation."""

import argparse
import os
from pathlib import Path

from ..train.students import students
from . import table
from .piano import PACKAGE
from .protocol import run
from .systems import LABELS

DENOISERS = ["denoiser", "denoiser_base", "t5", "t5_base", "denoiser_alone"]
DENOISERS += [student.name for teacher in LABELS for student in students(teacher)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    measure = commands.add_parser("run", help="measure a checkpoint folder")
    audio, symbolic = os.environ.get("RIPIENO_AUDIO_ROOT"), os.environ.get("RIPIENO_SYMBOLIC_ROOT")
    measure.add_argument("--checkpoints", type=Path, required=True)
    measure.add_argument(
        "--denoisers", nargs="+", default=DENOISERS, metavar="NAME", help="checkpoints of denoisers, where they are"
    )
    measure.add_argument("--transcriber", type=Path, metavar="DIR", help="folder of one, for note+instrument F1")
    measure.add_argument("--work", type=Path, required=True, help="folder for what is done so far")
    measure.add_argument("--name", required=True, help="of the result's file, e.g. tiny-24")
    measure.add_argument("--title", help="what the checkpoints are, for people")
    measure.add_argument("--audio-root", type=Path, default=audio and Path(audio), required=audio is None)
    measure.add_argument("--symbolic-root", type=Path, default=symbolic and Path(symbolic), required=symbolic is None)
    measure.add_argument("--soundfonts", type=Path, action="append", default=[], help="more SoundFont folders")
    measure.add_argument("--pieces", type=int, default=30, help="held-out works")
    measure.add_argument("--each", type=int, default=3, help="random performances of each work")
    measure.add_argument("--seconds", type=float, default=12.0, help="of each work")
    measure.add_argument("--group-excerpts", type=int, default=10, help="training works that stand for a performance")
    measure.add_argument("--minutes", type=float, default=float("inf"), help="begin no work after so long")
    measure.add_argument("--steps", type=int, help="default: the manifest's; students take their own")
    measure.add_argument("--engine", type=Path, metavar="FILE", help="the built ripieno: adds a row of its own")
    measure.add_argument("--share", type=float, help="of the residual; default: the manifest's")
    measure.add_argument("--works", type=int, help="only so many of --pieces")
    measure.add_argument("--reference", type=int, default=0, metavar="STEPS", help="also so many DDIM steps, eta 1")
    measure.add_argument("--only", nargs="+", metavar="SYSTEM", help="besides the true rendering only these systems")
    measure.add_argument("--without", nargs="+", default=[], help="leave out systems whose names contain one of these")
    measure.add_argument("--piano", action="store_true", help=f"also piano notes by transkun (pip install {PACKAGE})")
    measure.add_argument("--no-notes", action="store_true", help="without transcription")
    measure.add_argument("--threads", type=int, default=1)
    measure.set_defaults(do=run)
    tables = commands.add_parser("table", help="write the section of models/synth/README.md")
    tables.set_defaults(do=lambda _: table.write())
    options = parser.parse_args()
    options.do(options)
