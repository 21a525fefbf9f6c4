"""Who plays: the performances, their rooms and players, and the instruments, in the order of their indices."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import features as ft

FILE = ft.MODELS / "synth" / "performances.toml"


@dataclass(frozen=True)
class Vocabulary:
    """The ids that a network's embeddings stand for; a performance's room and players beside it."""

    performances: tuple[str, ...]
    instruments: tuple[str, ...]
    rooms: tuple[str, ...]
    """of each performance"""
    players: tuple[tuple[str, ...], ...]
    """instruments of each performance"""
    programs: tuple[int, ...]
    """General MIDI program of each instrument, 0-based"""

    @property
    def room_indices(self) -> list[int]:
        """The room of each performance, rooms numbered as they first appear."""
        order = list(dict.fromkeys(self.rooms))
        return [order.index(room) for room in self.rooms]

    def first(self, performances: int, instruments: int) -> "Vocabulary":
        """As it was before the later entries came."""
        return replace(
            self,
            performances=self.performances[:performances],
            rooms=self.rooms[:performances],
            players=self.players[:performances],
            instruments=self.instruments[:instruments],
            programs=self.programs[:instruments],
        )

    def kept(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return asdict(self)


def parse(cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> Vocabulary:
    """The tables `performance` and `instrument` of performances.toml."""
    performances, instruments = (
        sorted(cards[kind], key=lambda card: card["index"]) for kind in ("performance", "instrument")
    )
    return Vocabulary(
        tuple(card["id"] for card in performances),
        tuple(card["id"] for card in instruments),
        tuple(card["room_id"] for card in performances),
        tuple(tuple(card["players"]) for card in performances),
        tuple(card["program"] for card in instruments),
    )


def current() -> Vocabulary:
    """The vocabulary of performances.toml."""
    return parse(tomllib.loads(FILE.read_text()))


def compasses() -> list[tuple[int, int]]:
    """Lowest and highest MIDI key of each instrument, both included."""
    cards = sorted(tomllib.loads(FILE.read_text())["instrument"], key=lambda card: card["index"])
    return [(card["lo"], card["hi"]) for card in cards]
