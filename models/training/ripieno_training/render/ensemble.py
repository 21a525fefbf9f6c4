"""Sections: several desks that play one part, near together but never quite.

Every desk has its own place, its own tuning and its own hand in time. Because a library has one recording a key, a desk
may play its neighbour key's recording moved back to the written pitch: two desks then never play the same samples.
"""

from dataclasses import dataclass

import numpy as np

TIMING_S = 0.009
"""Standard deviation of a desk's onset from the section's."""
LATEST_S = 0.02
TUNING_CENTS = 5.0
NEIGHBOURS = (0, 1, -1, 2, -2, 3)
"""Semitones to the key whose recording a desk plays, desk by desk."""
DESK_WIDTH_M = 0.7


@dataclass(frozen=True)
class Touch:
    """How a recording is bent for one desk."""

    cents: float = 0.0
    neighbour: int = 0
    """Semitones from the written key to the key whose recording sounds."""


PLAIN = Touch()


@dataclass(frozen=True)
class Desk:
    touch: Touch
    right: float
    """Metres right of the section's middle."""
    seed: int

    def notes(self, notes: np.ndarray) -> np.ndarray:
        """`notes` [n, 4] (onset s, end s, pitch, velocity) as this desk plays them; the first desk leads exactly."""
        if self.seed == 0:
            return notes
        rng = np.random.default_rng([self.seed, len(notes)])
        late = np.clip(rng.normal(0, TIMING_S, len(notes)), -LATEST_S, LATEST_S)
        played = notes.copy()
        played[:, 0] = np.maximum(notes[:, 0] + late, 0.0)
        played[:, 1] = np.maximum(notes[:, 1] + rng.normal(0, TIMING_S, len(notes)), played[:, 0] + 0.04)
        played[:, 3] = np.clip(np.round(notes[:, 3] + rng.normal(0, 3, len(notes))), 1, 127)
        return played


def section(desks: int) -> list[Desk]:
    """The desks of a section, the leader first."""
    rng = np.random.default_rng(desks)
    cents = np.append(0.0, np.clip(rng.normal(0, TUNING_CENTS, desks - 1), -12, 12))
    return [
        Desk(
            Touch(float(cents[i]), NEIGHBOURS[i % len(NEIGHBOURS)]),
            DESK_WIDTH_M * ((i + 1) // 2) * (1 if i % 2 else -1),
            i,
        )
        for i in range(desks)
    ]
