"""The networks: the paper's and ours.

All take a dictionary of the inputs they ask for (data.py) and give logits [batch, notes, parts + 1]. Those that run
online see the notes so far; a recurrent one carries its state from call to call.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .context import WIDTH as CONTEXT
from .data import LAST_BEAT, LONGEST_NOTE
from .history import NOTE, PER_PART
from .kinds import TICKS

EMBEDDING = 16
VELOCITIES = 128
PITCHES = 129
"""128 MIDI pitches and the padding"""
PER_NOTE = ("pitch", "beat", "position", "duration", "velocity", "context", "entry", "history")
"""The other inputs, entry_known and hint, are one per sequence."""
Inputs = dict[str, Tensor]


def sinusoids(count: int, width: int) -> Tensor:
    """Fixed sinusoidal table [count, width] (Vaswani et al. 2017, section 3.5)."""
    place = torch.arange(count, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=-1).reshape(count, width).float()


def frequencies() -> Tensor:
    """Frequency of each pitch id as a fraction of the highest one's, [PITCHES, 1]; 0 for the padding."""
    pitch = torch.arange(128, dtype=torch.float64)
    hertz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    return torch.cat([torch.zeros(1), (hertz / hertz.max()).float()])[:, None]


class Notes(nn.Module):
    """A vector per note from the inputs asked for: 49 numbers from pitch, beat and position, as in the paper.

    Pitch hints are embedded like pitches, as there; or, `relative`, given as the note's distance from each part's mean.
    first: an entry hint also says the pitch that a part begins with; that too is given as the note's distance, offline
    before the part begins as well; and so the velocity, for networks that know velocities. Crops of several pieces,
    each with its own beginning, bring them as x["first"] and x["first_velocity"].
    """

    def __init__(self, inputs: list[str], parts: int, relative: bool, first: bool, causal: bool) -> None:
        super().__init__()
        self.inputs, self.relative, self.first, self.causal = inputs, relative, first, causal
        self.pitch = nn.Embedding(PITCHES, EMBEDDING)
        self.register_buffer("frequency", frequencies(), persistent=False)
        self.width = EMBEDDING + 1
        if "beat" in inputs:
            self.register_buffer("beat", sinusoids(LAST_BEAT + 1, EMBEDDING), persistent=False)
            self.width += EMBEDDING
        if "position" in inputs:
            self.position = nn.Embedding(TICKS, EMBEDDING)
            self.width += EMBEDDING
        if "duration" in inputs:
            self.duration = nn.Embedding(LONGEST_NOTE + 1, EMBEDDING)
            self.width += EMBEDDING + 1
        self.width += CONTEXT * ("context" in inputs) + parts * ("entry" in inputs) + ("entry_known" in inputs)
        if "hint" in inputs:
            self.width += parts * (3 if relative else EMBEDDING)
        if "velocity" in inputs:
            self.velocity = nn.Embedding(VELOCITIES, EMBEDDING)
            self.width += EMBEDDING + 1
        self.width += 3 * parts * len(self.firsts())

    def firsts(self) -> dict[str, str]:
        """What entry hints say beyond that a part begins: name, and the input it is the first of."""
        given = {"first": "pitch", "first_velocity": "velocity"}
        return {name: of for name, of in given.items() if self.first and of in self.inputs}

    def forward(self, x: Inputs, carried: Inputs) -> tuple[Tensor, Inputs]:
        """Vectors [batch, notes, width], and first pitch and velocity of each part that has begun, + 1, [batch, parts].

        carried: the same of earlier notes, for a sequence that goes on.
        """
        pitch = x["pitch"]
        columns = [self.pitch(pitch), self.frequency[pitch]]
        if "beat" in self.inputs:
            columns.append(self.beat[x["beat"]])
        if "position" in self.inputs:
            columns.append(self.position(x["position"]))
        if "duration" in self.inputs:
            columns += [self.duration(x["duration"]), torch.log1p(x["duration"].float())[..., None] / 5]
        columns += [x[name] for name in ("context", "entry") if name in self.inputs]
        if "entry_known" in self.inputs:
            columns.append(x["entry_known"][:, None].expand(-1, pitch.shape[1], -1))
        if "hint" in self.inputs:
            hint = x["hint"] if x["hint"].dim() == 3 else x["hint"][:, None].expand(-1, pitch.shape[1], -1)
            columns += distances(pitch, hint) if self.relative else [self.pitch(hint).flatten(-2)]
        if "velocity" in self.inputs:
            # As a number it is loudness; as an id it is what a track's notes often share to the digit.
            columns += [self.velocity(x["velocity"]), x["velocity"].float()[..., None] / 127]
        after = {}
        for name, of in self.firsts().items():
            # Of pitches the ids are one more already.
            value, unit = (pitch, 12) if of == "pitch" else (x["velocity"] + 1, 8)
            # Padding begins nothing.
            here = ((x["entry"] == 0) & (pitch > 0)[..., None]).float()
            # Somebody who plays says 0 until the part has a note: the first of these notes counts.
            begun = here.cumsum(1)
            if name in carried:
                begun = begun + (carried[name] > 0).float()[:, None]
            begins = here * (begun == 1) * x["entry_known"][:, None] * value[..., None]
            known = begins.cumsum(1) if self.causal else begins.sum(1, keepdim=True).expand_as(begins)
            if name in carried:
                known = known + carried[name][:, None]
            if name in x:
                known = x[name] * (x["entry"] >= 0) if self.causal else x[name]
            columns += distances(value, known, unit)
            after[name] = known[:, -1]
        return torch.cat(columns, -1), after


