"""Reads the vocabulary (models/synth/performances.toml) and how each performance is made (recipes.toml)."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .habits import Habits
from .rooms import Room

VOCABULARY = Path(__file__).parents[4] / "models" / "synth" / "performances.toml"
RECIPES = Path(__file__).with_name("recipes.toml")


@dataclass(frozen=True)
class Instrument:
    index: int
    id: str
    program: int
    """General MIDI program, 0-based."""
    lo: int
    hi: int


@dataclass(frozen=True)
class Player:
    instrument: Instrument
    source: str
    """"pack:NAME", "soundfont:NAME" (bank 0, the instrument's program) or "soundfont:NAME:BANK:PROGRAM"."""
    place: tuple[float, float]
    """Metres right of the centre, metres behind the microphones."""
    gain: float
    desks: int = 1
    """How many play the part together."""
    drive: float = 0.0
    """Gain before an amplifier's clipping; 0 is without an amplifier."""


@dataclass(frozen=True)
class Performance:
    index: int
    id: str
    room: Room
    habits: Habits
    players: tuple[Player, ...]
    """From high to low."""

    def player(self, instrument: str) -> Player:
        for player in self.players:
            if player.instrument.id == instrument:
                return player
        names = ", ".join(p.instrument.id for p in self.players)
        raise KeyError(f"{self.id} has no {instrument}; its players: {names}")

    def player_for(self, program: int, part: int, parts: int) -> Player:
        """The player of part `part` of `parts`: the one of the part's program, else by height."""
        for player in self.players:
            if player.instrument.program == program:
                return player
        return self.players[part * len(self.players) // parts]


@lru_cache(maxsize=1)
def performances() -> dict[str, Performance]:
    """Every performance by id, in index order."""
    with open(VOCABULARY, "rb") as file:
        vocabulary = tomllib.load(file)
    with open(RECIPES, "rb") as file:
        recipes = tomllib.load(file)
    instruments = {
        entry["id"]: Instrument(**{key: entry[key] for key in ("index", "id", "program", "lo", "hi")})
        for entry in vocabulary["instrument"]
    }
    result = {}
    for entry in sorted(vocabulary["performance"], key=lambda p: p["index"]):
        recipe = recipes[entry["id"]]
        room = dict(recipe["room"])
        if "size" in room:
            room["size"] = tuple(map(float, room["size"]))
        players = []
        for name in entry["players"]:
            player = recipe["player"][name]
            place = (float(player["place"][0]), float(player["place"][1]))
            more = {key: player[key] for key in ("desks", "drive") if key in player}
            players.append(Player(instruments[name], player["source"], place, float(player["gain"]), **more))
        result[entry["id"]] = Performance(
            entry["index"], entry["id"], Room(**room), Habits(**recipe["habits"]), tuple(players)
        )
    return result


def pairs() -> list[tuple[Performance, Player]]:
    """Every (performance, player), in index order: the pairs that the synthesizer learns."""
    return [(performance, player) for performance in performances().values() for player in performance.players]
