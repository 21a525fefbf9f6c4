"""Piano notes as transkun hears them (Yan & Duan 2024; MIT), which is installed only by who asks for it."""

from functools import cache
from importlib.resources import files

import numpy as np
import soxr
import torch

from ..features import SAMPLE_RATE
from ..listening import matched_f1

PACKAGE = "transkun==2.0.1"
MISSING = f"Piano notes are heard by transkun, which is not installed: pip install {PACKAGE}, or leave out --piano."


@cache
def pianist() -> torch.nn.Module:
    """The network with the package's own weights; SystemExit with a sentence where it is not installed."""
    try:
        import moduleconf

        folder = files("transkun") / "pretrained"
        model = moduleconf.parseFromFile(str(folder / "2.0.conf"))["Model"]
        network = model.module.TransKun(conf=model.config)
    except ImportError as error:
        raise SystemExit(MISSING) from error
    state = torch.load(str(folder / "2.0.pt"), map_location="cpu", weights_only=False)
    network.load_state_dict(state.get("best_state_dict", state.get("state_dict")), strict=False)
    return network.eval()


def piano_notes(audio: np.ndarray) -> np.ndarray:
    """Stereo audio [2, samples] -> notes heard [n, 3]: onset s, end s, pitch."""
    network = pianist()
    heard = soxr.resample(audio.T.astype(np.float32), SAMPLE_RATE, network.fs)
    with torch.no_grad():
        events = network.transcribe(torch.from_numpy(heard), discardSecondHalf=False)
    notes = [(event.start, event.end, event.pitch) for event in events if event.pitch > 0]
    return np.array(notes, dtype=np.float64).reshape(-1, 3)


def piano_f1(audio: np.ndarray, notes: np.ndarray) -> float:
    """F1 of pitch and onset (50 ms) of the notes heard against those played [n, 4]."""
    return matched_f1(piano_notes(audio), notes[notes[:, 0] < audio.shape[1] / SAMPLE_RATE])
