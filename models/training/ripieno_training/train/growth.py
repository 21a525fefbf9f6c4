"""A checkpoint of fewer performances and instruments -> one of the present vocabulary, which training resumes from.

Known entries keep what they learned, wherever their index has moved; the null performance stays the last row. A new
performance begins as the known one that shares most of its instruments, those in the same room first; else as one in
the same room, else as the mean. A new instrument begins as the known one of the nearest program of its General MIDI
family, else as the mean. A new room begins at nothing: its performances begin with what is their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..vocabulary import Vocabulary

FAMILY = 8
"""General MIDI programs in a family"""
NONE = -1
"""stands for no source: the mean of all rows"""


def known(state: Mapping[str, Any], now: Vocabulary) -> Vocabulary:
    """The vocabulary that a checkpoint was trained with; one that does not say knew the first entries of today's."""
    if "vocabulary" in state:
        return Vocabulary(**state["vocabulary"])
    weights = state["model"]
    if "players.performance.weight" not in weights:
        return now
    return now.first(len(weights["players.performance.weight"]) - 1, len(weights["players.instrument.weight"]))


def performance_sources(before: Vocabulary, now: Vocabulary, like: Mapping[str, str]) -> list[int]:
    """The row of `before` that each performance of `now` begins as, the null one last."""

    def nearest(index: int) -> int:
        name, room, players = now.performances[index], now.rooms[index], set(now.players[index])
        if name in before.performances:
            return before.performances.index(name)
        if name in like:
            return before.performances.index(like[name])

        def nearness(old: int) -> tuple[float, bool]:
            theirs = set(before.players[old])
            return len(players & theirs) / len(players | theirs), before.rooms[old] == room

        best = max(range(len(before.performances)), key=nearness)
        return best if any(nearness(best)) else NONE

    return [*(nearest(i) for i in range(len(now.performances))), len(before.performances)]


def instrument_sources(before: Vocabulary, now: Vocabulary, like: Mapping[str, str]) -> list[int]:
    """The row of `before` that each instrument of `now` begins as."""

    def nearest(index: int) -> int:
        name, program = now.instruments[index], now.programs[index]
        if name in before.instruments:
            return before.instruments.index(name)
        if name in like:
            return before.instruments.index(like[name])
        family = [i for i, p in enumerate(before.programs) if p // FAMILY == program // FAMILY]
        return min(family, key=lambda i: abs(before.programs[i] - program)) if family else NONE

    return [nearest(i) for i in range(len(now.instruments))]


def rows(table: Tensor, sources: Sequence[int], missing: Tensor) -> Tensor:
    """Table [n, ...] -> [len(sources), ...]; `missing` [...] where there is no source."""
    return torch.stack([missing if source == NONE else table[source] for source in sources])


def order(model: nn.Module) -> list[str]:
    """Names of a network's parameters as the optimiser numbers them: matrices, then the rest."""
    named = list(model.named_parameters())
    return [n for n, p in named if p.ndim > 1] + [n for n, p in named if p.ndim <= 1]


def is_room(name: str) -> bool:
    """Whether a parameter is the table of the rooms, which early checkpoints lack."""
    return name.endswith("players.room.weight")


class Growth:
    """From the vocabulary of a checkpoint to today's."""

    def __init__(self, before: Vocabulary, now: Vocabulary, like: Mapping[str, str]) -> None:
        self.performances = performance_sources(before, now, like)
        self.instruments = instrument_sources(before, now, like)
        self.old_rooms, self.rooms = (list(dict.fromkeys(v.rooms)) for v in (before, now))

    def weight(self, name: str, old: Tensor) -> Tensor:
        """A parameter, or a moment of it, in its new size."""
        if is_room(name):
            return self.room(old)
        if name.endswith("players.performance.weight"):
            return rows(old, self.performances, old[:-1].mean(0))
        if name.endswith("players.instrument.weight"):
            return rows(old, self.instruments, old.mean(0))
        return old

    def room(self, old: Tensor) -> Tensor:
        """Rooms by name, the last row for none."""
        none = torch.zeros_like(old[0])
        kept = [old[self.old_rooms.index(room)] if room in self.old_rooms else none for room in self.rooms]
        return torch.stack([*kept, none])

    def ceiling(self, old: Tensor) -> Tensor:
        """The loudest levels; who has no source may be as loud as anybody."""
        old = rows(old.transpose(0, 1), self.instruments, old.amax(1)).transpose(0, 1)
        return rows(old, self.performances, old.amax(0))


def grown(
    state: dict[str, Any], model: nn.Module, now: Vocabulary, like: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The checkpoint as if it had been trained with `now`; `model` is a network of that vocabulary.

    Also of a checkpoint from before there were rooms: they begin at nothing.
    """
    growth = Growth(known(state, now), now, like or {})
    out = {**state, "vocabulary": now.kept()}
    fresh = model.state_dict()
    for key in ("model", "average"):
        out[key] = {
            name: torch.zeros_like(value)
            if name not in state[key] and is_room(name)
            else growth.weight(name, state[key][name])
            for name, value in fresh.items()
        }
    if "optimiser" in state:
        out["optimiser"] = moments(state, model, growth)
    if "ceiling" in state["kept"]:
        out["kept"] = {**state["kept"], "ceiling": growth.ceiling(state["kept"]["ceiling"])}
    return out


def moments(state: Mapping[str, Any], model: nn.Module, growth: Growth) -> dict[str, Any]:
    """Adam's moments in their new sizes; a new row has the moments of the row it begins as."""
    names, old = order(model), state["optimiser"]
    before = [name for name in names if name in state["model"]]
    moved: dict[int, dict[str, Tensor]] = {}
    for number, name in enumerate(names):
        if name in before and (entry := old["state"].get(before.index(name))):
            moved[number] = {
                key: value if key == "step" else growth.weight(name, value) for key, value in entry.items()
            }
    matrices = sum(p.ndim > 1 for p in model.parameters())
    numbers = list(range(matrices)), list(range(matrices, len(names)))
    groups = [{**group, "params": own} for group, own in zip(old["param_groups"], numbers, strict=True)]
    return {"state": moved, "param_groups": groups}
