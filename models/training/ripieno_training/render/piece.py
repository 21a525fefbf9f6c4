"""Renders a whole piece, a MIDI track a part, as a performance: the truth a synthesizer is measured by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi

from .habits import limit_voices, perform
from .recipes import Performance
from .renderer import TAIL_S, Clip, Stage
from .scores import fold, material


@dataclass
class Piece:
    stems: list[Clip]
    notices: list[str]
    """What was changed to play the file: one sentence each."""

    def mix(self) -> np.ndarray:
        """float32 [2, n]: the sum of the stems."""
        return np.sum([stem.audio for stem in self.stems], 0)


def _sustained(track: pretty_midi.Instrument) -> np.ndarray:
    """Notes [n, 4] (onset s, end s, pitch, velocity), ends held by the sustain pedal."""
    notes = np.array([(n.start, n.end, n.pitch, n.velocity) for n in track.notes], np.float64).reshape(-1, 4)
    down = None
    for change in sorted((c for c in track.control_changes if c.number == 64), key=lambda c: c.time):
        if change.value >= 64:
            down = change.time if down is None else down
        elif down is not None:
            held = (notes[:, 1] > down) & (notes[:, 1] < change.time)
            notes[held, 1] = change.time
            down = None
    return notes


def render_piece(
    stage: Stage, midi: Path, performance: Performance, players: dict[int, str], seed: int | None
) -> Piece:
    """Every track of `midi` played by the instrument `players` names for its index, else by the part rule.

    With `seed` None the notes are played exactly; else with the performance's habits. Pitches outside an
    instrument's range are moved by octaves, with a notice.
    """
    tracks = [t for t in pretty_midi.PrettyMIDI(str(midi)).instruments if not t.is_drum and t.notes]
    parts = []
    for index, track in enumerate(tracks):
        if index in players:
            player = performance.player(players[index])
        else:
            player = performance.player_for(track.program, index, len(tracks))
        parts.append((player, _sustained(track)))
    seconds = max(notes[:, 1].max() for _, notes in parts) + TAIL_S + 1.0
    stems, notices = [], []
    for index, (player, notes) in enumerate(parts):
        folded = fold(notes[:, 2], player.instrument)
        moved = int((folded != notes[:, 2]).sum())
        if moved:
            notices.append(f"Part {index + 1}: {moved} notes moved by octaves to the {player.instrument.id}'s range.")
        notes = notes.copy()
        notes[:, 2] = folded
        if seed is not None:
            rng = np.random.default_rng([seed, index])
            voices = material(player.instrument.id).voices
            velocity = notes[:, 3]
            played = perform(notes[:, :3], performance.habits, 64, rng)
            # Habits shape around the file's own velocities when the file has any dynamics.
            if np.ptp(velocity) > 0 and len(played) == len(notes):
                played[:, 3] = velocity[np.lexsort((notes[:, 2], notes[:, 0]))]
            notes = limit_voices(played, voices)
        audio = stage.render(performance, player, notes, seconds)
        stems.append(Clip(audio, notes, performance.id, player.instrument.id, Path(midi).stem))
    return Piece(stems, notices)
