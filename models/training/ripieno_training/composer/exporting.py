"""Writes the ONNX files, their manifest entries, and the golden values the engine is held to."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from ..manifest import write_model_entry
from ..signatures import tensor
from ..storage import SMALLEST, halve
from . import vocabulary as v
from .corpus import MUSIC, Song, part
from .data import first_windows, sequence
from .eight_bits import ZERO, head_layers, in_eight_bits, rounded
from .evaluation import per_event
from .graph import OPSET, Graph, network
from .model import Composer, field_losses, kv_heads, parameters
from .training import load_best, trained

NAMES = {
    "small": "composer_small", "base": "composer_base", "pop_research_small": "composer_pop_research_small",
}  # fmt: skip
"""Names of ours in the manifest; the paper's keep their recipe's."""
GOLDEN_EVENTS, GOLDEN_CHECKED = 64, 8
FREE = "haupt/"
"""Golden values show notes: of a collection that is CC0. Where there is none there are no golden values."""
TOLERANCE = 1e-4
EIGHT_BITS = "_8bit"
"""Ending of the name of a network whose matrices are rounded to 8 bits, and those of its heads."""
ROUNDED_TOLERANCE = 0.25
"""Logits of one that rounds: whatever computes in another order rounds some numbers the other way."""


WEIGHTS = {
    "mix": "layer that reads the hidden vector and the fields before",
    "norm": "normalisation of what GELU makes of it",
    "out": "layer that gives the logits",
    "given": "what each code adds to the hidden vector, for the fields after",
}
"""What a head consists of; one of the paper's, of its last layer alone."""


def weights(heads: nn.Module) -> dict[str, Tensor]:
    """The heads' weights as their file calls them: PyTorch's names, with the field for its place in `order`."""

    def called(name: str) -> str:
        kind, place, rest = name.split(".")
        return f"{kind}.{heads.order[int(place)]}.{rest}"

    return {called(name): weight for name, weight in heads.state_dict().items()}


def lines(model: Composer) -> tuple[tuple[list, list], tuple[list, list]]:
    """The manifest's lines of the network's inputs and outputs, and of the heads', which are weights alone."""
    width, heads, window = (model.config[name] for name in ("width", "heads", "window"))
    cache = [1, kv_heads(model.config), window, width // heads]
    both = [(f"{kind}_{i}", kind) for i in range(model.config["layers"]) for kind in ("key", "value")]
    event = tensor("event", [1, "events", 6], "i64", f"codes of {', '.join(v.FIELDS)}")
    hidden = tensor("hidden", [1, "events", width + 2], "f32", "what the heads read; beat and position codes last")
    lengths = [
        tensor("seqlens_k", [1], "i32", "events in all, less one"),
        tensor("total_sequence_length", [1], "i32", "events in all"),
    ]
    past, present = (
        [tensor(f"{when}_{n}", cache, "f32", f"{k}s so far") for n, k in both] for when in ("past", "present")
    )
    held = [tensor(n, list(x.shape), "f32", WEIGHTS[n.split(".")[0]]) for n, x in weights(model.heads).items()]
    return ([event, *past, *lengths], [hidden, *present]), ([], held)


def write_heads(model: Composer, file: Path, eight_bits: bool = False) -> None:
    """The heads as ONNX: a graph that computes nothing, whose outputs are their weights.

    The engine is asked for one field at a time and computes these few products itself: to call ONNX Runtime for each
    would take longer than they do. `eight_bits`: matrices as in eight_bits.py; the outputs are 8 bits times a scale,
    which the engine finds again.
    """
    graph, names = Graph(eight_bits), weights(model.heads)
    matrices = {id(layer.weight) for layer in head_layers(model.heads)}
    narrow = {
        name
        for name, parameter in zip(names, model.heads.parameters(), strict=True)
        if eight_bits and id(parameter) in matrices
    }
    for name, weight in names.items():
        if name in narrow:
            codes, scales = (graph.held(x) for x in rounded(weight))
            values = graph.call("Sub", graph.cast(codes, TensorProto.FLOAT), graph.held(np.float32(ZERO)))
            shapes = [graph.held(np.array([len(weight), *rest])) for rest in ((-1, 1), (-1,))]
            values = graph.call("Mul", values, graph.call("Reshape", scales, shapes[0]))
            graph.call("Reshape", values, shapes[1], outputs=[name])
        else:
            graph.call("Identity", graph.held(weight), outputs=[name])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name, x in names.items()]
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_graph(graph.nodes, "heads", [], outputs, graph.weights)
    made = helper.make_model(made, opset_imports=opsets, ir_version=8)
    halve(made)
    onnx.save(made, str(file))


