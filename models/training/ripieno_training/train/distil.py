"""Progressive distillation (Salimans & Ho 2022): a student that makes in one DDIM step what its teacher makes in two.

A chain of stages, say 4, 2, 1: the student of a stage of n steps learns from 2n steps of the one before, the first
from the teacher. All run at `diffusion.times`, where those of n steps are among those of 2n. Against judges a student
learns what its teacher, too, smooths away.
"""

import argparse

import torch

from ..diffusion import times
from .checkpoint import load_network, network, read, recipe
from .distil_losses import AdversarialDistilLoss, DistilLoss
from .growth import grown
from .run import Run, go_on, load_clips
from .students import DISTILLED, SHARPENED, Student


def distil(arguments: argparse.Namespace) -> None:
    """All stages, each a checkpoint beside the teacher's; a finished one is not made again."""
    torch.set_num_threads(arguments.threads)
    folder, before = arguments.out, arguments.teacher
    clips, held = load_clips(arguments, "denoiser")
    for number, steps in enumerate(arguments.stages):
        name = Student(arguments.teacher, SHARPENED if arguments.adversarial else DISTILLED, steps).name
        state = read(folder, before)
        config = recipe("distilled_adversarial" if arguments.adversarial else "distilled")
        if state["config"].get("predicts", "v") != "v":
            raise SystemExit("only a teacher that predicts v can be distilled: at the noisiest time noise says nothing")
        if state["config"].get("onto") == "mean":
            raise SystemExit("only a teacher that adds to the prior can be distilled: the engine has no other")
        config["network"] = state["config"]["network"]
        if number:
            # Guidance was learned in the first stage.
            config["guidance"] = 1.0
        run = Run(arguments, name, config)
        teacher = network(config, run.vocabulary).to(run.device)
        weights = grown(state, teacher, run.vocabulary)["average"]
        teacher.load_state_dict(weights)
        if run.step == 0:
            run.model.load_state_dict(weights)
            run.average.load_state_dict(weights)
        run.kept |= {"residual_std": state["kept"]["residual_std"], "times": times(steps)}
        if not run.kept.get("done"):
            prior, deviation = load_network(folder, "prior").to(run.device), run.kept["residual_std"].to(run.device)
            given = run.config, len(run.vocabulary.performances), prior, deviation, teacher.eval(), steps
            loss_of = AdversarialDistilLoss(*given, kept=run.kept) if arguments.adversarial else DistilLoss(*given)
            go_on(run, loss_of, clips, held, arguments)
            run.kept["done"] = True
            run.save(clips)
        before = name
