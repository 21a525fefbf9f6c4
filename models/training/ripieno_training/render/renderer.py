"""Renders parts of performances: notes in, 48 kHz stereo out, the same gain for every clip and piece.

A `Stage` holds the opened instruments and rooms of the performances it has played. `clips` is the endless,
seeded stream of training clips of one (performance, instrument) pair; it may be iterated on the fly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .amplifier import amplified
from .ensemble import section
from .habits import limit_voices, perform
from .patterns import pattern
from .recipes import Performance, Player
from .sampler import SAMPLE_RATE, SampledInstrument
from .scores import Corpus, material
from .soundfont import SoundFontInstrument, find_soundfont

SPLITS = ("train", "valid", "test")
PATTERN_SHARE = 0.3
CLIP_S = (20.0, 36.0)
TAIL_S = 1.6
"""Seconds after the last note of a clip for release and reverberation."""
LOUDEST_PEAK = 0.95
"""A clip that peaks above this is drawn again, softer: velocity keeps its meaning and nothing clips."""
SOUNDFONT_FOLDERS = [
    Path("/usr/share/sounds"),
    Path("/usr/local/share/sounds"),
    Path("/usr/share/soundfonts"),
]


@dataclass
class Clip:
    """One part of a performance."""

    audio: np.ndarray
    """float32 [2, n] at `SAMPLE_RATE`."""
    notes: np.ndarray
    """float64 [n, 4]: onset s, end s, pitch, velocity, exactly as rendered."""
    performance: str
    instrument: str
    work: str

    def save(self, path: Path) -> None:
        """Writes the .npz the trainers read; complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.partial.npz")
        np.savez(
            partial,
            audio=np.round(self.audio * 32767).astype(np.int16),
            notes=self.notes.astype(np.float64),
            instrument=np.array(self.instrument),
            performance=np.array(self.performance),
            work=np.array(self.work),
        )
        partial.rename(path)


@dataclass
class Stage:
    """Opens instruments on demand. `audio_root` is the sample pack's folder."""

    audio_root: Path
    soundfonts: list[Path] = field(default_factory=lambda: list(SOUNDFONT_FOLDERS))
    _opened: dict[tuple[str, str], SampledInstrument | SoundFontInstrument] = field(default_factory=dict)

    def instrument(self, player: Player) -> SampledInstrument | SoundFontInstrument:
        key = (player.source, player.instrument.id)
        if key not in self._opened:
            kind, name = player.source.split(":", 1)
            if kind == "pack":
                self._opened[key] = SampledInstrument(self.audio_root, name)
            else:
                sound = player.instrument
                name, *preset = name.split(":")
                bank, program = map(int, preset) if preset else (0, sound.program)
                font = find_soundfont(name, self.soundfonts)
                self._opened[key] = SoundFontInstrument(font, program, sound.lo, sound.hi, bank)
        return self._opened[key]

    def close(self) -> None:
        """Forgets the opened instruments and their samples (up to a few hundred MB each)."""
        self._opened.clear()

    def render(self, performance: Performance, player: Player, notes: np.ndarray, seconds: float) -> np.ndarray:
        """Audio of one part in the performance's room: float32 [2, seconds * SAMPLE_RATE].

        `notes` [n, 4] (onset s, end s, pitch, velocity) are played exactly.
        """
        frames = round(seconds * SAMPLE_RATE)
        if len(notes) == 0:
            return np.zeros((2, frames), np.float32)
        desks = section(player.desks)
        instrument = self.instrument(player)
        dry = [instrument.render(desk.notes(notes), frames, desk.touch) for desk in desks]
        if player.drive:
            dry = [amplified(desk, player.drive) for desk in dry]
        room = performance.room
        reflections = room.reflections(self.audio_root, player.place)
        wet = room.place(dry, reflections, player.place, [desk.right for desk in desks])
        # Desks that differ add up in power.
        return np.float32(player.gain / np.sqrt(player.desks)) * wet

    def clip(
        self, performance: Performance, player: Player, corpus: Corpus, split: str, seed: int, number: int
    ) -> Clip:
        """Training clip `number` of a pair: a pure function of its arguments and the recordings."""
        instrument = player.instrument
        rng = np.random.default_rng([seed, SPLITS.index(split), performance.index, instrument.index, number])
        seconds = rng.uniform(*CLIP_S)
        sounding = seconds - TAIL_S
        voices = material(instrument.id).voices
        # Patterns are spread evenly: of ten clips, those whose number times the share passes a whole number.
        before, after = int(number * PATTERN_SHARE + 1e-9), int((number + 1) * PATTERN_SHARE + 1e-9)
        if after > before:
            kind, notes = pattern(instrument, voices, sounding, before, rng)
            work = f"pattern/{kind}"
        else:
            part = corpus.part(instrument, sounding, rng)
            notes, work = perform(part.notes, performance.habits, voices, rng), part.work
        notes = limit_voices(notes, voices)
        notes[:, 1] = np.minimum(notes[:, 1], sounding + 0.3)
        notes = notes[notes[:, 1] - notes[:, 0] > 0.02]
        while True:
            audio = self.render(performance, player, notes, seconds)
            if np.abs(audio).max() <= LOUDEST_PEAK:
                return Clip(audio, notes, performance.id, instrument.id, work)
            notes = notes.copy()
            notes[:, 3] = np.maximum(1, np.round(notes[:, 3] * 0.85))

    def clips(self, performance: Performance, player: Player, corpus: Corpus, split: str, seed: int) -> Iterator[Clip]:
        """The endless stream of a pair's clips, numbered from 0."""
        number = 0
        while True:
            yield self.clip(performance, player, corpus, split, seed, number)
            number += 1
