"""The transcriber: what it sees, what it learns in a minute, and how its notes are counted."""

import sys
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import torch

from ripieno_training.features import KEYS
from ripieno_training.transcriber.decode import Listener, between, peaks
from ripieno_training.transcriber.loss import TranscriberLoss
from ripieno_training.transcriber.mixtures import Mixtures, Mono, onset_target
from ripieno_training.transcriber.network import Transcriber
from ripieno_training.transcriber.score import any_instrument_f1, note_instrument_f1, unisons_once
from ripieno_training.transcriber.spectrum import BANDS, FPS, HOP, RATE, SILENCE, Spectrum, harmonic_bands


def tone(pitch: float, seconds: float, harmonics: int) -> np.ndarray:
    """A decaying sound of so many harmonics at 16 kHz."""
    time = np.arange(int(seconds * RATE)) / RATE
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    waves = [np.sin(2 * np.pi * hz * h * time) / h for h in range(1, harmonics + 1) if hz * h < RATE / 2]
    return 0.2 * np.sum(waves, 0) * np.exp(-3 * time)


def clip(instrument: int, harmonics: int, seed: int) -> Mono:
    """Six seconds of single notes."""
    random = np.random.default_rng(seed)
    onsets = np.arange(0.1, 5.5, 0.4) + random.uniform(0, 0.1, 14)
    notes = np.column_stack([onsets, onsets + 0.35, random.integers(55, 75, 14), np.full(14, 90.0)])
    audio = np.zeros(6 * RATE)
    for onset, end, pitch, _ in notes:
        first, sound = int(onset * RATE), tone(pitch, end - onset, harmonics)
        audio[first : first + len(sound)] += sound
    return Mono(np.round(audio / 2 * 32767).astype(np.int16), notes, instrument, instrument)


