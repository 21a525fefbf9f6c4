"""`python -m ripieno_training.golden`: tests/golden/features.json, which holds Rust and Python to the same numbers."""

import json
from pathlib import Path

import numpy as np
import torch

from . import features as ft
from .diffusion import alpha_bars, guided, times
from .synthesis import levelled

FILE = ft.MODELS.parent / "tests" / "golden" / "features.json"
NOTES = [
    [0.503, 1.01, 60, 100],
    [0.5, 0.733, 64, 64],
    # The same key struck again while it still rings, and again while it is held.
    [0.741, 0.902, 64, 90],
    [0.86, 1.2, 64, 40],
    [0.2, 0.61, 35, 127],
    [0.9, 3.0, 112, 80],
]
FIRST, FRAMES = 48, 60


def stereo_signal() -> np.ndarray:
    """Two sines, one left of the middle and one right, [2, 1.3 s]."""
    seconds = np.arange(int(1.3 * ft.SAMPLE_RATE)) / ft.SAMPLE_RATE
    low, high = 0.5 * np.sin(2 * np.pi * 441.0 * seconds), 0.25 * np.cos(2 * np.pi * 3000.5 * seconds)
    return np.stack([low + 0.2 * high, 0.3 * low + high])


def spectrum() -> np.ndarray:
    """A spectrum by formula [8, BINS], so that the other side can build it without the same random generator."""
    frames, bins = np.meshgrid(np.arange(8), np.arange(ft.BINS), indexing="ij")
    return np.cos(0.37 * bins + frames) / (1 + bins) + 1j * np.sin(0.11 * bins * (frames + 1)) / (1 + bins)


def brought() -> np.ndarray:
    """A frame of it at the levels of a mel that is a formula too: real and imaginary parts [BINS, 2]."""
    target = torch.from_numpy((-6.0 + 2.0 * np.sin(0.2 * np.arange(ft.BANDS))).astype(np.float32))
    return torch.view_as_real(levelled(torch.from_numpy(spectrum()[0].astype(np.complex64)), target)).numpy()


def main() -> None:
    """Writes the file."""
    notes = np.array(NOTES)
    roll = ft.note_roll(notes, FIRST, FRAMES)
    index = np.argwhere(roll > 0)
    excitation = ft.excitation_spectrum(roll, FIRST)
    absolute = ft.excitation_spectrum(
        ft.note_roll(notes + [[600.0, 600.0, 0, 0]], 60_000 + FIRST, FRAMES), 60_000 + FIRST
    )
    bins = [0, 5, 11, 12, 28, 29, 56, 100, 400, 852]
    mel = ft.mel_of_audio(stereo_signal(), 10, 4)
    audio = ft.istft(spectrum())
    bars = alpha_bars()
    guidance = guided(torch.tensor(3.0), torch.tensor(1.0), torch.tensor(2.0), 1.25, 1.25)
    values = {
        "notes": NOTES,
        "first_frame": FIRST,
        "frames": FRAMES,
        "roll": [[int(i), int(p), int(k), round(float(roll[i, p, k]), 7)] for i, p, k in index],
        "excitation_bins": bins,
        "excitation": [
            [[round(float(v.real), 7), round(float(v.imag), 7)] for v in row[bins]] for row in excitation[::6]
        ],
        "excitation_after_600_s": [
            [[round(float(v.real), 7), round(float(v.imag), 7)] for v in row[bins]] for row in absolute[::6]
        ],
        "mel_first_frame": 10,
        "mel": [[round(float(v), 6) for v in row] for row in mel],
        "istft": [round(float(v), 8) for v in audio[::37]],
        "levelled": [[float(f"{value:.7g}") for value in bin] for bin in brought()[::7]],
        "alpha_bar": {str(t): float(bars[t]) for t in (0, 250, 499, 750, 999)},
        "guidance": float(guidance),
        "ddim_times": {str(steps): times(steps) for steps in (1, 4, 12, 250)},
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    Path(FILE).write_text(json.dumps(values) + "\n")
    print(FILE, FILE.stat().st_size)


if __name__ == "__main__":
    main()
