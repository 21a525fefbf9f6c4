"""`python -m ripieno_training.evaluate_synth --checkpoints DIR --clips DIR --eval-root DIR`: how near to the recording.

Held-out clips go through three chains: true mel -> vocoder (the ceiling), prior -> vocoder, diffusion -> vocoder with
several sampler settings. The setting is chosen on the valid split and reported, beside the others, on the test split;
`--write` puts both into the manifest. On the test split prior and diffusion also play without being told who, which
says what that is worth. All chains share the vocoder's noise, so that they differ by their mel alone.
"""

import argparse
import json
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import features as ft
from .dataset import Clip, catalogue, load
from .diffusion import ddim, dpm, guided
from .listening import embed, frechet, note_f1, stft_distance
from .manifest import UNET, write_denoiser, write_figures, write_synth
from .networks import MeanMel
from .synthesis import resynthesize, white_noise
from .train import load_bounded, load_network
from .train.checkpoint import learned, read

EDGE = ft.WINDOW
"""samples cut at both ends, where the inverse transform is incomplete"""
SOLVER = "dpm++2m"
SAMPLERS = ["ddim", SOLVER]
"""as the manifest names them"""
LEEWAY = 1.03
"""how far from the truth, in the prior's STFT distance, a setting may be"""


@dataclass(frozen=True)
class Setting:
    """A chain from notes to mel."""

    kind: str
    """`ceiling` (true mel), `prior` or `diffusion`"""
    steps: int = 0
    guidance: float = 1.0
    """of the notes and of the performance"""
    share: float = 1.0
    """of the sampled residual that is added to the prior"""
    performance: bool = True
    """whether the networks are told the performance, or that it is unknown"""
    eta: float = 0.0
    """fresh noise of DDIM; 1 is the published synthesizer's"""
    solver: bool = False
    """DPM-Solver++(2M) in place of DDIM"""

    def __str__(self) -> str:
        unknown = "" if self.performance else ", performance unknown"
        if self.kind != "diffusion":
            return self.kind + unknown
        solver = "DPM-Solver++, " if self.solver else ""
        return f"diffusion, {solver}{self.steps} steps, guidance {self.guidance:g}, share {self.share:g}{unknown}"


CEILING, PRIOR = Setting("ceiling"), Setting("prior")


class Chain:
    """The three networks of a checkpoint folder; of its denoisers, the one of a recipe's name."""

    def __init__(self, folder: Path, denoiser: str = "denoiser") -> None:
        self.prior, self.vocoder = load_network(folder, "prior"), load_network(folder, "vocoder")
        self.denoiser: nn.Module | None = None
        """absent until one is trained"""
        if (folder / f"{denoiser}.pt").exists():
            self.denoiser, self.deviation = load_bounded(folder, denoiser)
            mean = read(folder, denoiser)["kept"].get("mean_mel")
            if mean is not None:
                # It was trained without the prior.
                self.prior = MeanMel(mean)
        self.null = len(catalogue()[0])

    def residual(self, prior: Tensor, roll: Tensor, instrument: Tensor, performance: Tensor, s: Setting) -> Tensor:
        """Samples the residual [1, F, MEL] in its deviations."""
        on, nobody = torch.ones(1), torch.full((1,), self.null)

        def predict(x: Tensor, t: int) -> Tensor:
            time = torch.full((1,), float(t))
            both = self.denoiser(x, prior, roll, instrument, performance, on, time)
            if s.guidance == 1.0:
                return both
            without_notes = self.denoiser(x, prior, roll, instrument, performance, 0 * on, time)
            without_players = self.denoiser(x, prior, roll, instrument, nobody, on, time)
            return guided(both, without_notes, without_players, s.guidance, s.guidance)

        noise = torch.randn_like(prior)
        return dpm(predict, noise, s.steps) if s.solver else ddim(predict, noise, s.steps, s.eta)

    @torch.no_grad()
    def mel(self, clip: Clip, frames: int, setting: Setting, seed: int) -> Tensor:
        """Mel [1, frames, MEL] of a clip's first frames."""
        if setting.kind == "ceiling":
            return torch.from_numpy(clip.mel[None, :frames].astype(np.float32))
        roll = torch.from_numpy(clip.roll[None, :frames].astype(np.float32))
        who = torch.tensor([clip.instrument]), torch.tensor([clip.performance if setting.performance else self.null])
        prior = self.prior(roll, *who, torch.ones(1))
        if setting.kind == "prior":
            return prior
        torch.manual_seed(seed)
        return prior + setting.share * self.deviation * self.residual(prior, roll, *who, setting)

    @torch.no_grad()
    def audio(self, mel: Tensor, clip: Clip, excitation: Tensor, seed: int) -> np.ndarray:
        """Mel [1, frames, MEL] -> stereo [2, samples] without its edges."""
        frames = mel.shape[1]
        gains = self.vocoder(mel, torch.from_numpy(clip.roll[None, :frames].astype(np.float32)))
        torch.manual_seed(seed)
        noise = white_noise(1, frames, torch.device("cpu"))
        return resynthesize(gains, excitation, noise, mel)[0, :, EDGE:-EDGE].numpy()