def distances(value: Tensor, home: Tensor, unit: int = 12) -> list[Tensor]:
    """How far notes [batch, notes] are from a pitch of each part [batch, notes, parts], ids, 0 where it is unknown.

    The distance in octaves, or in another unit of what is compared, a nearness from 0 to 1, and whether it is known,
    [batch, notes, parts] each.
    """
    given = (home > 0).float()
    distance = ((value[..., None] - home).float() / unit).clamp(-3, 3) * given
    return [distance, given * torch.exp(-distance.abs()), given]


class Recurrent(nn.Module):
    """Layers of LSTM, each followed by LayerNorm and dropout.

    mixed: a layer before the first that mixes a note's inputs, and residual connections between the layers.
    """

    def __init__(self, width_in: int, config: dict) -> None:
        super().__init__()
        self.width, self.depth, self.both, self.mixed = (
            config[k] for k in ("width", "layers", "bidirectional", "mixed")
        )
        out = self.width * (2 if self.both else 1)
        if self.mixed:
            self.mix = nn.Sequential(nn.Linear(width_in, out), nn.GELU(), nn.LayerNorm(out))
            width_in = out
        widths = [width_in, *[out] * (self.depth - 1)]
        self.forwards = nn.ModuleList(nn.LSTM(width, self.width) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, self.width) for width in widths) if self.both else None
        self.norms = nn.ModuleList(nn.LayerNorm(out) for _ in widths)
        self.dropout = nn.Dropout(config["dropout"])
        self.out = out

    def state(self) -> dict[str, list[int]]:
        """Shapes of the hidden and the cell state that a caller carries; none can be in both directions."""
        return {} if self.both else dict.fromkeys(("h", "c"), [self.depth, 1, self.width])

    def forward(
        self, x: Tensor, h: Tensor | None, c: Tensor | None, back: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """x [notes, batch, width_in]; h, c [layers, batch, width]; back int64 [notes, batch], the notes reversed."""
        if self.mixed:
            x = self.mix(x)
        hidden, cell = [], []
        for i, (layer, norm) in enumerate(zip(self.forwards, self.norms, strict=True)):
            y, last = layer(x) if h is None else layer(x, (h[i : i + 1], c[i : i + 1]))
            if self.both:
                z, _ = self.backwards[i](reverse(x, back))
                y = torch.cat([y, reverse(z, back)], -1)
            hidden.append(last[0])
            cell.append(last[1])
            y = self.dropout(norm(y))
            x = x + y if self.mixed else y
        return (x, None, None) if h is None else (x, torch.cat(hidden), torch.cat(cell))


def reverse(x: Tensor, back: Tensor | None) -> Tensor:
    """Notes [notes, batch, width] in reverse; padding, if `back` knows of any, stays behind."""
    return x.flip(0) if back is None else x.gather(0, back[..., None].expand_as(x))


class Attention(nn.Module):
    """Blocks of multi-head attention and a feed-forward layer, each followed by LayerNorm, as in the paper."""

    def __init__(self, width_in: int, config: dict) -> None:
        super().__init__()
        width, self.causal, self.heads = config["width"], config["causal"], config["heads"]
        self.enter = nn.Linear(width_in, width)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(config["layers"]))
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in self.qkv)
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(width, config["inner"]), nn.ReLU(), nn.Linear(config["inner"], width))
            for _ in self.qkv
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * config["layers"]))
        self.dropout = nn.Dropout(config["dropout"])
        self.out = width

    def state(self) -> dict[str, list[int]]:
        return {}

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """x [batch, notes, width_in]; real bool [batch, notes], False for padding."""
        x = self.enter(x)
        # A causal mask alone keeps padding, which comes last, out of sight.
        mask = None if self.causal or real is None else real[:, None, None, :]
        for i, (qkv, project, feed) in enumerate(zip(self.qkv, self.project, self.feed, strict=True)):
            q, k, v = qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
            x = self.norms[2 * i](x + self.dropout(project(seen.transpose(1, 2).flatten(-2))))
            x = self.norms[2 * i + 1](x + self.dropout(feed(x)))
        return x


