"""What the host scripts share: the task that they are given, and the take that they hand back.

`cases/hosts.rs` writes `task.json` into a folder, starts a script with the bundle and the folder, and listens
to the `bus-0.wav`, `bus-1.wav`.. and `take.json` that it finds there.
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile


@dataclass
class Note:
    """A note: seconds, seconds, MIDI key, 1 to 127."""

    onset: float
    end: float
    key: int
    velocity: int


@dataclass
class Task:
    """What to play: see `performer::Task`."""

    bundle: Path
    folder: Path
    plugin: str
    parameters: list[tuple[str, str]]
    notes: list[Note]
    sample_rate: int
    block: int
    seconds: float
    also_blocks: list[int] = field(default_factory=list)

    def takes(self) -> list["Task"]:
        """The task, and the same in other block sizes, each with a folder of its own."""
        others = [replace(self, block=block, folder=self.folder / f"block-{block}") for block in self.also_blocks]
        for other in others:
            other.folder.mkdir()
        return [self, *others]

    def events(self) -> list[tuple[int, int, int, int]]:
        """(sample, status, key, velocity) in the order of time, releases first."""
        events = []
        for note in self.notes:
            events.append((round(note.onset * self.sample_rate), 0x90, note.key, note.velocity))
            events.append((round(note.end * self.sample_rate), 0x80, note.key, 0))
        return sorted(events)

    def write(self, buses: list[np.ndarray], latency: int, sent: list[dict] | None = None) -> None:
        """Hands the take back: `buses` are [2, samples]; `latency` is 0 where the host has made up for it."""
        for index, bus in enumerate(buses):
            soundfile.write(self.folder / f"bus-{index}.wav", bus.T, self.sample_rate, subtype="FLOAT")
        (self.folder / "take.json").write_text(json.dumps({"latency": latency, "sent": sent or []}))


def task() -> Task:
    """The task named on the command line: BUNDLE FOLDER."""
    bundle, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    given = json.loads((folder / "task.json").read_text())
    return Task(
        bundle=bundle,
        folder=folder,
        plugin=given["class"],
        parameters=[(name, value) for name, value in given["parameters"]],
        notes=[Note(**note) for note in given["notes"]],
        sample_rate=given["sample_rate"],
        block=given["block"],
        seconds=given["seconds"],
        also_blocks=given.get("also_blocks", []),
    )


def same(what: str, wanted: object, found: object) -> None:
    """Ends the script with a sentence where the two differ."""
    if wanted != found:
        sys.exit(f"{what}: {wanted!r} was expected, {found!r} was found")