def held_out(root: Path, split: str, per_performance: int, known: Collection[str]) -> list[Clip]:
    """The first clips of every known performance in a split, instruments in turn."""
    clips = []
    for folder in sorted(folder for folder in (root / split).iterdir() if folder.name in known):
        paths = sorted(folder.glob("*.npz"), key=lambda path: (path.stem.rsplit("-", 1)[1], path.stem))
        clips += [load(path) for path in paths[:per_performance]]
    return clips


@dataclass(frozen=True)
class Task:
    """What to measure on each clip."""

    settings: list[Setting]
    transcribe: list[Setting]
    """settings whose notes are transcribed too, the slowest part"""
    seconds: float
    musicnn: Path


def measure(chain: Chain, clip: Clip, number: int, task: Task) -> dict[str, dict[str, np.ndarray | float]]:
    """Figures of every setting, and of `truth`, on one clip: mel L1, STFT distance, embeddings, note F1 where asked."""
    frames = min(int(task.seconds * ft.FPS), len(clip.mel)) // 2 * 2
    excitation = torch.from_numpy(ft.excitation_spectrum(clip.roll[:frames].astype(np.float32), 0))[None]
    true = clip.audio[:, : (frames - 1) * ft.HOP + 1][:, EDGE:-EDGE].astype(np.float32) / 32768.0
    true_mel = clip.mel[:frames, : ft.BANDS].astype(np.float32)
    notes = clip.notes - np.array([1.0, 1.0, 0.0, 0.0]) * EDGE / ft.SAMPLE_RATE
    figures: dict[str, dict] = {"truth": {"embedding": embed(true, task.musicnn)}}
    if task.transcribe:
        figures["truth"]["note_f1"] = note_f1(true, notes)
    for setting in task.settings:
        mel = chain.mel(clip, frames, setting, number)
        ours = chain.audio(mel, clip, excitation, number)
        row = figures[str(setting)] = {
            "mel_l1": float(np.abs(mel[0, :, : ft.BANDS].numpy() - true_mel).mean()),
            "stft_distance": stft_distance(ours, true),
            "embedding": embed(ours, task.musicnn),
        }
        if setting in task.transcribe:
            row["note_f1"] = note_f1(ours, notes)
    return figures


_chain: Chain | None = None


def _start(checkpoints: Path) -> None:
    global _chain
    torch.set_num_threads(1)
    _chain = Chain(checkpoints)


def _measure(job: tuple[Clip, int, Task]) -> dict[str, dict]:
    return measure(_chain, *job)


