"""What MusPy and music21 make of scores: reads names of files from standard input, writes a line of JSON for each.

    python symbolic.py muspy   < names    figures, and hashes of the representations, of MIDI files or MusPy's JSON
    python symbolic.py music21 < names    every note as (onset, duration, pitch) in quarters; grace notes; pedals

Needs muspy 0.5.0 and music21; the tests in engine/tests/oracles.rs call it.
"""

import hashlib
import json
import math
import sys
import warnings

warnings.simplefilter("ignore")

# Ticks of a piece whose piano roll of 64-bit numbers, 128 a tick, still fits.
LONGEST_ROLL = 200_000


def digest(array):
    """SHA-256 of an array's numbers as little-endian 64-bit integers."""
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()


def notes_of(music):
    """A piece's rows (onset, pitch, duration, velocity); velocity 0 is 1, for in MIDI a note has one."""
    import muspy

    rows = muspy.to_note_representation(music)
    rows[:, 3] = rows[:, 3].clip(1)
    return rows


def muspy_figures(path):
    """Every metric by MusPy's name (None for NaN), and what the representations, and what they decode to, hash to."""
    import muspy

    music = muspy.load_json(path) if path.endswith(".json") else muspy.read_midi(path)
    resolution = music.resolution
    metrics = {
        "n_pitches_used": muspy.n_pitches_used(music),
        "n_pitch_classes_used": muspy.n_pitch_classes_used(music),
        "pitch_range": muspy.pitch_range(music),
        "polyphony": muspy.polyphony(music),
        "polyphony_rate": muspy.polyphony_rate(music),
        "pitch_in_scale_rate_d_major": muspy.pitch_in_scale_rate(music, 2, "major"),
        "pitch_in_scale_rate_e_minor": muspy.pitch_in_scale_rate(music, 4, "minor"),
        "scale_consistency": muspy.scale_consistency(music),
        "pitch_entropy": muspy.pitch_entropy(music),
        "pitch_class_entropy": muspy.pitch_class_entropy(music),
        "empty_beat_rate": muspy.empty_beat_rate(music),
        "empty_measure_rate": muspy.empty_measure_rate(music, 3 * resolution),
        "drum_in_pattern_rate_duple": muspy.drum_in_pattern_rate(music, "duple"),
        "drum_in_pattern_rate_triple": muspy.drum_in_pattern_rate(music, "triple"),
        "drum_pattern_consistency": muspy.drum_pattern_consistency(music),
        "groove_consistency": muspy.groove_consistency(music, 4 * resolution),
    }
    figures = {name: None if math.isnan(value) else float(value) for name, value in metrics.items()}
    ends = {"use_single_note_off_event": True, "use_end_of_sequence_event": True}
    encoded = {
        "note": muspy.to_note_representation(music),
        "event": muspy.to_event_representation(music),
        "event_all": muspy.to_event_representation(music, force_velocity_event=False, encode_velocity=True, **ends),
    }
    decoded = {
        "note": muspy.from_note_representation(encoded["note"]),
        "event": muspy.from_event_representation(encoded["event"]),
        "event_all": muspy.from_event_representation(encoded["event_all"], **ends),
    }
    if music.get_end_time() <= LONGEST_ROLL:
        encoded["pitch"] = muspy.to_pitch_representation(music)
        encoded["piano_roll"] = muspy.to_pianoroll_representation(music)
        decoded["pitch"] = muspy.from_pitch_representation(encoded["pitch"])
        decoded["piano_roll"] = muspy.from_pianoroll_representation(encoded["piano_roll"])
        try:
            encoded["pitch_hold"] = muspy.to_pitch_representation(music, use_hold_state=True)
            decoded["pitch_hold"] = muspy.from_pitch_representation(encoded["pitch_hold"], use_hold_state=True)
        except IndexError:  # A last note of no length is beyond the end of MusPy's array.
            pass
    hashes = {name: digest(array) for name, array in encoded.items()}
    hashes |= {f"from_{name}": digest(notes_of(piece)) for name, piece in decoded.items()}
    return {"figures": figures, "hashes": hashes}


def first_tune(path):
    """The text of the first tune, said to be of the version whose accidentals last for the measure."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    begins = text.find("X:")
    ends = text.find("\nX:", begins + 1)
    return "%abc-2.1\n" + text[max(begins, 0) : None if ends < 0 else ends]


def music21_notes(path):
    """Sounding notes of the first tune or score, repeats expanded, ties joined; each pedal's first and last note."""
    from music21 import converter, expressions, harmony, note, percussion, repeat, stream

    if path.endswith(".abc"):
        score = converter.parse(first_tune(path), format="abc")
    else:
        score = converter.parse(path, forceSource=True)
    if isinstance(score, stream.Opus):
        score = score.scores[0]
    notes, graces = [], 0

    def add(held, sounding, pitch, tie):
        """A note, or more of the one that is tied to it: music21 itself joins whole chords only."""
        onset, length = float(sounding.offset), float(sounding.quarterLength)
        key = (round(pitch.ps), round(onset * 10080))
        known = held.pop(key, None)
        if known is None:
            known = [onset, 0.0, round(pitch.ps)]
            notes.append(known)
        known[1] += length
        if tie is not None and tie.type in ("start", "continue"):
            held[(key[0], round((onset + length) * 10080))] = known

    for part in list(score.parts) or [score]:
        try:
            part = part.expandRepeats()
        except (repeat.ExpanderException, stream.StreamException):
            pass
        held = {}
        for sounding in part.toSoundingPitch().flatten().notes:
            if isinstance(sounding, (note.Unpitched, percussion.PercussionChord, harmony.Harmony)):
                continue
            if sounding.duration.isGrace:
                graces += len(sounding.pitches)
                continue
            for member in sounding.notes if sounding.isChord else [sounding]:
                add(held, sounding, member.pitch, member.tie)
    marks = score.recurse().getElementsByClass(expressions.PedalMark)
    pedals = [[float(n.getOffsetInHierarchy(score)) for n in (mark.getFirst(), mark.getLast())] for mark in marks]
    return {"notes": notes, "graces": graces, "pedals": pedals}


def main():
    """Answers one line for every line, whatever happens."""
    answer = {"muspy": muspy_figures, "music21": music21_notes}[sys.argv[1]]
    for line in sys.stdin:
        path = line.rstrip("\n")
        try:
            result = answer(path)
        except Exception as error:  # The oracle's own failure is an answer too.
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"path": path, **result}), flush=True)


if __name__ == "__main__":
    main()
