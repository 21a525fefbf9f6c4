"""The networks: the paper's decoder-only transformer, and ours.

Both read events int64 [batch, events, 6] and predict each field of the next event. The paper's adds six embeddings and
a learned position, and predicts the fields independently of each other. Ours turns queries and keys by time and by
place (Su et al. 2021, RoFormer), counts beats from the last event's, and predicts the fields one given the other, so
that what is sampled field by field fits together: the paper names the opposite as its own weakness.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arranger.model import sinusoids
from . import vocabulary as v
from .vocabulary import BEAT, DURATION, INSTRUMENT, PITCH, POSITION, TYPE

NEVER = -100.0
"""Logit of what cannot be."""
FAR = 32
"""Beats after the last event from which on all are one class."""
SECTIONS = 64
"""Width of the sinusoids of a beat."""
LONGEST_TURN = 3072.0, 1024.0
"""The slowest turns of the rotary positions, in ticks and in events, times 2 pi."""


def ticks(events: Tensor) -> Tensor:
    """Onset in ticks, int64; 0 for events that have none."""
    return (events[..., BEAT] - 1).clamp(min=0) * v.resolution() + (events[..., POSITION] - 1).clamp(min=0)


def turns(pairs: int) -> Tensor:
    """Radians per tick and per event of each pair of a head's numbers, fp32 [2, pairs / 2], geometric from 1 down."""
    steps = torch.arange(pairs // 2, dtype=torch.float64) / (pairs // 2 - 1)
    return torch.stack([longest**-steps for longest in torch.tensor(LONGEST_TURN, dtype=torch.float64)]).float()


def turned(x: Tensor, angle: Tensor) -> Tensor:
    """x [batch, events, heads, 2 x pairs] turned by angle [batch, events, pairs]."""
    a, b = x.chunk(2, -1)
    cos, sin = angle.cos()[:, :, None].to(x.dtype), angle.sin()[:, :, None].to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Embedding(nn.Module):
    """Sum of a vector per field; a beat's is learned, or (`free_beats`) a layer over sinusoids."""

    def __init__(self, width: int, free_beats: bool) -> None:
        super().__init__()
        sizes = v.sizes()
        self.free_beats = free_beats
        self.fields = [field for field in range(6) if field != BEAT or not free_beats]
        self.tables = nn.ModuleList(nn.Embedding(sizes[field], width) for field in self.fields)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.3)
        if free_beats:
            self.register_buffer("sections", sinusoids(sizes[BEAT], SECTIONS), persistent=False)
            self.beat = nn.Linear(SECTIONS, width)

    def forward(self, events: Tensor) -> Tensor:
        out = sum(table(events[..., field]) for field, table in zip(self.fields, self.tables, strict=True))
        return out + self.beat(self.sections[events[..., BEAT]]) if self.free_beats else out


def kv_heads(config: dict) -> int:
    """Heads of keys and values of a recipe: as many as of queries unless it says how many."""
    return config.get("kv_heads") or config["heads"]


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer with GELU, four times as wide.

    Each of `kv_heads` heads of keys and values is read by as many heads of queries (Ainslie et al. 2023, GQA).
    """

    def __init__(self, width: int, heads: int, kv_heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * self.size, bias=False)
        self.project = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def queries_keys_values(self, x: Tensor, angle: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, events, heads, size] each: keys and values once for each head of queries that reads them."""
        split = self.heads, self.kv_heads, self.kv_heads
        q, k, value = self.qkv(self.before(x)).unflatten(-1, (sum(split), self.size)).split(split, 2)
        if angle is not None:
            q, k = turned(q, angle), turned(k, angle)
        return q, *(y.repeat_interleave(self.heads // self.kv_heads, 2) for y in (k, value))

    def forward(self, x: Tensor, angle: Tensor | None) -> Tensor:
        q, k, value = self.queries_keys_values(x, angle)
        seen = F.scaled_dot_product_attention(*(y.transpose(1, 2) for y in (q, k, value)), is_causal=True)
        x = x + self.dropout(self.project(seen.transpose(1, 2).flatten(-2)))
        return x + self.dropout(self.down(F.gelu(self.up(self.between(x)))))


class Independent(nn.Module):
    """The paper's heads: a layer per field."""

    order = v.FIELDS

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.ModuleList(nn.Linear(width, size) for size in v.sizes())

    def forward(self, hidden: Tensor, last: Tensor, events: Tensor) -> list[Tensor]:
        """Logits of each field, in the order of FIELDS; what was chosen already does not matter."""
        return [layer(hidden) for layer in self.out]


class Dependent(nn.Module):
    """Our heads: each field given the ones before it in `order`.

    A beat is predicted as so many beats after the last event's, which means the same anywhere in a song.
    """

    order = ("type", "beat", "position", "instrument", "pitch", "duration")

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = v.sizes()
        self.fields = [v.FIELDS.index(name) for name in self.order]
        classes = [FAR + 1 if field == BEAT else sizes[field] for field in self.fields]
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in classes)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in classes)
        self.out = nn.ModuleList(nn.Linear(width, count) for count in classes)
        self.given = nn.ModuleList(nn.Embedding(count, width) for count in classes[:-1])
        for table in self.given:
            nn.init.normal_(table.weight, std=0.3)
        beats = torch.arange(sizes[BEAT])
        self.register_buffer("beats", beats, persistent=False)
        self.register_buffer("undefined", (beats == 0) * NEVER, persistent=False)

    def forward(self, hidden: Tensor, last: Tensor, events: Tensor) -> list[Tensor]:
        """hidden [..., width]; last: the beat and position codes of the event before, [..., 2]; events [..., 6].

        Of `events`, the ones to be predicted, only the fields before a field in `order` have a say in it.
        """
        began = last[..., 0].clamp(min=1)
        logits = [hidden] * 6
        for i, field in enumerate(self.fields):
            out = self.out[i](self.norm[i](F.gelu(self.mix[i](hidden))))
            code = events[..., field]
            if field == BEAT:
                out = self.from_last(out, began)
                code = (code - began).clamp(0, FAR)
            if field == POSITION:
                # In the same beat nothing comes earlier than the last note.
                earlier = self.beats[: out.shape[-1]] < last[..., 1:]
                out = out + (earlier & (events[..., BEAT] == began)[..., None]) * NEVER
            logits[field] = out
            if i < len(self.given):
                hidden = hidden + self.given[i](code)
        return logits

    def from_last(self, out: Tensor, began: Tensor) -> Tensor:
        """Logits of each beat code from those of so many beats after the last event's."""
        after = self.beats - began[..., None]
        spread = (after >= FAR) * math.log(len(self.beats) / 2)
        return out.gather(-1, after.clamp(0, FAR)) + (after < 0) * NEVER + self.undefined - spread