def evaluate(checkpoints: Path, clips: list[Clip], task: Task, processes: int) -> dict[str, dict[str, float]]:
    """Means over the clips, and the Frechet distance between all embeddings of a setting and of the truth."""
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (checkpoints,)) as pool:
        jobs = [(clip, number, task) for number, clip in enumerate(clips)]
        rows = list(tqdm(pool.map(_measure, jobs), total=len(jobs), desc="clips"))
    truth = np.concatenate([row["truth"]["embedding"] for row in rows])
    table: dict[str, dict[str, float]] = {}
    for name in rows[0]:
        table[name] = {
            key: float(np.mean([row[name][key] for row in rows])) for key in rows[0][name] if key != "embedding"
        }
        if name != "truth":
            table[name]["musicnn_fad"] = frechet(np.concatenate([row[name]["embedding"] for row in rows]), truth)
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Prints a table."""
    print(f"\n{title}")
    for name, row in table.items():
        print(f"  {name:58s}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items()), flush=True)


def best(table: dict[str, dict[str, float]], settings: list[Setting]) -> Setting:
    """The diffusion setting with the smallest FAD of those whose STFT distance is about the prior's or smaller.

    The STFT distance matches the very frames: it prefers a mean of all that may be played to anything that is. FAD
    prefers what sounds like playing, whether it has these notes or not. Neither may decide alone.
    """
    farthest = LEEWAY * table[str(PRIOR)]["stft_distance"]

    def order(s: Setting) -> tuple[float, float]:
        row = table[str(s)]
        return max(row["stft_distance"], farthest), row["musicnn_fad"]

    return min((s for s in settings if s.kind == "diffusion"), key=order)


def write(checkpoints: Path, chosen: Setting, test: dict[str, dict[str, float]]) -> None:
    """Puts the chosen setting and the figures of the test split into the manifest."""
    _, deviation = load_bounded(checkpoints)
    write_synth(
        {
            "default_steps": chosen.steps,
            "default_guidance_notes": chosen.guidance,
            "default_guidance_performance": chosen.guidance,
            "residual_share": chosen.share,
            # The engine adds deviation times x0, so the share is part of the deviation that is shipped.
            "residual_std": [round(chosen.share * float(v), 5) for v in deviation],
        }
    )
    write_denoiser(UNET | {"sampler": SOLVER if chosen.solver else "ddim"})
    for model, setting in (("vocoder", CEILING), ("prior", PRIOR), ("denoiser", chosen)):
        figures = {f"test_{key}": round(value, 4) for key, value in test[str(setting)].items()}
        if "note_f1" in test["truth"]:
            figures["test_note_f1_of_the_recordings"] = round(test["truth"]["note_f1"], 4)
        write_figures(model, figures)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ripieno_training.evaluate_synth", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--eval-root", type=Path, required=True, help="folder with MSD_musicnn.onnx")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each clip")
    parser.add_argument("--choose", type=int, default=1, help="valid clips per performance to choose the setting on")
    parser.add_argument("--report", type=int, default=2, help="test clips per performance to report on")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.25])
    parser.add_argument("--share", type=float, nargs="+", default=[0.35, 0.6, 1.0])
    parser.add_argument("--no-notes", action="store_true", help="without transcription, the slowest part")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    parser.add_argument("--write", action="store_true", help="put setting and figures into the manifest")
    arguments = parser.parse_args()
    musicnn = arguments.eval_root / "MSD_musicnn.onnx"
    settings = [CEILING, PRIOR]
    if (arguments.checkpoints / "denoiser.pt").exists():
        settings += [
            Setting("diffusion", steps, guidance, share, solver=sampler == SOLVER)
            for sampler in arguments.samplers
            for steps in arguments.steps
            for guidance in arguments.guidance
            for share in arguments.share
        ]
    known = learned(read(arguments.checkpoints, "prior")).performances
    clips = held_out(arguments.clips, "valid", arguments.choose, known)
    task = Task(settings, [], arguments.seconds, musicnn)
    valid = evaluate(arguments.checkpoints, clips, task, arguments.processes)
    show(f"valid, {len(clips)} clips", valid)
    tables = {"valid": valid}
    if len(settings) > 2:
        chosen = best(valid, settings)
        final = [CEILING, PRIOR, chosen]
        untold = [replace(setting, performance=False) for setting in (PRIOR, chosen)]
        clips = held_out(arguments.clips, "test", arguments.report, known)
        task = Task([*final, *untold], [] if arguments.no_notes else final, arguments.seconds, musicnn)
        test = evaluate(arguments.checkpoints, clips, task, arguments.processes)
        show(f"test, {len(clips)} clips, chosen on valid: {chosen}", test)
        tables["test"] = test
        if arguments.write:
            write(arguments.checkpoints, chosen, test)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
