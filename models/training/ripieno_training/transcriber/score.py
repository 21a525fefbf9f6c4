"""How many notes were found, and found with their instrument."""

import mir_eval
import numpy as np

ONSET_TOLERANCE = 0.05


def matched(played: np.ndarray, heard: np.ndarray) -> int:
    """Notes [n, 2] (onset s, pitch) that can be paired one to one, onsets at most 50 ms apart."""
    if len(played) == 0 or len(heard) == 0:
        return 0

    def of(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        onsets = np.maximum(notes[:, 0], 0.0)
        return np.stack([onsets, onsets + 0.1], 1), 440.0 * 2.0 ** ((notes[:, 1] - 69.0) / 12.0)

    pairs = mir_eval.transcription.match_notes(
        *of(played), *of(heard), onset_tolerance=ONSET_TOLERANCE, offset_ratio=None
    )
    return len(pairs)


def unisons_once(notes: np.ndarray) -> np.ndarray:
    """Notes [n, 2 or 3] without those that the same instrument begins on the same pitch within the tolerance."""
    kept: list[np.ndarray] = []
    for note in notes[np.argsort(notes[:, 0], kind="stable")]:
        if not any(note[0] - other[0] <= ONSET_TOLERANCE and (note[1:] == other[1:]).all() for other in kept[-64:]):
            kept.append(note)
    return np.array(kept).reshape(-1, notes.shape[1])


def f1(right: int, played: int, heard: int) -> float:
    """F1 of so many right notes; 0 where there is none."""
    return 2.0 * right / (played + heard) if right else 0.0


def note_instrument_f1(played: np.ndarray, heard: np.ndarray) -> float:
    """F1 of notes [n, 3] (onset s, pitch, instrument): onset within 50 ms, the same pitch, the same instrument.

    Several players of one instrument in unison are one note.
    """
    played, heard = unisons_once(played), unisons_once(heard)
    instruments = np.union1d(played[:, 2], heard[:, 2])
    right = sum(matched(*(notes[notes[:, 2] == who, :2] for notes in (played, heard))) for who in instruments)
    return f1(right, len(played), len(heard))


def any_instrument_f1(played: np.ndarray, heard: np.ndarray) -> float:
    """The same whoever plays: a unison of several instruments, too, is one note."""
    played, heard = unisons_once(played[:, :2]), unisons_once(heard[:, :2])
    return f1(matched(played, heard), len(played), len(heard))