class Dense(nn.Module):
    """The paper's MLP: numbers of a note -> a logit per part, padding first (history.py).

    There the layers have no activation between them, so that together they are one linear map; here they have.
    """

    def __init__(self, config: dict, parts: int) -> None:
        super().__init__()
        self.config, self.parts = config, parts
        widths = [NOTE + 2 * PER_PART * parts, *[config["width"]] * config["layers"]]
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(config["dropout"])) for a, b in pairwise(widths)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], parts + 1))

    def state(self) -> dict[str, list[int]]:
        return {}

    def forward(
        self, x: Inputs, state: Inputs | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Inputs | None]:
        """x["history"] [batch, notes, 9 + 4 * parts]; every note is answered by itself."""
        numbers = x["history"]
        # Semitones and ticks count the less the more there are; and whether a number is known is a number too.
        near = torch.log1p(numbers.clamp(min=0))
        known = (numbers[..., NOTE:] >= 0).float()
        pitch = numbers[..., :1] / 64 - 1
        return self.layers(torch.cat([pitch, near[..., 1:], known], -1)), None


class Arranger(nn.Module):
    """Inputs of notes -> a logit per part of each, padding first."""

    def __init__(self, config: dict, parts: int) -> None:
        super().__init__()
        self.config, self.parts = config, parts
        attention = config["network"] == "attention"
        causal = config["causal"] if attention else not config["bidirectional"]
        options = (config.get(name, False) for name in ("relative_hints", "first"))
        self.notes = Notes(config["inputs"], parts, *options, causal)
        self.body = (Attention if attention else Recurrent)(self.notes.width, config)
        self.out = nn.Linear(self.body.out, parts + 1)

    def state(self) -> dict[str, list[int]]:
        """Name and shape, for one sequence, of what a caller carries from call to call, zeros at first."""
        state = self.body.state()
        return state | {name: [1, self.parts] for name in self.notes.firsts()} if state else state

    def forward(
        self, x: Inputs, state: Inputs | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Inputs | None]:
        """x: [batch, ...] of each input; state: as `state` says; lengths int64 [batch] where there is padding.

        Returns the logits and, where a state was given, the state after the last note.
        """
        carried = state or {}
        vectors, firsts = self.notes(x, carried)
        count = vectors.shape[1]
        place = torch.arange(count, device=vectors.device) if lengths is not None else None
        if isinstance(self.body, Attention):
            real = None if lengths is None else place < lengths[:, None]
            return self.out(self.body(vectors, real)), None
        back = None
        if lengths is not None and self.body.both:
            back = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place).T
        y, h, c = self.body(vectors.transpose(0, 1), carried.get("h"), carried.get("c"), back)
        after = {"h": h, "c": c, **firsts}
        return self.out(y).transpose(0, 1), {name: after[name] for name in carried} if carried else None


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
