"""Makes the demonstration piece: the opening of Haydn's quartet Op. 76 No. 1, second movement.

    python -m ripieno_training.render.demo --symbolic-root DIR --out assets

Writes demo_parts.mid (four named tracks) and demo.mid (the same notes on one track, as one keyboardist plays
them). The score is OpenScore's (CC0). A keyboard has each key once and a part one note at a time, so double
stops keep one note and unisons between parts move to the chord's other notes; EDITS lists every change.
"""

import argparse
from pathlib import Path

import mido
import numpy as np

from .scores import read_tracks

FILE = "openscore_quartets/osq/Haydn__Joseph__String_Quartet_in_G_major__Hob.III75__Op.76_No.1__sq15049456.mid"
FIRST_BEAT, BEATS = 899, 32
TEMPO_BPM = 46
TICKS = 480
NAMES = ("Violin 1", "Violin 2", "Viola", "Violoncello")
PROGRAMS = (40, 40, 41, 42)

EDITS: tuple[dict[float, tuple[float, int] | None], ...] = (
    {13.5: (0.25, 62), 13.667: None, 13.833: None, 13.75: (0.25, 67), 30.0: (2.0, 72)},
    {
        12.0: (1.0, 60),
        12.5: None,
        13.5: (0.5, 59),
        14.0: (1.0, 62),
        15.0: (0.5, 60),
        18.0: (0.75, 69),
        26.0: (0.5, 70),
        29.0: (1.0, 67),
        30.0: (2.0, 64),
    },
    {13.5: (0.5, 55), 15.0: (0.5, 55), 30.0: (2.0, 60)},
    {4.5: (0.5, 48), 7.0: (1.0, 43), 20.0: (0.5, 62), 30.0: (2.0, 48)},
)
"""For each part, beat: the note (length in beats, pitch) that stands there instead, or none."""


def parts(symbolic_root: Path) -> list[np.ndarray]:
    """The four parts, [n, 4]: onset and length in beats, pitch, velocity."""
    result = []
    for track, edits, balance in zip(read_tracks(symbolic_root / FILE), EDITS, (8, -3, -4, 1), strict=True):
        window = track.notes[(track.notes[:, 0] >= FIRST_BEAT) & (track.notes[:, 0] < FIRST_BEAT + 30)]
        notes = [(onset - FIRST_BEAT, length, pitch) for onset, length, pitch in window]
        notes = [note for note in notes if not any(abs(note[0] - beat) < 0.01 for beat in edits)]
        notes += [(beat, *edit) for beat, edit in edits.items() if edit is not None]
        part = np.array(sorted(notes))
        velocity = np.round(_phrase(part[:, 0]) + balance)
        # A bow change between notes: the next note of a part begins after the last has ended.
        result.append(np.stack([part[:, 0], 0.97 * part[:, 1], part[:, 2], velocity], 1))
    return result


def _phrase(beat: np.ndarray) -> np.ndarray:
    """Velocity of the whole at a beat: four phrases, the third an octave higher and the fourth the height."""
    beats = [0, 4, 7.9, 8, 12, 15.9, 16, 20, 23.9, 24, 28, 30, 32]
    return np.interp(beat, beats, [56, 68, 54, 52, 66, 52, 64, 78, 64, 68, 88, 60, 54])


def _track(parts_: list[np.ndarray], name: str, channel: int, program: int) -> mido.MidiTrack:
    events = []
    for onset, length, pitch, velocity in np.concatenate(parts_):
        events.append((round(onset * TICKS), 1, int(pitch), int(velocity)))
        events.append((round((onset + length) * TICKS), 0, int(pitch), 0))
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    track.append(mido.Message("program_change", channel=channel, program=program))
    now = 0
    for tick, on, pitch, velocity in sorted(events):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    return track


def _conductor() -> list[mido.MetaMessage]:
    return [
        mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO_BPM)),
        mido.MetaMessage("time_signature", numerator=2, denominator=4),
        mido.MetaMessage("key_signature", key="C"),
    ]


def write(symbolic_root: Path, out: Path) -> None:
    voices = parts(symbolic_root)
    separate = mido.MidiFile(ticks_per_beat=TICKS)
    separate.tracks.append(mido.MidiTrack(_conductor()))
    for channel, (name, program, voice) in enumerate(zip(NAMES, PROGRAMS, voices, strict=True)):
        separate.tracks.append(_track([voice], name, channel, program))
    separate.save(out / "demo_parts.mid")
    merged = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    merged.tracks.append(_track(voices, "Haydn, Op. 76 No. 1, Adagio sostenuto", 0, 0))
    merged.tracks[0][1:1] = _conductor()
    merged.save(out / "demo.mid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbolic-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write(options.symbolic_root, options.out)


if __name__ == "__main__":
    main()