def session(file: Path) -> onnxruntime.InferenceSession:
    """A file as the engine runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def read_heads(file: Path, like: nn.Module) -> nn.Module:
    """Heads of the same kind with a file's weights."""
    found = session(file)
    names = [line.name for line in found.get_outputs()]
    held = dict(zip(names, found.run(None, {}), strict=True))
    heads = copy.deepcopy(like).eval()
    heads.load_state_dict(
        {own: torch.from_numpy(held[name]) for own, name in zip(like.state_dict(), weights(like), strict=True)}
    )
    return heads


class Runner:
    """The exported files at work: the network as the engine runs it, the heads' weights in PyTorch."""

    def __init__(self, file: Path, heads: nn.Module) -> None:
        """heads: those of read_heads."""
        self.network, self.heads = session(file), heads
        self.cache = {
            line.name: np.zeros(line.shape, np.float32)
            for line in self.network.get_inputs()
            if line.name.startswith("past")
        }

    def hidden(self, events: np.ndarray, before: int) -> np.ndarray:
        """events [S, 6] after `before` others -> [S, width + 2]; remembers them."""
        total = before + len(events)
        lengths = {"seqlens_k": np.array([total - 1], np.int32), "total_sequence_length": np.array([total], np.int32)}
        out = self.network.run(None, {"event": events[None], **lengths, **self.cache})
        names = [line.name.replace("present", "past") for line in self.network.get_outputs()[1:]]
        self.cache = dict(zip(names, out[1:], strict=True))
        return out[0][0]

    def likelihood(self, songs: list[Song]) -> dict[str, float]:
        """As held_out, of the files as they are."""
        total, count = torch.zeros(6, dtype=torch.float64), 0
        for events in first_windows(songs, next(iter(self.cache.values())).shape[2]):
            hidden = torch.from_numpy(self.hidden(events[:-1], 0)[None, :, :-2])
            before, events = torch.from_numpy(events[None, :-1]), torch.from_numpy(events[None])
            with torch.no_grad():
                logits = self.heads(hidden, before[..., [v.BEAT, v.POSITION]], events[:, 1:])
            total += field_losses(logits, events, torch.ones_like(events[..., 0], dtype=torch.bool)).double()
            count += events.shape[1] - 1
        return per_event(total, count)

    @torch.no_grad()
    def logits(self, hidden: np.ndarray, event: np.ndarray) -> list[np.ndarray]:
        """Logits of each field, in the order of FIELDS."""
        last = torch.from_numpy(hidden[-2:].astype(np.int64))
        found = self.heads(torch.from_numpy(hidden[:-2]), last, torch.from_numpy(event))
        return [logits.numpy() for logits in found]


def halved(model: Composer) -> Composer:
    """A copy whose weights are what the exported files keep of them."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for weight in [*model.parameters(), *model.buffers()]:
            if weight.is_floating_point() and weight.numel() >= SMALLEST:
                weight.copy_(weight.half().float())
    return model


@torch.no_grad()
def expected(model: Composer, events: np.ndarray) -> list[np.ndarray]:
    """The network's logits [events - 1, size] of each field of every event but the first, in fp32, without a cache."""
    return [logits[0].numpy() for logits in model(torch.from_numpy(events)[None])]


def check(model: Composer, runner: Runner, events: np.ndarray) -> float:
    """Largest difference of the files' logits, first half at once and the rest event by event, from the network's."""
    half = len(events) // 2
    hidden = np.concatenate(
        [runner.hidden(events[:half], 0)] + [runner.hidden(events[i : i + 1], i) for i in range(half, len(events) - 1)]
    )
    truth, worst = expected(model, events), 0.0
    for i in range(len(events) - 1):
        found = runner.logits(hidden[i], events[i + 1])
        worst = max(worst, *(float(np.abs(a - b[i]).max()) for a, b in zip(found, truth, strict=True)))
    return worst


