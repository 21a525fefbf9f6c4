"""Which notes does a transcriber hear in the demo's mix, and which in the true audio of the same piece?

basic-pitch (Bittner et al., ICASSP 2022) transcribes both; mir_eval counts a note as heard when its key is
right and its onset lies within 50 ms. The figures are added to the demo's report.
"""

import argparse
import json
import logging
from pathlib import Path

import mir_eval
import numpy as np
import pretty_midi

# basic-pitch warns once for each back end that it does not find; it needs only one.
logging.disable(logging.WARNING)
from basic_pitch import ICASSP_2022_MODEL_PATH  # noqa: E402
from basic_pitch.inference import Model, predict  # noqa: E402

ONSET_TOLERANCE_S = 0.05


def written_notes(midi: Path) -> tuple[np.ndarray, np.ndarray]:
    """The notes of a MIDI file: intervals [n, 2] in seconds, pitches [n] in Hz."""
    notes = [note for part in pretty_midi.PrettyMIDI(str(midi)).instruments for note in part.notes]
    intervals = np.array([[note.start, note.end] for note in notes])
    return intervals, mir_eval.util.midi_to_hz(np.array([note.pitch for note in notes]))


def heard_notes(audio: Path, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The notes that basic-pitch hears, with its default thresholds; shapes as of `written_notes`."""
    _, _, events = predict(audio, model)
    intervals = np.array([[start, end] for start, end, *_ in events]).reshape(-1, 2)
    return intervals, mir_eval.util.midi_to_hz(np.array([event[2] for event in events]))


def f1(audio: Path, midi: Path, model: Model, offset_s: float) -> dict[str, float]:
    """Note precision, recall and F1 by onsets alone; the audio is late by `offset_s`."""
    intervals, pitches = written_notes(midi)
    heard, heard_pitches = heard_notes(audio, model)
    if len(heard) == 0:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    heard = np.maximum(heard - offset_s, 0.0)
    heard[:, 1] = np.maximum(heard[:, 1], heard[:, 0] + 1e-3)
    precision, recall, measure, _ = mir_eval.transcription.precision_recall_f1_overlap(
        intervals, pitches, heard, heard_pitches, onset_tolerance=ONSET_TOLERANCE_S, offset_ratio=None
    )
    return {"precision": precision, "recall": recall, "f1": measure}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="report.json, beside mix.wav")
    parser.add_argument("midi", type=Path, help="the notes that were played")
    parser.add_argument("truth", type=Path, help="true audio of the same piece and performance")
    arguments = parser.parse_args()

    report = json.loads(arguments.report.read_text())
    model = Model(ICASSP_2022_MODEL_PATH)
    latency = report["latency_reported_samples"] / report["sample_rate"]
    demo = f1(arguments.report.with_name("mix.wav"), arguments.midi, model, latency + report["lead_in_s"])
    truth = f1(arguments.truth, arguments.midi, model, 0.0)
    report |= {
        "note_f1": round(demo["f1"], 4),
        "note_precision": round(demo["precision"], 4),
        "note_recall": round(demo["recall"], 4),
        "note_f1_truth": round(truth["f1"], 4),
        "note_f1_ratio": round(demo["f1"] / truth["f1"], 4) if truth["f1"] > 0 else None,
    }
    arguments.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