@pytest.mark.parametrize("pitch", [33, 57, 69, 93])
def test_a_tone_is_loudest_in_its_own_band_at_any_level(pitch: int) -> None:
    sound = torch.from_numpy(tone(pitch, 1.0, 1).astype(np.float32))[None]
    loud, soft = Spectrum()(sound), Spectrum()(0.01 * sound)
    torch.testing.assert_close(loud, soft, atol=1e-3, rtol=1e-3)
    assert loud.shape == (1, 2, RATE // HOP + 1, BANDS + 1)
    assert abs(int(loud[0, 1, 20, :BANDS].argmax()) - (1 + 3 * (pitch - 21))) <= (1 if pitch < 50 else 0)
    assert (loud[..., BANDS] == SILENCE).all()


def test_harmonics_lie_in_their_bands_and_nothing_lies_outside() -> None:
    bands = harmonic_bands((0.5, 1, 2, 3), (0,))
    assert bands[1, 48] == 1 + 3 * 48 and bands[2, 48] == 1 + 3 * 60 and bands[3, 0] == 1 + 57
    assert bands[0, 3] == BANDS and bands[0, 12] == 1 and bands.max() == BANDS


def test_shapes_and_that_an_untrained_transcriber_hears_nothing() -> None:
    torch.manual_seed(1)
    model = Transcriber(5, width=8, hidden=16)
    sound = 0.1 * torch.randn(2, 50 * HOP)
    assert model(sound).shape == (2, 51, KEYS)
    assert model(sound).sigmoid().max() < 0.3
    at = torch.tensor([0, 1, 1]), torch.tensor([0, 50, 7]), torch.tensor([0, 87, 40])
    assert model.players(model.spectrum(sound), *at).shape == (3, 5)


def test_a_peak_is_found_once_and_between_frames() -> None:
    likely = onset_target(np.array([[10.3 / FPS, 1.0, 60.0], [20 / FPS, 1.0, 60.0], [21 / FPS, 1.0, 62.0]]), 40)
    frame, key = peaks(likely, 0.4)
    assert sorted(zip(frame.tolist(), key.tolist(), strict=True)) == [(10, 39), (20, 39), (21, 41)]
    assert 0.1 < between(likely, frame, key)[0] < 0.5 and between(likely, frame, key)[1] == 0.0
    flat = np.zeros((9, KEYS))
    flat[3:5, 7] = 0.8
    assert [x.tolist() for x in peaks(flat, 0.4)] == [[3], [7]]


def test_a_note_is_right_with_its_pitch_its_onset_and_its_instrument() -> None:
    played = np.array([[0.5, 60, 1], [0.5, 60, 2], [1.0, 64, 1], [2.0, 67, 3]])
    assert note_instrument_f1(played, played) == 1.0
    assert note_instrument_f1(played, played + [0.06, 0, 0]) == 0.0
    assert note_instrument_f1(played, np.zeros((0, 3))) == 0.0
    # One of four by another instrument: three are right of four played and four heard.
    heard = played.copy()
    heard[2, 2] = 3
    assert note_instrument_f1(played, heard) == pytest.approx(0.75)
    assert any_instrument_f1(played, heard) == 1.0
    # Two violins in unison are one note; so is what was heard twice.
    assert len(unisons_once(np.array([[0.5, 60, 1], [0.52, 60, 1], [0.6, 60, 1], [0.52, 60, 2]]))) == 3


def test_whoever_plays_the_count_is_mir_evals() -> None:
    random = np.random.default_rng(3)
    played = np.column_stack([np.arange(40) * 0.2, random.integers(50, 80, 40), random.integers(0, 3, 40)])
    heard = played[random.random(40) < 0.7] + [0.02, 0, 0]
    heard[::5, 1] += 1

    def of(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([notes[:, 0], notes[:, 0] + 0.1], 1), 440.0 * 2.0 ** ((notes[:, 1] - 69) / 12)

    theirs = mir_eval.transcription.precision_recall_f1_overlap(*of(played), *of(heard), offset_ratio=None)[2]
    assert any_instrument_f1(played, heard) == pytest.approx(theirs) and 0.3 < theirs < 1.0


def test_it_learns_to_tell_a_pure_tone_from_a_rich_one() -> None:
    torch.manual_seed(2)
    clips = [clip(0, 1, 1), clip(0, 1, 2), clip(1, 12, 3), clip(1, 12, 4)]
    draws = Mixtures(clips, 150, 5)
    model = Transcriber(2, width=16, hidden=32)
    loss_of = TranscriberLoss({"jitter": 1, "players": 2.0})
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        batch = {key: torch.from_numpy(value) for key, value in draws.batch(4).items()}
        loss = loss_of(model, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    listener = Listener.__new__(Listener)
    listener.model, listener.threshold = model.eval(), 0.4
    scores = []
    for unheard in (clip(0, 1, 11), clip(1, 12, 12)):
        played = np.column_stack([unheard.notes[:, [0, 2]], np.full(len(unheard.notes), unheard.instrument)])
        scores.append(note_instrument_f1(played, listener.notes_of_mono(unheard.audio / 32768.0)))
    assert min(scores) > 0.8, scores


def test_it_is_trained_and_measured_by_command(tmp_path: Path, monkeypatch, capsys) -> None:
    from ripieno_training.train.__main__ import main as train
    from ripieno_training.transcriber.__main__ import main as measure

    random = np.random.default_rng(1)
    for split in ("train", "valid", "test"):
        for performance, instrument in (("concert-grand", "piano"), ("guitar-room", "guitar")):
            file = tmp_path / "clips" / split / performance / f"{instrument}-0000.npz"
            file.parent.mkdir(parents=True)
            np.savez(
                file, audio=random.integers(-9000, 9000, (2, 3 * 48_000), np.int16),
                notes=np.array([[0.1, 0.6, 60.0, 90.0], [1.1, 1.6, 62.0, 90.0]]),
                performance=performance, instrument=instrument, work="none",
            )  # fmt: skip
    out, clips = str(tmp_path / "out"), str(tmp_path / "clips")
    changes = ["--set", "frames=50", "batch=2", "network={kind: transcriber, width: 8, hidden: 16}"]
    for steps in (2, 3):
        given = ["train", "transcriber", "--clips", clips, "--out", out, "--steps", str(steps), "--resume", "--valid"]
        monkeypatch.setattr(sys, "argv", [*given, *changes])
        train()
    assert torch.load(tmp_path / "out" / "transcriber.pt", weights_only=False)["step"] == 5
    monkeypatch.setattr(
        sys, "argv", ["measure", "--checkpoints", out, "--clips", clips, "--mixtures", "2", "--seconds", "2"]
    )
    measure()
    assert '"note_instrument_f1"' in capsys.readouterr().out
    listener = Listener(tmp_path / "out")
    assert listener.instruments[0] == "piano" and listener.threshold in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
    assert listener.notes(np.zeros((2, 48_000), np.float32)).shape == (0, 3)
