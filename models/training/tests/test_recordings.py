"""Real recordings as clips, on made-up ones whose alignment, tuning and loudness are known."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ripieno_training import features as ft
from ripieno_training import recordings
from ripieno_training.dataset import Crops, catalogue, load_split
from ripieno_training.train.losses import PriorLoss, loudest, to_tensors
from ripieno_training.transcriber import mixtures

LATE_S, CENTS, RATE = 1.02, 15, 44100
PITCHES = [60, 67, 64, 72, 62, 69, 76, 65] * 10
SOFT = range(40, 80)
"""notes played 6 dB softer"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample pack with one recording: later than its alignment, and tuned too high."""
    root = tmp_path_factory.mktemp("pack")
    folder = root / recordings.FOLDER
    folder.mkdir()
    onsets = 0.3 + 0.5 * np.arange(len(PITCHES))
    audio = 1e-4 * np.random.default_rng(3).normal(size=round((onsets[-1] + 2.5) * RATE))
    for number, (onset, pitch) in enumerate(zip(onsets, PITCHES, strict=True)):
        seconds = np.arange(round(0.48 * RATE)) / RATE
        hz = 440 * 2 ** ((pitch - 69 + CENTS / 100) / 12)
        tone = sum(np.sin(2 * np.pi * h * hz * seconds) / h for h in range(1, 9))
        fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) / 0.01)
        first = round((onset + LATE_S) * RATE)
        audio[first : first + len(tone)] += (0.1 if number in SOFT else 0.2) * tone * fade
    soundfile.write(folder / "somebody.wav", np.stack([audio, 0.9 * audio], 1), RATE)
    align = "".join(f"{on:.3f},{on + 0.48:.3f}\n" for on in onsets)
    (folder / "somebody.align.csv").write_text("start,end\n" + align)
    notes = "".join(f"{12 * i},{12 * i + 12},{pitch},64\n" for i, pitch in enumerate(PITCHES))
    (folder / "somebody.notes.csv").write_text("onset,offset,pitch,velocity\n" + notes)
    return root


def test_notes_stand_where_they_are_heard_in_tune_and_as_loud(pack: Path) -> None:
    recording = recordings.read(pack / recordings.FOLDER / "somebody.wav")
    slower = 2 ** (CENTS / 1200)
    expected = (0.3 + 0.5 * np.arange(len(PITCHES)) + LATE_S) * slower
    np.testing.assert_allclose(recording.notes[:, 0], expected, atol=0.02)
    heard = recordings.Listened(recording.audio.mean(0), ft.SAMPLE_RATE)
    assert abs(heard.tuning(recording.notes)) <= 5
    velocities = recording.notes[:, 3]
    assert velocities[:40].mean() - velocities[40:].mean() == pytest.approx(6.02 * recordings.PER_DB, abs=2.0)
    assert np.median(recordings.levels(recording.audio, recording.notes)) == pytest.approx(recordings.LEVEL_DB, abs=0.5)


@pytest.mark.parametrize("performance", ["", "violin-salon"])
def test_clips_are_those_of_nobody_or_of_a_performance(
    performance: str, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["recordings", "--audio-root", str(pack), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*asked, *(["--performance", performance] if performance else [])])
    recordings.main()
    clips = load_split(tmp_path, "train")
    performances, instruments = catalogue()
    null = len(performances)
    who = performances.index(performance) if performance else null
    assert {(clip.performance, instruments[clip.instrument]) for clip in clips} == {(who, "violin")}
    assert len(clips) == 2 and all(10 < clip.seconds < 40 for clip in clips)
    # No note is lost at a cut, and none sounds in both clips but what is held over it.
    assert sum(int((clip.notes[:, 0] >= 0).sum()) for clip in clips) == len(PITCHES)
    assert [clip.performance for clip in mixtures.load_split(tmp_path, "train")] == [who, who]
    # They are what networks are trained on.
    assert loudest(clips, null, len(instruments)).isfinite().all()
    batch = to_tensors(Crops(clips, 64, 1).batch(2), torch.device("cpu"))
    heard = {}

    def model(roll: torch.Tensor, instrument: torch.Tensor, performance: torch.Tensor, on: torch.Tensor):
        heard["performance"] = performance
        return torch.zeros_like(batch["mel"])

    assert PriorLoss({"drop": 0.0, "side_weight": 0.3}, null)(model, batch).isfinite()
    assert heard["performance"].tolist() == [who, who]
