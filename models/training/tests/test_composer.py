"""The composer's encoding, networks and exported graphs."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from ripieno_training.composer import attention, exporting, fixtures, training  # noqa: E402
from ripieno_training.composer import vocabulary as v  # noqa: E402
from ripieno_training.composer.corpus import Song  # noqa: E402
from ripieno_training.composer.data import Sequences, padded, sequence  # noqa: E402
from ripieno_training.composer.eight_bits import in_eight_bits  # noqa: E402
from ripieno_training.composer.encoding import decode, encode_notes, song  # noqa: E402
from ripieno_training.composer.graph import network  # noqa: E402
from ripieno_training.composer.model import Composer, losses, parameters  # noqa: E402
from ripieno_training.composer.restoring import restored  # noqa: E402
from ripieno_training.composer.training import recipe  # noqa: E402
from ripieno_training.manifest import read  # noqa: E402

TINY = {"layers": 2, "width": 32, "heads": 2, "kv_heads": 1, "window": 96}


def build(model: str) -> Composer:
    torch.manual_seed(3)
    return Composer(recipe(model, TINY)).eval()


def events(count: int = 60, seed: int = 0) -> np.ndarray:
    return song(encode_notes(fixtures.notes_by_lot(np.random.default_rng(seed), count)))


def test_the_paper_s_network_has_its_size():
    assert parameters(Composer(recipe("mmt", {}))) == 19_944_950
    assert v.sizes() == (5, 257, 13, 129, 33, 65)


def test_durations_and_programs_as_the_paper_s():
    codes, held = v.duration_codes(), v.tables()["durations"]
    for ticks, becomes in {0: 1, 13: 12, 17: 16, 27: 24, 54: 48, 289: 384, 384: 384}.items():
        assert held[codes[ticks] - 1] == becomes
    assert (v.instrument_codes() == 0).sum() == 24
    assert len(v.programs()) == 64


def test_notes_come_back_as_they_were():
    rng = np.random.default_rng(5)
    programs = np.array(v.programs())
    columns = rng.integers(0, 3000, 90), rng.integers(0, 128, 90), rng.choice(v.tables()["durations"], 90)
    notes = np.stack([*columns, rng.choice(programs[:4], 90)], 1)
    back = decode(song(encode_notes(notes)))
    assert {tuple(row) for row in back} == {tuple(row) for row in notes}


def test_the_engine_s_golden_values_are_ours(tmp_path):
    fixtures.write_golden(tmp_path / "encoding.json")
    kept = exporting.Path(__file__).parents[3] / "tests" / "golden" / "composer" / "encoding.json"
    assert json.loads((tmp_path / "encoding.json").read_text()) == json.loads(kept.read_text())


def test_a_sequence_fits_and_names_the_instruments_of_its_notes():
    notes = fixtures.notes_by_lot(np.random.default_rng(1), 400)
    notes = notes[np.argsort(notes[:, 0])]
    cut = sequence(notes, 96, 10, 2)
    assert len(cut) == 96
    kinds = cut[:, v.TYPE]
    assert set(cut[kinds == v.NOTE, v.INSTRUMENT]) == set(cut[kinds == v.INSTRUMENTS, v.INSTRUMENT])
    assert kinds[-1] == v.NOTE
    assert sequence(notes, 4000, 0, 0)[-1, v.TYPE] == v.END


@pytest.mark.parametrize("model", ["small", "mmt_small"])
def test_no_event_sees_a_later_one_and_no_field_itself(model):
    network, first = build(model), torch.from_numpy(events(150)[:90])[None]
    changed = first.clone()
    changed[0, 40:, v.PITCH] = 1 + (changed[0, 40:, v.PITCH] + 5) % 128
    with torch.no_grad():
        a, b = network(first), network(changed)
    for field, (x, y) in enumerate(zip(a, b, strict=True)):
        # Of event 40 itself, whose pitch changed, only what is sampled after its pitch may differ.
        same = 40 if model == "small" and field == v.DURATION else 41
        torch.testing.assert_close(x[0, : same - 1], y[0, : same - 1])
    assert not torch.allclose(a[v.PITCH][0, 40:], b[v.PITCH][0, 40:])


def test_padding_counts_for_nothing():
    network = build("small")
    one, two = events(20), events(50, seed=2)
    alone = losses(network, *(torch.from_numpy(x) for x in padded([one])))
    beside = losses(network, *(torch.from_numpy(x) for x in padded([one, two])))
    other = losses(network, *(torch.from_numpy(x) for x in padded([two])))
    torch.testing.assert_close(alone + other, beside, rtol=1e-4, atol=1e-3)


def test_impossible_beats_and_positions_are_never_likely():
    network, whole = build("small"), torch.from_numpy(events())[None]
    logits = network(whole)
    for i in np.flatnonzero(whole[0, 1:, v.TYPE] == v.NOTE):
        before, target = whole[0, i], whole[0, i + 1]
        beats = logits[v.BEAT][0, i].softmax(-1)
        assert beats[: max(1, int(before[v.BEAT]))].sum() < 1e-6
        if target[v.BEAT] == before[v.BEAT]:
            assert logits[v.POSITION][0, i].softmax(-1)[: int(before[v.POSITION])].sum() < 1e-6


def test_in_eight_bits_the_graph_rounds_as_is_said(tmp_path):
    pytest.importorskip("onnxruntime")
    composer = exporting.halved(build("small"))
    net, heads = exporting.write_files(composer, "small_8bit", tmp_path, eight_bits=True)
    runner = exporting.Runner(net, exporting.read_heads(heads, build("small").heads))
    song = events(150)[:90]
    like, unlike = (exporting.check(model, runner, song) for model in (in_eight_bits(composer), composer))
    assert like < unlike / 2, (like, unlike)


def test_matrices_of_heads_are_8_bits_times_a_scale_and_nothing_else_of_them_is_rounded(tmp_path):
    pytest.importorskip("onnxruntime")
    composer = exporting.halved(build("small"))
    _, file = exporting.write_files(composer, "small_8bit", tmp_path, eight_bits=True)
    found = exporting.read_heads(file, composer.heads).state_dict()
    for (name, wanted), ours in zip(in_eight_bits(composer).heads.state_dict().items(), found.values(), strict=True):
        np.testing.assert_array_equal(ours, wanted, err_msg=name)
        unrounded = composer.heads.state_dict()[name]
        if name.startswith(("mix", "out")) and name.endswith("weight"):
            blocks = unrounded.unflatten(1, (-1, 32))
            # Half a step of 127, and what 16 bits make of the scale.
            apart = (ours.unflatten(1, (-1, 32)) - blocks).abs().amax(-1) / blocks.abs().amax(-1)
            assert 0 < apart.max() < 0.51 / 127 + 2**-11
        else:
            np.testing.assert_array_equal(ours, unrounded, err_msg=name)


def melody(name: str, beats: int, each: int, program: int) -> Song:
    """A song of `each` notes in every beat, but a hundred more in the first."""
    onsets = np.sort(np.concatenate([np.zeros(100, np.int64), np.repeat(np.arange(beats) * v.resolution(), each)]))
    count = np.arange(len(onsets))
    return Song(name, np.stack([onsets, 40 + count % 40, 6 + count % 3, np.full(len(count), program)], 1))


def test_songs_and_beginnings_are_drawn_by_notes_or_uniformly():
    songs = [melody("short", 40, 1, 0), melody("long", 400, 10, 40)]
    by_notes, uniform = (
        Sequences(songs, recipe("small", {"draw": draw, "from_the_start": 0.0}), 7) for draw in ("notes", "uniform")
    )
    # 140 and 4,100 notes: one window of 512 and eight.
    np.testing.assert_allclose(by_notes.weights, np.array([1, 4100 / 512]) / (1 + 4100 / 512))
    np.testing.assert_allclose(uniform.weights, 0.5)
    starts = [[each.start(songs[0].notes) for _ in range(2000)] for each in (by_notes, uniform)]
    # The first beat has 101 of 140 notes, and is one of 40 beats.
    assert abs(np.mean(np.array(starts[0]) == 0) - 101 / 140) < 0.05
    assert abs(np.mean(np.array(starts[1]) == 0) - 1 / 40) < 0.02
    assert max(starts[1]) == 39 and abs(np.mean(starts[1]) - 19.5) < 1
    assert Sequences(songs, recipe("mmt", {}), 0).by_notes is False
    assert Sequences(songs, recipe("mmt_small", {}), 0).by_notes is True, "it saw what ours saw"


BRIEF = TINY | {"lengths": [[48, 2], [96, 1]], "steps": 4, "warmup": 2, "validate_every": 2, "dropout": 0.2}


@pytest.mark.parametrize("model", ["small", "mmt"])
def test_training_that_was_stopped_twice_goes_on_to_the_same_weights(model, tmp_path, monkeypatch):
    songs = [melody("a", 30, 2, 0), melody("b", 50, 3, 40), melody("c", 20, 2, 40)]
    monkeypatch.setattr(training, "part", lambda songs, split, music: songs[:2] if split == "train" else songs[2:])
    config = recipe(model, BRIEF)
    whole = training.train(songs, tmp_path / "whole", 60, False, config)
    stopped = [training.train(songs, tmp_path / "parts", minutes, True, config) for minutes in (0, 0, 60)]
    # No time is left after one step.
    assert [state["step"] for state in stopped] == [1, 2, 4] and whole["step"] == 4
    assert stopped[-1]["sequences"] == whole["sequences"]
    for key in ("model", "average", "optimisers", "dice"):
        torch.testing.assert_close(stopped[-1][key], whole[key], rtol=0, atol=0)
    first = Composer(config).state_dict()
    assert any(not torch.equal(first[name], kept) for name, kept in whole["model"].items())


@pytest.mark.parametrize("model", ["small", "mmt"])
def test_a_step_in_sixteen_bits_is_finite_and_near_one_in_thirty_two(model):
    network = build(model)
    whole, real = (torch.from_numpy(x) for x in padded([events(50), events(30, seed=2)]))
    found = []
    for enabled in (True, False):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert network(whole)[v.PITCH].dtype == (torch.bfloat16 if enabled else torch.float32)
            loss = losses(network, whole, real).sum() / real[:, 1:].sum()
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        assert loss.isfinite() and gradients.isfinite().all() and gradients.dtype == torch.float32
        found.append((loss.item(), gradients))
    (low, rough), (high, exact) = found
    assert abs(low / high - 1) < 0.02
    assert (rough - exact).norm() < 0.1 * exact.norm()


def test_relative_attention_and_gain_are_those_reckoned_by_hand(monkeypatch):
    def window(beats: list[int], pitches: list[int]) -> np.ndarray:
        """Two events that are no notes, and notes."""
        rows = [[v.SONG, 0, 0, 0, 0, 0], [v.NOTES, 0, 0, 0, 0, 0]]
        return np.array(rows + [[v.NOTE, beat, 1, pitch, 1, 1] for beat, pitch in zip(beats, pitches, strict=True)])

    def given(notes: list[list[float]]) -> np.ndarray:
        """Attention of a head with so much between notes; the rest is on what is no note."""
        among = np.array(notes)
        full = np.zeros((len(among) + 2,) * 2)
        full[2:, 2:] = among
        full[:, 0] += 1 - full.sum(1)
        return full

    windows = [window([1, 1, 2], [50, 54, 50]), window([7], [60])]
    attended = [
        [given([[0.5, 0, 0], [0.2, 0.3, 0], [0.1, 0.2, 0.4]]), given(0.1 * np.tri(3))],
        [given([[0.3]]), given([[0.1]])],
    ]
    answers = iter(attended)
    session = type("Session", (), {"run": lambda self, outputs, inputs: [np.array(next(answers), np.float32)]})
    monkeypatch.setattr(attention.onnxruntime, "InferenceSession", lambda *_, **__: session())
    monkeypatch.setattr(attention, "first_windows", lambda songs, window: windows)
    found = attention.relative(None, [], 0)
    # Notes look at notes with 2.0 of the first head's attention and 0.7 of the second's, in seven pairs.
    for name, difference, first, pairs in [
        ("beat", 0, 0.5 + 0.2 + 0.3 + 0.4 + 0.3, 5),
        ("beat", 1, 0.1 + 0.2, 2),
        ("pitch", 0, 0.5 + 0.3 + 0.1 + 0.4 + 0.3, 5),
        ("pitch", 4, 0.2, 1),
        ("pitch", -4, 0.2, 1),
        ("position", 0, 2.0, 7),
        ("position", 3, 0.0, 0),
    ]:
        share, gain = (both[:, attention.DIFFERENCES[name][1].index(difference)] for both in found[name])
        np.testing.assert_allclose(share, [first / 2.0, pairs / 7], atol=1e-6, err_msg=f"{name} {difference}")
        np.testing.assert_allclose(gain, [first / 2.0 - pairs / 7, 0], atol=1e-6, err_msg=f"{name} {difference}")


@pytest.mark.parametrize("model", ["small", "mmt_small"])
def test_the_exported_attention_is_a_share_of_what_came_before(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    composer, song = build(model), events(150)[:70]
    attention.export(composer, tmp_path / "attention.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "attention.onnx"), providers=["CPUExecutionProvider"])
    given = session.run(None, {"event": song[None]})[0]
    assert given.shape == (2, 70, 70)
    np.testing.assert_allclose(given.sum(-1), 1, atol=1e-5)
    assert np.triu(given, 1).max() == 0
    with torch.no_grad():
        np.testing.assert_allclose(given, attention.Attention(composer)(torch.from_numpy(song)[None]), atol=1e-5)


@pytest.mark.parametrize("model", ["small", "mmt_small"])
def test_the_exported_graphs_are_the_network(model, tmp_path):
    pytest.importorskip("onnxruntime")
    composer = exporting.halved(build(model))
    onnx.save(network(composer), str(tmp_path / "net.onnx"))
    exporting.write_heads(composer, tmp_path / "heads.onnx")
    runner = exporting.Runner(tmp_path / "net.onnx", exporting.read_heads(tmp_path / "heads.onnx", build(model).heads))
    assert exporting.check(composer, runner, events(150)[:90]) < 1e-4
    # Going back: other events in the place of some that were seen.
    other = events(150, seed=4)[:50]
    hidden = runner.hidden(other, 0)
    again = np.concatenate([hidden[:20], runner.hidden(other[20:35], 20), runner.hidden(other[35:], 35)])
    np.testing.assert_allclose(again, hidden, atol=2e-4)


def test_a_network_that_learnt_nothing_is_entered_as_it_is(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "manifest.toml").write_text("")
    names = exporting.write_untrained(recipe("mmt_small", TINY), tmp_path)
    entries = {entry["name"]: entry for entry in read(tmp_path / "manifest.toml")["model"]}
    assert names == ["mmt_small", "mmt_small_8bit"]
    assert set(entries) == {*names, *(f"{name}_heads" for name in names)}
    for entry in entries.values():
        session = exporting.session(tmp_path / entry["file"])
        for kind, found in (("input", session.get_inputs()), ("output", session.get_outputs())):
            free = [[size if isinstance(size, int) else None for size in line["shape"]] for line in entry[kind]]
            assert [line["name"] for line in entry[kind]] == [line.name for line in found]
            assert free == [[size if isinstance(size, int) else None for size in line.shape] for line in found]


@pytest.mark.parametrize("model", ["small", "mmt_small"])
def test_a_network_is_restored_from_its_files_to_the_last_bit(model, tmp_path):
    pytest.importorskip("onnxruntime")
    composer, config = exporting.halved(build(model)), recipe(model, TINY)
    exporting.write_files(composer, exporting.name_of(config), tmp_path, eight_bits=False)
    found = restored(config, tmp_path)
    for name, weight in composer.named_parameters():
        np.testing.assert_array_equal(found.get_parameter(name).detach(), weight.detach(), err_msg=name)
    with pytest.raises(SystemExit, match="other code or another recipe"):
        restored(config | {"width": 64}, tmp_path)


def test_a_network_begins_as_another_whose_keys_and_values_it_averages():
    many = Composer(recipe("small", TINY | {"kv_heads": 2})).eval()
    few = Composer(recipe("small", TINY | {"kv_heads": 1})).eval()
    given = torch.from_numpy(events())[None]
    with torch.no_grad():
        for block in many.blocks:
            # Two heads of keys and values that are alike are their mean.
            for rows in block.qkv.weight[32:].chunk(2):
                rows[16:] = rows[:16]
        training.begin_as(few, many)
        for one, other in zip(few(given), many(given), strict=True):
            torch.testing.assert_close(one, other)
    few_weight, many_weight = few.blocks[0].qkv.weight, many.blocks[0].qkv.weight
    assert (few_weight.shape, many_weight.shape) == ((64, 32), (96, 32))


def test_what_a_network_began_as_counts_to_its_training():
    first = {"log": [{"step": 100, "nll": 2.0}, {"step": 200, "nll": 2.1}], "seconds": 60.0}
    assert training.trained(first) == {"steps": 100, "seconds": 60.0}
    second = {"log": [{"step": 50, "nll": 1.9}], "seconds": 6.0, "before": training.trained(first)}
    assert training.trained(second) == {"steps": 150, "seconds": 66.0}
