"""Writes the ONNX file, its manifest entry, and the golden values the engine is held to."""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

from ..export import halve, tensor
from ..manifest import write_model_entry
from .assignment import played
from .data import PARTS, Piece, of_piece
from .evaluation import Run, argmax_parts
from .model import LAYERS, WIDTH, Arranger, parameters

NAME = "bach_lstm"
LICENCE = "LicenseRef-music21-corpus"
"""trained on the music21 corpus: works in the public domain, encodings with restrictions on commercial use"""
STATE = [LAYERS, 1, WIDTH]
INPUTS = [
    tensor("pitch", [1, "notes"], "i64", "MIDI pitch + 1"),
    tensor("beat", [1, "notes"], "i64", "quarters from the song's start, 0 to 4096"),
    tensor("position", [1, "notes"], "i64", "24ths of a quarter, 0 to 23"),
    tensor("h", STATE, "f32", "hidden state, zeros at first"),
    tensor("c", STATE, "f32", "cell state, zeros at first"),
]
OUTPUTS = [
    tensor("logits", [1, "notes", len(PARTS) + 1], "f32", "padding, soprano, alto, tenor, bass"),
    tensor("h_out", STATE, "f32", "hidden state after the last note"),
    tensor("c_out", STATE, "f32", "cell state after the last note"),
]


def write_onnx(model: Arranger, file: Path) -> None:
    """The network as ONNX, opset 17, large weights stored as fp16."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ids = torch.ones(1, 5, dtype=torch.int64)
    state = torch.zeros(STATE), torch.zeros(STATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (ids, ids, ids, *state), str(file), opset_version=17, dynamo=False,
            input_names=[line["name"] for line in INPUTS], output_names=[line["name"] for line in OUTPUTS],
            dynamic_axes={name: {1: "notes"} for name in ("pitch", "beat", "position", "logits")},
        )  # fmt: skip
    graph = onnx.load(str(file))
    halve(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(file))


def write_entry(model: Arranger, file: Path, figures: dict, manifest: Path) -> None:
    """The file's entry in the manifest."""
    made_by = "python -m ripieno_training.arranger train && python -m ripieno_training.arranger export"
    write_model_entry(NAME, file, LICENCE, made_by, parameters(model), INPUTS, OUTPUTS, figures, manifest)


CADENCES = (
    # Soprano, alto, tenor, bass on each quarter; four phrases in G that a hymn might have, written for this fixture.
    "67 62 59 43, 69 62 57 50, 71 62 55 43, 72 64 55 48, 71 62 55 50, 69 60 54 50, 67 59 55 43, 67 59 55 43",
    "71 62 55 55, 71 62 55 54, 72 64 55 52, 74 66 57 50, 76 67 60 48, 74 67 59 50, 73 67 57 45, 74 66 57 50",
    "74 65 59 55, 72 64 60 57, 71 62 59 55, 69 60 57 53, 67 60 55 52, 69 60 57 54, 71 62 55 55, 69 62 54 50",
    "67 62 58 43, 70 62 55 46, 69 63 54 48, 67 62 55 50, 69 60 54 51, 66 60 57 50, 67 58 55 48, 67 59 55 43",
)


def hymn() -> Piece:
    """A piece of four voices and four phrases; where a voice steps by a third it passes through the note between."""
    chords = [[int(x) for x in chord.split()] for phrase in CADENCES for chord in phrase.split(", ")]
    rows = []
    for i, chord in enumerate(chords):
        following = chords[i + 1] if i + 1 < len(chords) else chord
        for part, pitch in enumerate(chord):
            leap = following[part] - pitch
            passes = abs(leap) in (3, 4)
            rows.append((24 * i, pitch, 12 if passes else 24, part))
            if passes:
                rows.append((24 * i + 12, pitch + (2 if leap > 0 else -2), 12, part))
    rows.sort(key=lambda row: row[:3])
    time, pitch, length, part = np.array(rows, np.int64).T
    return Piece("hymn", time, pitch, part, time + length)


def write_golden(run: Run, file: Path) -> float:
    """What the exported file says about the hymn, for the engine's tests. Returns its accuracy."""
    piece = hymn()
    ids = of_piece(piece)
    logits = run([ids])[0]
    right = float((argmax_parts(logits) == piece.part).mean())
    values = {
        "made_by": "python -m ripieno_training.arranger export",
        "time": piece.time.tolist(),
        "end": piece.end.tolist(),
        "pitch": piece.pitch.tolist(),
        "part": piece.part.tolist(),
        "logits": [[round(float(x), 5) for x in row] for row in logits],
        "accuracy": right,
        "played": played(logits, piece.time, piece.end).tolist(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values) + "\n")
    return right
