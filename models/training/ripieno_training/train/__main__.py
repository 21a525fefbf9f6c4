"""`python -m ripieno_training.train NETWORK --clips DIR --out DIR --minutes M [--resume]`.

`distil` makes few-step students `NAME_distilled_N` of a denoiser NAME in --out, with `--adversarial`, against judges,
`NAME_sharpened_N`; --minutes and --steps are of each stage.
The same command trains on a GPU when there is one, with larger batches. `--resume --grow` goes on with more
performances and instruments than the checkpoint knows.
"""

import argparse
import math
from pathlib import Path

from .distil import distil
from .run import TRANSCRIBER, train

DENOISERS = {
    ("unet", "tiny"): "denoiser",
    ("unet", "base"): "denoiser_base",
    ("t5", "tiny"): "t5",
    ("t5", "base"): "t5_base",
}
"""the recipe of each architecture and tier, and the name of its checkpoint"""
ALONE = "_alone"
"""at the end of the checkpoint's name of a denoiser without the prior"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.train", description=__doc__)
    parser.add_argument("model", choices=["prior", "denoiser", "vocoder", "distil", "transcriber"])
    parser.add_argument("--arch", choices=["unet", "t5"], help="of a denoiser; unet")
    parser.add_argument("--tier", choices=["tiny", "base"], help="of a denoiser; tiny")
    parser.add_argument("--without-prior", action="store_true", help="a denoiser that makes the whole mel from noise")
    parser.add_argument(
        "--adversarial",
        action="store_true",
        help="a vocoder or students against judges; a vocoder is trained before (--resume)",
    )
    parser.add_argument("--teacher", default="denoiser", metavar="NAME", help="checkpoint in --out to distil")
    parser.add_argument("--stages", type=int, nargs="+", default=[4, 2, 1], help="steps of the students, halving")
    parser.add_argument("--clips", type=Path, required=True, help="folder the data renderer wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of this run")
    parser.add_argument("--steps", type=float, default=math.inf, help="end after as many steps, if that is sooner")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--shifted", type=float, default=0.0, help="share of clips that are also heard up to 2 semitones off"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that cut batches ahead, for a GPU")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--grow", action="store_true", help="of fewer performances: extend it, begin a new schedule")
    parser.add_argument("--like", nargs="*", default=[], metavar="NEW=OLD", help="whom a new entry begins as")
    parser.add_argument("--rewarm", action="store_true", help="begin a new learning-rate schedule")
    parser.add_argument("--valid", action="store_true", help="measure on the valid split at every checkpoint")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe")
    arguments = parser.parse_args()
    name = arguments.model
    if name == "distil":
        return distil(arguments)
    if name == "denoiser":
        name = DENOISERS[arguments.arch or "unet", arguments.tier or "tiny"]
    elif arguments.arch or arguments.tier:
        parser.error("--arch and --tier are of denoisers")
    if arguments.adversarial and name != "vocoder":
        parser.error("--adversarial is of the vocoder and of distil")
    if name == TRANSCRIBER and (arguments.grow or arguments.shifted):
        parser.error("the transcriber neither grows nor hears shifted clips")
    if arguments.without_prior:
        if name not in DENOISERS.values():
            parser.error("--without-prior is of denoisers")
        arguments.set.append("onto=mean")
        return train(arguments, name + ALONE, name)
    train(arguments, name, "vocoder_adversarial" if arguments.adversarial else None)


if __name__ == "__main__":
    main()
