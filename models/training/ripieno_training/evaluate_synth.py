"""`python -m ripieno_training.evaluate_synth --checkpoints DIR --clips DIR --eval-root DIR`: how near to the recording.

Held-out clips go through three chains: true mel -> vocoder (the ceiling), prior -> vocoder, diffusion -> vocoder with
several sampler settings. The setting is chosen on the valid split and reported, beside the others, on the test split;
`--write` puts both into the manifest. All chains share the vocoder's noise, so that they differ by their mel alone.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import features as ft
from .dataset import Clip, catalogue, load
from .diffusion import ddim, guided
from .listening import embed, frechet, note_f1, stft_distance
from .manifest import MANIFEST, read, write_figures, write_synth
from .train import load_network, synthesize, white_noise

EDGE = ft.WINDOW
"""samples cut at both ends, where the inverse transform is incomplete"""


@dataclass(frozen=True)
class Setting:
    """A chain from notes to mel."""

    kind: str
    """`ceiling` (true mel), `prior` or `diffusion`"""
    steps: int = 0
    guidance: float = 1.0
    """of the notes and of the performance"""
    eta: float = 0.0
    start: float = 1.0
    """deviation of the starting noise; the networks learned 1"""

    def __str__(self) -> str:
        if self.kind != "diffusion":
            return self.kind
        return f"diffusion, {self.steps} steps, guidance {self.guidance:g}, eta {self.eta:g}, start {self.start:g}"


CEILING, PRIOR = Setting("ceiling"), Setting("prior")


class Chain:
    """The three networks of a checkpoint folder."""

    def __init__(self, folder: Path) -> None:
        self.prior, self.vocoder = load_network(folder, "prior"), load_network(folder, "vocoder")
        self.denoiser: nn.Module | None = None
        if (folder / "denoiser.pt").exists():
            self.denoiser = load_network(folder, "denoiser")
            kept = torch.load(folder / "denoiser.pt", map_location="cpu", weights_only=False)["kept"]
            self.deviation: Tensor = kept["residual_std"]
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

        return ddim(predict, s.start * torch.randn_like(prior), s.steps, s.eta)

    @torch.no_grad()
    def mel(self, clip: Clip, frames: int, setting: Setting, seed: int) -> Tensor:
        """Mel [1, frames, MEL] of a clip's first frames."""
        if setting.kind == "ceiling":
            return torch.from_numpy(clip.mel[None, :frames].astype(np.float32))
        roll = torch.from_numpy(clip.roll[None, :frames].astype(np.float32))
        who = torch.tensor([clip.instrument]), torch.tensor([clip.performance])
        prior = self.prior(roll, *who, torch.ones(1))
        if setting.kind == "prior":
            return prior
        torch.manual_seed(seed)
        return prior + self.deviation * self.residual(prior, roll, *who, setting)

    @torch.no_grad()
    def audio(self, mel: Tensor, clip: Clip, excitation: Tensor, seed: int) -> np.ndarray:
        """Mel [1, frames, MEL] -> stereo [2, samples] without its edges."""
        frames = mel.shape[1]
        gains = self.vocoder(mel, torch.from_numpy(clip.roll[None, :frames].astype(np.float32)))
        torch.manual_seed(seed)
        noise = white_noise(1, frames, torch.device("cpu"))
        return synthesize(gains, excitation, noise)[0, :, EDGE:-EDGE].numpy()


def held_out(root: Path, split: str, per_performance: int) -> list[Clip]:
    """The first clips of every performance in a split, instruments in turn."""
    clips = []
    for folder in sorted((root / split).iterdir()):
        paths = sorted(folder.glob("*.npz"), key=lambda path: (path.stem.rsplit("-", 1)[1], path.stem))
        clips += [load(path) for path in paths[:per_performance]]
    return clips