class Composer(nn.Module):
    """Events so far -> logits of each field of the next."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        width = config["width"]
        self.config, self.rotary = config, config["positions"] == "rotary"
        self.embedding = Embedding(width, self.rotary)
        if self.rotary:
            self.register_buffer("turns", turns(width // config["heads"] // 2), persistent=False)
        else:
            self.place = nn.Embedding(config["window"], width)
            nn.init.normal_(self.place.weight, std=0.3)
        self.enter = nn.Dropout(config["dropout"])
        sizes = width, config["heads"], kv_heads(config), config["dropout"]
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(config["layers"]))
        for block in self.blocks:
            for layer in (block.project, block.down):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * config["layers"]))
        self.norm = nn.LayerNorm(width)
        self.heads = (Dependent if config["fields"] == "dependent" else Independent)(width)

    def vectors(self, events: Tensor) -> tuple[Tensor, Tensor | None]:
        """Vectors of events [batch, events, 6] for the first block, and the angles that turn queries and keys."""
        x = self.embedding(events)
        place = torch.arange(events.shape[1], device=events.device)
        if not self.rotary:
            return self.enter(x + self.place(place)), None
        time = ticks(events).float()
        angles = [time[..., None] * self.turns[0], (place[:, None] * self.turns[1]).expand(len(events), -1, -1)]
        return self.enter(x), torch.cat(angles, -1)

    def hidden(self, events: Tensor) -> Tensor:
        """[batch, events, 6] -> [batch, events, width]."""
        x, angle = self.vectors(events)
        for block in self.blocks:
            x = block(x, angle)
        return self.norm(x)

    def forward(self, events: Tensor) -> list[Tensor]:
        """Logits [batch, events - 1, size] of each field of every event but the first."""
        before = events[:, :-1]
        return self.heads(self.hidden(before), before[..., [BEAT, POSITION]], events[:, 1:])


HAS = {TYPE: range(5), BEAT: (v.NOTE,), POSITION: (v.NOTE,), PITCH: (v.NOTE,), DURATION: (v.NOTE,),
       INSTRUMENT: (v.INSTRUMENTS, v.NOTE)}  # fmt: skip
"""The types of event that have a field."""


def losses(model: Composer, events: Tensor, real: Tensor) -> Tensor:
    """field_losses of what a network makes of events."""
    return field_losses(model(events), events, real)


def field_losses(predicted: list[Tensor], events: Tensor, real: Tensor) -> Tensor:
    """Sum over the real events of each field's cross-entropy where an event has it, in nats, fp32 [6].

    predicted: logits [batch, events - 1, size] of each field; events int64 [batch, events, 6]; real bool
    [batch, events], False for padding, which comes last.
    """
    target, out = events[:, 1:], []
    for field, logits in enumerate(predicted):
        kinds = torch.tensor(HAS[field], device=events.device)
        counts = torch.isin(target[..., TYPE], kinds) & real[:, 1:]
        each = F.cross_entropy(logits.float().flatten(0, 1), target[..., field].flatten(), reduction="none")
        out.append((each * counts.flatten()).sum())
    return torch.stack(out)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
