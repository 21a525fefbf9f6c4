"""Clips some semitones off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ripieno_training import features as ft
from ripieno_training.dataset import Clip, catalogue
from ripieno_training.shifting import possible, shifted, with_shifted


def tone(folder: Path, pitch: int = 69, instrument: str = "flute") -> Clip:
    """Two seconds of a sine that sounds from 0.5 s on."""
    seconds = np.arange(2 * ft.SAMPLE_RATE) / ft.SAMPLE_RATE
    wave = 9000 * np.sin(2 * np.pi * 440.0 * 2 ** ((pitch - 69) / 12) * seconds) * (seconds >= 0.5)
    audio, notes = np.stack([wave, wave]).astype(np.int16), np.array([[0.5, 1.5, pitch, 80.0]])
    features = np.zeros((200, 4, 88), np.float16), np.zeros((200, 256), np.float16)
    return Clip(audio, notes, *features, catalogue()[1].index(instrument), 0, str(folder / "tone.npz"))


@pytest.mark.parametrize("semitones", [-2, 1, 2])
def test_sound_and_notes_shift_together(semitones: int, tmp_path: Path) -> None:
    clip = shifted(tone(tmp_path), semitones)
    spectrum = np.abs(np.fft.rfft(clip.audio[0, ft.SAMPLE_RATE // 2 :] * 1.0))
    hz = spectrum.argmax() * ft.SAMPLE_RATE / len(clip.audio[0, ft.SAMPLE_RATE // 2 :])
    assert hz == pytest.approx(440.0 * 2 ** (semitones / 12), rel=2e-3)
    onset = np.flatnonzero(np.abs(clip.audio[0]) > 900)[0] / ft.SAMPLE_RATE
    assert onset == pytest.approx(clip.notes[0, 0], abs=0.002)
    [key] = np.flatnonzero(clip.roll[:, 1].max(0) > 0.5)
    assert key == 69 + semitones - ft.LOW_KEY
    assert len(clip.mel) == len(clip.roll) == int(200 * 2 ** (-semitones / 12))


def test_no_note_leaves_the_compass_of_its_instrument(tmp_path: Path) -> None:
    assert possible(tone(tmp_path)) == [-2, -1, 1, 2]
    assert possible(tone(tmp_path, 96)) == [-2, -1]
    assert possible(tone(tmp_path, 61)) == [-1, 1, 2]


def test_a_share_is_shifted_and_the_same_for_every_run(tmp_path: Path) -> None:
    clips = [replace(tone(tmp_path), path=str(tmp_path / f"{i}.npz")) for i in range(12)]
    first, second = (with_shifted(clips, 0.5, 3, with_audio=False) for _ in range(2))
    assert 12 < len(first) < 24 and [len(c.mel) for c in first] == [len(c.mel) for c in second]
    assert all(clip.audio.size == 0 for clip in first) and clips[0].audio.size > 0
    assert len(with_shifted(clips, 0.0, 3, with_audio=True)) == 12