def evaluate(
    chain: Chain, clips: list[Clip], settings: list[Setting], seconds: float, musicnn: Path, transcribe: set[Setting]
) -> dict[str, dict[str, float]]:
    """Figures of every setting over the clips: mel L1, STFT distance, musicnn-FAD, and note F1 where asked."""
    figures: dict[str, dict[str, list]] = {
        str(s): {key: [] for key in ("mel", "stft", "embedding", "f1")} for s in settings
    }
    truth: list[np.ndarray] = []
    true_f1: list[float] = []
    for number, clip in enumerate(tqdm(clips, desc="clips")):
        frames = min(int(seconds * ft.FPS), len(clip.mel)) // 2 * 2
        roll = clip.roll[:frames].astype(np.float32)
        excitation = torch.from_numpy(ft.excitation_spectrum(roll, 0))[None]
        true = clip.audio[:, : (frames - 1) * ft.HOP + 1][:, EDGE:-EDGE].astype(np.float32) / 32768.0
        notes = clip.notes - np.array([1.0, 1.0, 0.0, 0.0]) * EDGE / ft.SAMPLE_RATE
        truth.append(embed(true, musicnn))
        if transcribe:
            true_f1.append(note_f1(true, notes))
        true_mel = clip.mel[:frames].astype(np.float32)
        for setting in settings:
            kept = figures[str(setting)]
            mel = chain.mel(clip, frames, setting, number)
            ours = chain.audio(mel, clip, excitation, number)
            kept["mel"].append(float(np.abs(mel[0].numpy() - true_mel)[:, : ft.BANDS].mean()))
            kept["stft"].append(stft_distance(ours, true))
            kept["embedding"].append(embed(ours, musicnn))
            if setting in transcribe:
                kept["f1"].append(note_f1(ours, notes))
    all_true = np.concatenate(truth)
    table = {}
    for name, kept in figures.items():
        table[name] = {
            "mel_l1": float(np.mean(kept["mel"])),
            "stft_distance": float(np.mean(kept["stft"])),
            "musicnn_fad": frechet(np.concatenate(kept["embedding"]), all_true),
        }
        if kept["f1"]:
            table[name] |= {"note_f1": float(np.mean(kept["f1"])), "note_f1_of_truth": float(np.mean(true_f1))}
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Prints a table."""
    print(f"\n{title}")
    for name, row in table.items():
        print(f"  {name:58s}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items()), flush=True)


def best(table: dict[str, dict[str, float]], settings: list[Setting]) -> Setting:
    """The diffusion setting with the smallest product of STFT distance and FAD, both relative to the prior's."""
    prior = table[str(PRIOR)]

    def score(s: Setting) -> float:
        row = table[str(s)]
        return row["stft_distance"] / prior["stft_distance"] * row["musicnn_fad"] / prior["musicnn_fad"]

    return min((s for s in settings if s.kind == "diffusion"), key=score)


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
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.25])
    parser.add_argument("--eta", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--no-notes", action="store_true", help="without transcription, the slowest part")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    parser.add_argument("--write", action="store_true", help="put setting and figures into the manifest")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    musicnn = arguments.eval_root / "MSD_musicnn.onnx"
    chain = Chain(arguments.checkpoints)
    settings = [CEILING, PRIOR]
    if chain.denoiser is not None:
        settings += [
            Setting("diffusion", steps, guidance, eta)
            for steps in arguments.steps
            for guidance in arguments.guidance
            for eta in (arguments.eta if steps > 1 else [0.0])
        ]
    clips = held_out(arguments.clips, "valid", arguments.choose)
    valid = evaluate(chain, clips, settings, arguments.seconds, musicnn, set())
    show("valid", valid)
    tables = {"valid": valid}
    if len(settings) > 2:
        chosen = best(valid, settings)
        final = [CEILING, PRIOR, chosen]
        clips = held_out(arguments.clips, "test", arguments.report)
        transcribe = set() if arguments.no_notes else set(final)
        test = evaluate(chain, clips, final, arguments.seconds, musicnn, transcribe)
        show(f"test, {len(clips)} clips, chosen on valid: {chosen}", test)
        tables["test"] = test
        if arguments.write:
            write_synth(
                {
                    "default_steps": chosen.steps,
                    "default_guidance_notes": chosen.guidance,
                    "default_guidance_performance": chosen.guidance,
                    "default_eta": chosen.eta,
                }
            )
            for model, setting in (("vocoder", CEILING), ("prior", PRIOR), ("denoiser", chosen)):
                if any(entry["name"] == model for entry in read(MANIFEST).get("model", [])):
                    row = {f"test_{key}": round(value, 4) for key, value in test[str(setting)].items()}
                    write_figures(model, row)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
