"""Features against formulas, against each other and against the golden file that Rust reads."""

import json

import numpy as np
import pytest

from ripieno_training import features as ft
from ripieno_training import golden
from ripieno_training.dataset import SILENCE, Clip, Crops


def test_the_golden_file_is_what_the_code_computes() -> None:
    kept = json.loads(golden.FILE.read_text())
    roll = ft.note_roll(np.array(kept["notes"]), kept["first_frame"], kept["frames"])
    for frame, plane, key, value in kept["roll"]:
        assert roll[frame, plane, key] == pytest.approx(value, abs=1e-6)
    assert np.count_nonzero(roll) == len(kept["roll"])
    spectrum = ft.excitation_spectrum(roll, kept["first_frame"])[::6][:, kept["excitation_bins"]]
    np.testing.assert_allclose(np.stack([spectrum.real, spectrum.imag], -1), kept["excitation"], atol=1e-5)
    mel = ft.mel_of_audio(golden.stereo_signal(), kept["mel_first_frame"], 4)
    np.testing.assert_allclose(mel, kept["mel"], atol=1e-5)
    np.testing.assert_allclose(ft.istft(golden.spectrum())[::37], kept["istft"], atol=1e-7)
    np.testing.assert_allclose(golden.brought()[::7], kept["levelled"], rtol=1e-5, atol=1e-9)


def test_a_full_scale_sine_peaks_at_one_with_the_phase_of_the_frame_centre() -> None:
    hz, phase = 40 * ft.BIN_HZ, 0.7
    seconds = np.arange(ft.SAMPLE_RATE) / ft.SAMPLE_RATE
    spectrum = ft.stft(np.cos(2 * np.pi * hz * seconds + phase), 10, 1)[0]
    expected = np.exp(1j * (2 * np.pi * hz * 10 * ft.HOP / ft.SAMPLE_RATE + phase))
    assert abs(spectrum[40] - expected) < 1e-9


def test_istft_undoes_stft() -> None:
    signal = np.random.default_rng(1).normal(0, 0.1, 20 * ft.HOP)
    half, frames = ft.WINDOW // 2, 16
    back = ft.istft(ft.stft(signal, 0, frames))
    np.testing.assert_allclose(back[half : half + 12 * ft.HOP], signal[: 12 * ft.HOP], atol=1e-9)


def test_every_mel_band_hears_something_and_weighs_one() -> None:
    filters = ft.mel_filters()
    assert filters.min() >= 0.0
    np.testing.assert_allclose(filters.sum(1), 1.0)


def test_a_struck_again_key_forgets_its_past() -> None:
    roll = ft.note_roll(np.array([[0.1, 0.3, 60, 127], [0.5, 0.7, 60, 64]]), 0, 100)[:, :, 60 - ft.LOW_KEY]
    assert roll[10, 0] == pytest.approx(1.0)
    assert roll[20, 1] == pytest.approx(1.0)
    assert roll[40, 3] == pytest.approx(2.0 ** (-10 / ft.RELEASE_HALF_LIFE), abs=1e-4)
    assert roll[60, 1] == pytest.approx(64 / 127)
    assert roll[60, 3] == 0.0


def test_a_roll_does_not_depend_on_where_it_is_cut() -> None:
    random = np.random.default_rng(2)
    onsets = random.uniform(0, 5, 40)
    notes = np.stack([onsets, onsets + random.uniform(0.05, 1, 40), random.integers(15, 115, 40), onsets * 10 + 40], 1)
    whole = ft.note_roll(notes, 0, 600)
    np.testing.assert_array_equal(ft.note_roll(notes, 237, 96), whole[237:333])
    assert np.array_equal(ft.excitation_spectrum(whole, 0)[237:333], ft.excitation_spectrum(whole[237:333], 237))


def test_the_age_of_a_held_note_does_not_know_its_end() -> None:
    short, long = (ft.note_roll(np.array([[0.1, end, 50, 90]]), 0, 40) for end in (0.5, 5.0))
    np.testing.assert_array_equal(short, long)


def test_the_excitation_is_the_sum_of_its_harmonics() -> None:
    roll = ft.note_roll(np.array([[-5.0, 5.0, 69, 127]]), 0, 8)
    seconds = np.arange(ft.SAMPLE_RATE // 2) / ft.SAMPLE_RATE
    wave = sum(np.cos(2 * np.pi * (440.0 * h * seconds + ft.GOLDEN_RATIO * h * h)) / h for h in range(1, 46))
    true = ft.stft(wave, 5, 1)[0]
    ours = ft.excitation_spectrum(roll, 0)[5]
    peak = round(440.0 / ft.BIN_HZ)
    # The side lobes of the Hann window, 2.7 % of a partial and less, are left out on purpose.
    assert np.abs(ours[10:200] - true[10:200]).max() < 0.03
    assert abs(ours[peak] - true[peak]) < 0.002


def test_some_crops_begin_in_silence() -> None:
    frames = 300
    clip = Clip(
        np.ones((2, frames * ft.HOP), np.int16), np.zeros((0, 4)), np.ones((frames, ft.PLANES, ft.KEYS), np.float16),
        np.zeros((frames, 2 * ft.BANDS), np.float16), 0, 0, "",
    )  # fmt: skip
    crops = Crops([clip], 64, 3)
    batch = crops.audio_batch(40)
    early = [i for i in range(40) if batch["roll"][i, 0, 0, 0] == 0.0]
    assert 2 <= len(early) <= 20
    for i in early:
        lead = int((batch["roll"][i, :, 0, 0] == 0.0).sum())
        np.testing.assert_allclose(batch["mel"][i, :lead], np.broadcast_to(SILENCE, (lead, 2 * ft.BANDS)), rtol=1e-6)
        assert np.count_nonzero(batch["audio"][i, 0]) == (63 - lead) * ft.HOP + 1


def test_a_soloist_is_drawn_as_often_as_an_orchestra() -> None:
    def clip(instrument: int, performance: int) -> Clip:
        empty = np.zeros((64, ft.PLANES, ft.KEYS), np.float16), np.zeros((64, 2 * ft.BANDS), np.float16)
        return Clip(np.zeros((2, 0), np.int16), np.zeros((0, 4)), *empty, instrument, performance, "")

    batch = Crops([clip(0, 1), clip(0, 1), *(clip(part, 2) for part in range(6))], 64, 3).batch(400)
    assert 160 <= (batch["performance"] == 1).sum() <= 240
    assert min(np.bincount(batch["instrument"][batch["performance"] == 2], minlength=6)) >= 15
