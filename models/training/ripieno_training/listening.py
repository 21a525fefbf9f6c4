"""Judges of audio: multi-resolution STFT distance, Frechet distance of musicnn embeddings, note F1 of basic-pitch."""

import contextlib
import io
import logging
import tempfile
import warnings
from functools import cache
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import onnxruntime
import soundfile
import torch
from scipy.linalg import sqrtm

from . import features as ft
from .train import spectral_distance

RESOLUTIONS = [512, 1024, 2048, 4096]
MUSICNN_RATE, MUSICNN_FRAMES, MUSICNN_HOP = 16000, 187, 62
"""187 frames of 256 samples are 3 s; windows start every second"""
LOUDNESS = 0.1
"""musicnn hears level: every clip is brought to this RMS first"""
COVARIANCE_FLOOR = 1e-3
ONSET_TOLERANCE = 0.05


def stft_distance(ours: np.ndarray, true: np.ndarray) -> float:
    """Multi-resolution STFT distance of stereo audio [2, samples], mean over left, right, mid and side."""

    def channels(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([x[0], x[1], (x[0] + x[1]) / 2, (x[0] - x[1]) / 2]).astype(np.float32))

    return float(spectral_distance(channels(ours), channels(true), RESOLUTIONS))


@cache
def musicnn(file: Path) -> onnxruntime.InferenceSession:
    """The musicnn tagger (Pons & Serra 2019; ISC), on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def embed(audio: np.ndarray, file: Path) -> np.ndarray:
    """Stereo audio [2, samples] -> penultimate activations of musicnn [windows, 200], one a second."""
    mono = librosa.resample(audio.mean(0).astype(np.float32), orig_sr=ft.SAMPLE_RATE, target_sr=MUSICNN_RATE)
    mono = mono * LOUDNESS / (np.sqrt(np.mean(mono**2)) + 1e-9)
    mel = librosa.feature.melspectrogram(y=mono, sr=MUSICNN_RATE, hop_length=256, n_fft=512, n_mels=96).T
    mel = np.log10(10000.0 * mel + 1.0).astype(np.float32)
    starts = range(0, len(mel) - MUSICNN_FRAMES + 1, MUSICNN_HOP)
    session = musicnn(file)
    [output] = [o.name for o in session.get_outputs() if o.name.startswith("penultimate")]
    return session.run([output], {"x:0": np.stack([mel[i : i + MUSICNN_FRAMES] for i in starts])})[0]


def frechet(a: np.ndarray, b: np.ndarray, floor: float = COVARIANCE_FLOOR) -> float:
    """Frechet distance |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two sets of embeddings [n, d]."""
    return frechet_of_moments(
        a.mean(0), np.cov(a.T) + floor * np.eye(a.shape[1]), b.mean(0), np.cov(b.T) + floor * np.eye(b.shape[1])
    )


def frechet_of_moments(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """The same from means [d] and covariances [d, d]."""
    apart = mean_a - mean_b
    return float(apart @ apart + np.trace(cov_a + cov_b - 2.0 * np.real(sqrtm(cov_a @ cov_b))))


@cache
def transcriber() -> object:
    """basic-pitch (Bittner et al. 2022; Apache-2.0)."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from basic_pitch import ICASSP_2022_MODEL_PATH
        from basic_pitch.inference import Model

    return Model(ICASSP_2022_MODEL_PATH)


def transcribed(audio: np.ndarray) -> np.ndarray:
    """Notes [n, 3] (onset s, end s, MIDI pitch) that basic-pitch hears in stereo audio [2, samples]."""
    from basic_pitch.inference import predict

    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        soundfile.write(file.name, audio.T, ft.SAMPLE_RATE)
        with contextlib.redirect_stdout(io.StringIO()):
            _, _, events = predict(file.name, transcriber())
    return np.array([[on, off, pitch] for on, off, pitch, *_ in events]).reshape(-1, 3)


def note_f1(audio: np.ndarray, notes: np.ndarray) -> float:
    """F1 of pitch and onset (50 ms, mir_eval without offsets) of the notes heard against those played [n, 4]."""
    return matched_f1(transcribed(audio), notes[notes[:, 0] < audio.shape[1] / ft.SAMPLE_RATE])


def matched_f1(heard: np.ndarray, played: np.ndarray) -> float:
    """F1 of pitch and onset of notes heard against notes played, both [n, 3 or more]: onset s, end s, pitch."""
    if len(heard) == 0 or len(played) == 0:
        return 0.0

    def intervals(x: np.ndarray) -> np.ndarray:
        return np.stack([x[:, 0], np.maximum(x[:, 1], x[:, 0] + 0.01)], 1)

    return mir_eval.transcription.precision_recall_f1_overlap(
        intervals(played), 440.0 * 2.0 ** ((played[:, 2] - 69.0) / 12.0),
        intervals(heard), 440.0 * 2.0 ** ((heard[:, 2] - 69.0) / 12.0),
        onset_tolerance=ONSET_TOLERANCE, offset_ratio=None,
    )[2]  # fmt: skip
