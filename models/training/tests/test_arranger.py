"""The arranger: what its networks, recipes and files promise. No test needs the training music."""

import json
import tomllib
from itertools import permutations

import numpy as np
import pytest
import torch

from ripieno_training.arranger import data, exporting, table
from ripieno_training.arranger.assignment import assign, log_softmax
from ripieno_training.arranger.beside import entry_of, mean_of, with_all
from ripieno_training.arranger.corpus import Corpus, with_context
from ripieno_training.arranger.evaluation import HINTS, alone, onnx_run, report, tensors, torch_run, views
from ripieno_training.arranger.fixtures import PIECES
from ripieno_training.arranger.history import true_history
from ripieno_training.arranger.kinds import KINDS
from ripieno_training.arranger.model import PER_NOTE, sinusoids
from ripieno_training.arranger.training import MODELS, build, loss_of, recipe, train

ONLINE = ("online", "lstm", "decoder")
STREAMED = ("online", "lstm")


def corpus(kind: str = "quartet", copies: int = 1) -> Corpus:
    pieces = [PIECES[kind]() for _ in range(3 * copies)]
    return with_context(KINDS[kind], pieces, ["train", "valid", "test"] * copies)


def network(model: str, kind: str = "quartet", inputs: tuple[str, ...] = ()):
    torch.manual_seed(0)
    return build(recipe(kind, model, list(inputs), {})).eval()


def shown(kind: str = "quartet", hints: str = "both") -> data.Arrays:
    return views(corpus(kind).part("test"), hints, velocity=True)[0]


def until(x: data.Arrays, notes: int) -> data.Arrays:
    return {name: values[:notes] if name in (*PER_NOTE, "label", "time") else values for name, values in x.items()}


def test_the_sinusoids_are_the_formulas():
    at = sinusoids(50, 16)
    assert at[7, 4].item() == pytest.approx(np.sin(7 / 10_000 ** (4 / 16)), abs=1e-6)
    assert at[7, 5].item() == pytest.approx(np.cos(7 / 10_000 ** (4 / 16)), abs=1e-6)


@pytest.mark.parametrize("model", ONLINE)
def test_no_answer_of_an_online_model_depends_on_a_later_note(model):
    run, whole = torch_run(network(model)), shown()
    np.testing.assert_allclose(run([until(whole, 40)])[0], run([whole])[0][:40], atol=1e-5)


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ONLINE])
def test_an_offline_model_sees_what_comes(model):
    run, whole = torch_run(network(model)), shown()
    assert np.abs(run([until(whole, 40)])[0] - run([whole])[0][:40]).max() > 1e-3


@pytest.mark.parametrize(
    ("model", "kind"), [("online", "quartet"), ("online", "game"), ("online", "pop"), ("lstm", "quartet")]
)
def test_note_by_note_is_the_whole_sequence(model, kind):
    network_ = network(model, kind)
    batch = tensors([shown(kind)], network_.config["inputs"], "cpu")
    state = {name: torch.zeros(shape) for name, shape in network_.state().items()}
    with torch.no_grad():
        whole, after = network_(batch, state)
        steps = []
        for i in range(whole.shape[1]):
            note = {name: x[:, i : i + 1] if name in PER_NOTE else x for name, x in batch.items()}
            logits, state = network_(note, state)
            steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=1e-5)
    for name, values in after.items():
        torch.testing.assert_close(state[name], values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["quartet", "game", "pop"])