def golden(model: Composer, name: str, song: Song, tolerance: float) -> dict:
    """A song's first events and the logits of the last of them, to which a file's may differ so much."""
    events = sequence(song.notes, GOLDEN_EVENTS, 0, 0)
    logits = expected(model, events)
    return {
        "made_by": "python -m ripieno_training.composer export",
        "model": name,
        "song": song.name,
        "tolerance": tolerance,
        "events": events.tolist(),
        "first": len(events) - GOLDEN_CHECKED,
        "logits": {
            field: np.round(x[-GOLDEN_CHECKED:].astype(np.float64), 5).tolist()
            for field, x in zip(v.FIELDS, logits, strict=True)
        },
    }


def name_of(config: dict) -> str:
    """What a network is called in the manifest."""
    return NAMES.get(config["model"], config["model"])


def name_in(config: dict, eight_bits: bool) -> str:
    """The same of one precision."""
    return f"{name_of(config)}{EIGHT_BITS * eight_bits}"


def write_files(model: Composer, name: str, models: Path, eight_bits: bool) -> tuple[Path, Path]:
    """The files of a network and of its heads."""
    (models / "composer").mkdir(parents=True, exist_ok=True)
    body, heads = (models / "composer" / f"{name}{ending}.onnx" for ending in ("", "_heads"))
    graph = network(model, eight_bits)
    halve(graph)
    onnx.save(graph, str(body))
    write_heads(model, heads, eight_bits)
    return body, heads


def write_untrained(config: dict, models: Path) -> list[str]:
    """The files and entries of a network that has learnt nothing, to measure beside another how fast it is, in 32 bits
    and in 8.
    """
    torch.manual_seed(0)
    model = Composer(config).eval()
    made_by = f"python -m ripieno_training.composer untrained --model {config['model']}"
    for eight_bits in (False, True):
        files = write_files(model, name_in(config, eight_bits), models, eight_bits)
        for file, (inputs, outputs) in zip(files, lines(model), strict=True):
            write_model_entry(file.stem, file, "CC0-1.0", made_by, 0, inputs, outputs, {}, models / "manifest.toml")
    return [name_in(config, eight_bits) for eight_bits in (False, True)]


def export(checkpoint: Path, songs: list[Song], models: Path, folder: Path) -> dict:
    """Writes everything, in 32 bits and in 8; returns the figures of the manifest."""
    model, state = load_best(checkpoint)
    model = halved(model)
    config = state["config"]
    test = part(songs, "test", config["music"])
    learnt = trained(state)
    figures_of_training = {
        "valid_nll": state["score"],
        "training_steps": learnt["steps"],
        "training_minutes": round(learnt["seconds"] / 60, 1),
    }
    made_by = f"python -m ripieno_training.composer train --model {config['model']}"
    made_by += " && python -m ripieno_training.composer export"
    free = (s for split in ("test", "valid") for s in part(songs, split, config["music"]) if s.name.startswith(FREE))
    song = next(free, None)
    result = {}
    for eight in (False, True):
        stem, like = name_in(config, eight), in_eight_bits(model) if eight else model
        tolerance = ROUNDED_TOLERANCE if eight else TOLERANCE
        file, heads = write_files(model, stem, models, eight)
        runner = Runner(file, read_heads(heads, model.heads))
        worst = check(like, runner, first_windows(test[:1], 256)[0])
        if worst > tolerance:
            raise RuntimeError(f"{stem}: the files differ from the network by {worst}")
        figures = {f"test_{key}": value for key, value in runner.likelihood(test).items()} | figures_of_training
        for ending, path, module, (inputs, outputs), own in zip(
            ("", "_heads"), (file, heads), (model, model.heads), lines(model), (figures, {}), strict=True
        ):
            count = parameters(module) - (parameters(model.heads) if module is model else 0)
            entry = f"{stem}{ending}", path, MUSIC[config["music"]].licence, made_by, count, inputs, outputs, own
            write_model_entry(*entry, models / "manifest.toml")
        if song is not None:
            folder.mkdir(parents=True, exist_ok=True)
            values = golden(like, stem, song, tolerance)
            (folder / f"{stem}.json").write_text(json.dumps(values, separators=(",", ":")) + "\n")
        result[stem] = figures | {"largest_difference": worst}
    return result