@pytest.mark.parametrize("model", ["online", "offline"])
def test_a_crop_of_one_piece_is_that_piece(model, kind):
    network_, music = network(model, kind), corpus(kind).part("train")
    still = {"crop": len(music.pieces[0]), "batch": 1, "entry_given": 1, "hint_given": 0, "from_the_middle": 0}
    still |= {"human": 0, "off_the_grid": 0, "touches": [1, 0, 0], "parts_left_out": 0}
    batch = data.Crops(music, recipe(kind, model, [], still), seed=3).batch()
    whole = {name: values[0] for name, values in batch.items() if name not in ("first", "first_velocity", "hint")}
    whole["hint"] = np.zeros(len(KINDS[kind].parts), np.int64)
    with torch.no_grad():
        logits, _ = network_({name: torch.from_numpy(x) for name, x in batch.items()})
    np.testing.assert_allclose(logits[0], torch_run(network_)([whole])[0], atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_padding_beside_a_longer_piece_changes_no_answer(model):
    run, whole = torch_run(network(model)), shown()
    together = run([until(whole, 30), whole])
    np.testing.assert_allclose(together[0], run([until(whole, 30)])[0], atol=1e-5)


def test_padding_does_not_count_in_the_loss():
    logits = torch.randn(1, 4, 5)
    label = torch.tensor([[1, 2, 0, 0]])
    torch.testing.assert_close(loss_of(logits, label), loss_of(logits[:, :2], label[:, :2]))


def test_without_hints_ours_does_not_see_them():
    network_ = network("online")
    none, both = shown(hints="none"), shown(hints="both")
    assert not none["entry"].any() and not none["entry_known"].any() and not none["hint"].any()
    assert np.abs(torch_run(network_)([none])[0] - torch_run(network_)([both])[0]).max() > 1e-3


@pytest.mark.parametrize("notes", [1, 2, 3, 4])
def test_a_chord_is_given_out_at_its_best(notes):
    rng = np.random.default_rng(notes)
    for _ in range(20):
        logits, busy = rng.normal(0, 3, (notes, 4)), rng.random(4) < 0.3
        scores = log_softmax(logits) - 2.0 * busy
        by_hand = max(permutations(range(4), notes), key=lambda parts: scores[np.arange(notes), list(parts)].sum())
        assert tuple(assign(logits, busy, 2.0)) == by_hand


def test_a_chord_of_more_notes_than_parts_leaves_no_part_idle():
    given = assign(np.random.default_rng(0).normal(0, 1, (6, 4)), np.zeros(4, bool))
    assert set(given) == {0, 1, 2, 3}


def test_a_part_of_many_notes_costs_nothing_twice():
    logits = np.zeros((3, 2))
    logits[:, 0] = 5.0
    assert assign(logits, np.array([True, False]), 2.0, mono=[False, True]).tolist() == [0, 0, 0]
    assert sorted(assign(logits[:2], np.array([False, False]), 2.0)) == [0, 1]


@pytest.mark.parametrize(("model", "kind"), [*((m, "quartet") for m in MODELS), ("online", "game"), ("offline", "pop")])
def test_the_exported_file_answers_as_the_network_does(model, kind, tmp_path):
    (tmp_path / "manifest.toml").write_text("")
    network_ = network(model, kind)
    file = tmp_path / "arranger" / "x.onnx"
    exporting.write_onnx(network_, KINDS[kind], file)
    ours = torch_run(exporting.halved(network_))
    for hints in HINTS:
        seen = [shown(kind, hints), until(shown(kind, hints), 7)]
        for theirs, mine in zip(onnx_run(file)(seen), ours(seen), strict=True):
            np.testing.assert_allclose(theirs, mine, atol=1e-4)
    more = entry_of(network_.config)
    exporting.write_entry(network_, "x", file, more, {"accuracy": 25.0}, tmp_path / "manifest.toml")
    entry = tomllib.loads((tmp_path / "manifest.toml").read_text())["model"][0]
    assert [line["name"] for line in entry["input"]][: len(network_.config["inputs"])] == network_.config["inputs"]
    # What the recipe of a kind asks beside the network, and nothing where it asks nothing.
    assert {name: entry[name] for name in ("beside", "habits") if name in entry} == more
    assert set(more) == ({"beside", "habits"} if kind == "pop" else set())
    states = [line["name"] for line in entry["input"]][len(network_.config["inputs"]) :]
    assert states == list(network_.state()) and set(states) >= ({"h", "c"} if model in STREAMED else set())
    assert [line["name"] for line in entry["output"]] == ["logits", *(f"{name}_out" for name in states)]
    assert entry["output"][0]["shape"] == [1, "notes", len(KINDS[kind].parts) + 1]


def test_two_networks_are_asked_and_their_mean_counts(tmp_path):
    online = network("online", "pop")
    exporting.write_onnx(online, KINDS["pop"], tmp_path / "pop_research_online.onnx")
    offline, seen = torch_run(network("offline", "pop")), [shown("pop")]
    both = with_all(offline, {"beside": "pop_research_online"}, True, tmp_path)(seen)[0]
    theirs = onnx_run(tmp_path / "pop_research_online.onnx")(seen)[0]
    mean = (log_softmax(offline(seen)[0][:, 1:]) + log_softmax(theirs[:, 1:])) / 2
    np.testing.assert_allclose(both[:, 1:], mean, atol=1e-5)
    # What one alone is sure of outweighs what the other hardly knows.
    sure, unsure = (lambda _, row=row: [np.array([row], np.float32)] for row in ([0, 9, 0], [0, 0, 1]))
    assert mean_of([sure, unsure])(seen)[0][0, 1:].argmax() == 0


@pytest.mark.parametrize("model", ["online", "offline"])
def test_the_golden_file_holds_what_the_engine_must_compute(model, tmp_path):
    network_ = network(model)
    exporting.write_onnx(network_, KINDS["quartet"], tmp_path / "x.onnx")
    exporting.write_golden(onnx_run(tmp_path / "x.onnx"), network_, "x", tmp_path / "x.json")
    golden = json.loads((tmp_path / "x.json").read_text())
    assert [case["hints"] for case in golden["cases"]] == ["none", "both"]
    for case in golden["cases"]:
        assert list(case["inputs"]) == network_.config["inputs"] and len(case["logits"]) == 64
        assert len(case["played"]) == 64 and 0 <= case["accuracy"] <= 1


def test_training_stops_saves_resumes_and_learns(tmp_path):
    music = corpus(copies=2)
    small = {"crop": 60, "batch": 4, "validate_every": 4, "warmup": 1}
    first = train(music, tmp_path, float("inf"), False, recipe("quartet", "online", [], small | {"steps": 4}))
    assert first["step"] == 4
    second = train(music, tmp_path, float("inf"), True, recipe("quartet", "online", [], small | {"steps": 8}))
    assert second["step"] == 8 and [line["step"] for line in second["log"]] == [4, 8]
    assert second["log"][1]["loss"] < second["log"][0]["loss"]


def test_a_report_has_every_figure_of_every_hint():
    figures = report(torch_run(network("online")), corpus().part("test"), None, KINDS["quartet"].mono, False)
    assert {"accuracy", "accuracy_entry", "accuracy_pitch", "accuracy_both", "balanced", "accuracy_cello"} <= set(
        figures
    )
    assert figures["pieces"] == 1 and all(0 <= value <= 100 for name, value in figures.items() if "acc" in name)
    assert not any("velocity" in name for name in figures)


def test_a_report_tells_what_velocities_are_worth():
    def ears(pieces):
        """Knows each part by its velocity, as the fixture's players can be known."""
        return [np.eye(6)[1 + np.clip((96 - x["velocity"]) // 12, 0, 4)] for x in pieces]

    figures = report(ears, corpus("pop").part("test"), None, KINDS["pop"].mono, True)
    assert figures["accuracy_velocity"] == figures["accuracy_velocity_both"] == 100
    assert figures["accuracy"] == figures["accuracy_both"] < 50


def test_of_notes_that_all_may_begin_a_part_the_first_does():
    network_ = network("online", "pop")
    x = {name: torch.from_numpy(values[None, :4].copy()) for name, values in shown("pop").items() if name in PER_NOTE}
    x |= {"entry": torch.zeros(1, 4, 5), "entry_known": torch.ones(1, 1), "hint": torch.zeros(1, 5, dtype=torch.int64)}
    _, after = network_(x, {name: torch.zeros(shape) for name, shape in network_.state().items()})
    assert (after["first"] == x["pitch"][0, 0]).all() and (after["first_velocity"] == x["velocity"][0, 0] + 1).all()


def test_the_table_has_a_line_per_model_and_inputs(tmp_path):
    figures = {"accuracy": 71.5, "accuracy_entry": 72.0, "accuracy_pitch": 73.0, "accuracy_both": 74.0}
    for seed, more in ((1, 0.0), (2, 1.0)):
        result = {
            "model": "online",
            "kind": "quartet",
            "inputs": ["pitch"],
            "figures": figures | {"accuracy": 71.5 + more},
        }
        (tmp_path / f"x-{seed}.json").write_text(json.dumps(result))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "game-closest-mono.json").write_text(json.dumps({"accuracy": 43.73}))
    lines = table.table(tmp_path).splitlines()
    rule = "| closest pitch, a chord together | entry hints | - (89.76) | - (42.82) | 43.73 (49.91) | - (32.28) |"
    assert rule in lines
    assert "| ours, online | no hints | - | 72.00 ±0.71 | - | - |" in lines
    assert "| LSTM, online | no hints | - (93.02) | - (67.43) | - (50.22) | - (74.14) |" in lines


def test_the_history_is_its_definition():
    x, last = shown(), {}
    numbers = true_history(x, 4)
    for i, (time, key, length, label) in enumerate(
        zip(x["time"], x["pitch"] - 1, x["duration"], x["label"], strict=True)
    ):
        chord = (x["pitch"] - 1)[x["time"] == time].tolist()
        place = i - int(np.flatnonzero(x["time"] == time)[0])
        later = x["time"][x["time"] > time]
        below = key - chord[place - 1] if place else 0
        above = chord[place + 1] - key if place + 1 < len(chord) else 0
        following = (later == later.min()).sum() if len(later) else 0
        of_note = [key, length, length <= 6, place, below, above, len(chord), time % 24, following]
        of_parts = np.full((4, 4), -1)
        for part, (pitch, onset, end) in last.items():
            of_parts[:, part] = abs(key - pitch), time - onset, abs(time - end), time < end
        np.testing.assert_array_equal(numbers[i], [*of_note, *of_parts.flatten()])
        last[label - 1] = key, time, time + length


def test_its_own_history_is_the_true_one_of_what_it_answered():
    model = network("mlp")
    pieces = [shown(), until(shown(), 17)]
    own = alone(torch_run(model), 4)(pieces)
    answered = [piece | {"label": logits[:, 1:].argmax(-1) + 1} for piece, logits in zip(pieces, own, strict=True)]
    for ours, again in zip(own, torch_run(model)(answered), strict=True):
        np.testing.assert_allclose(ours, again, atol=1e-5)
