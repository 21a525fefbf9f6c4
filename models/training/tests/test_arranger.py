"""The arranger: what its data, network, recipe and files promise. No test needs the chorales."""

import tomllib
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

from ripieno_training.arranger import data, exporting
from ripieno_training.arranger.assignment import assign, log_softmax
from ripieno_training.arranger.evaluation import accuracy, one_evening, onnx_run, torch_run
from ripieno_training.arranger.model import Arranger, rest, sinusoids
from ripieno_training.arranger.training import loss_of, train

CONFIG = {"crop": 90, "batch": 3, "shifted": 0.5, "latest_start": 64, "from_the_middle": 0.5}
CONFIG |= {"human": 0.2, "off_the_grid": 0.2}


def torch_ids(features: data.Features) -> list[torch.Tensor]:
    return [torch.from_numpy(ids)[None] for ids in (features.pitch, features.beat, features.position)]


def write_hymns(folder: Path) -> None:
    """Files under the names of the split, each a transposed hymn."""
    piece = exporting.hymn()
    rows = data.SPLIT.read_text().splitlines()[1:]
    for i, row in enumerate(rows):
        score = symusic.Score(480)
        for part, name in enumerate(data.PARTS):
            track = symusic.Track(name.title())
            for k in np.flatnonzero(piece.part == part):
                start, end = 20 * int(piece.time[k]), 20 * int(piece.end[k])
                track.notes.append(symusic.Note(start, end - start, int(piece.pitch[k]) + i % 5, 64))
            score.tracks.append(track)
        score.dump_midi(folder / row.split(",")[0])


def test_a_file_becomes_notes_in_the_papers_order(tmp_path):
    score = symusic.Score(480)
    for name, notes in (("Soprano", [(0, 480, 72), (480, 240, 74)]), ("Bass", [(0, 960, 48)])):
        track = symusic.Track(name)
        for note in notes:
            track.notes.append(symusic.Note(*note, 64))
        score.tracks.append(track)
    score.dump_midi(tmp_path / "x.mid")
    piece = data.read_piece(tmp_path / "x.mid")
    assert piece.time.tolist() == [0, 0, 24]
    assert piece.pitch.tolist() == [48, 72, 74]
    assert piece.part.tolist() == [3, 0, 0]
    assert piece.end.tolist() == [48, 24, 36]


def test_a_track_of_another_name_is_an_error(tmp_path):
    score = symusic.Score(480)
    score.tracks.append(symusic.Track("Kazoo"))
    score.tracks[0].notes.append(symusic.Note(0, 1, 60, 64))
    score.dump_midi(tmp_path / "x.mid")
    with pytest.raises(ValueError, match="Kazoo"):
        data.read_piece(tmp_path / "x.mid")


def test_a_missing_chorale_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="lacks 32 of 32 chorales of test"):
        data.load_split(tmp_path, "test")


def test_ids_are_shifted_split_and_clipped():
    ids = data.features(np.array([0, 25, 24 * 5000]), np.array([0, 60, 127]), np.array([0, 3, 1]))
    assert ids.pitch.tolist() == [1, 61, 128]
    assert ids.beat.tolist() == [0, 1, 4096]
    assert ids.position.tolist() == [0, 1, 0]
    assert ids.label.tolist() == [1, 4, 2]


def test_crops_are_full_in_order_and_repeatable():
    pieces = [exporting.hymn()] * 3
    first, second = (data.Crops(pieces, CONFIG, seed=4) for _ in range(2))
    for _ in range(10):
        a, b = first.batch(), second.batch()
        assert a.pitch.shape == (3, 90) and (a.label > 0).all() and (a.pitch > 0).all() and (a.pitch <= 128).all()
        assert (np.diff(a.beat * data.TICKS + a.position, axis=1) >= 0).all()
        assert (a.pitch == b.pitch).all() and (a.beat == b.beat).all()


def test_human_time_keeps_chords_together_and_in_order():
    piece = exporting.hymn()
    moved = data.human_time(piece.time, 3.0, np.random.default_rng(0))
    assert (np.diff(moved) >= 0).all() and (moved != piece.time).any()
    chord = np.flatnonzero(piece.time == 48)
    assert len(set(moved[chord])) == 1


def test_the_sinusoids_are_the_formulas():
    table = sinusoids(50, 16)
    assert table[7, 4].item() == pytest.approx(np.sin(7 / 10_000 ** (4 / 16)), abs=1e-6)
    assert table[7, 5].item() == pytest.approx(np.cos(7 / 10_000 ** (4 / 16)), abs=1e-6)


def test_no_answer_depends_on_a_later_note():
    torch.manual_seed(0)
    model = Arranger().eval()
    ids = torch_ids(data.of_piece(exporting.hymn()))
    whole, _, _ = model(*ids, *rest(1))
    start, _, _ = model(*[x[:, :40] for x in ids], *rest(1))
    torch.testing.assert_close(whole[:, :40], start)


def test_note_by_note_is_the_whole_sequence():
    torch.manual_seed(0)
    model = Arranger().eval()
    ids = torch_ids(data.of_piece(exporting.hymn()))
    whole, h, c = model(*ids, *rest(1))
    state, steps = rest(1), []
    for i in range(ids[0].shape[1]):
        logits, *state = model(*[x[:, i : i + 1] for x in ids], *state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole)
    torch.testing.assert_close(state[0], h)
    torch.testing.assert_close(state[1], c)


def test_padding_does_not_count_in_the_loss():
    logits = torch.randn(1, 4, 5)
    label = torch.tensor([[1, 2, 0, 0]])
    torch.testing.assert_close(loss_of(logits, label), loss_of(logits[:, :2], label[:, :2]))


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


def test_an_evening_has_all_notes_and_wraps_its_clock():
    evening = one_evening([exporting.hymn()] * 40)
    assert len(evening.pitch) == 40 * len(exporting.hymn())
    assert evening.beat.max() < 1024 and (np.diff(evening.beat) < 0).any()


def test_training_stops_saves_resumes_and_learns(tmp_path):
    write_hymns(tmp_path)
    small = {"crop": 60, "batch": 4, "steps": 8, "validate_every": 4, "warmup": 1}
    first = train(tmp_path, tmp_path / "out", float("inf"), False, small | {"steps": 4})
    assert first["step"] == 4
    second = train(tmp_path, tmp_path / "out", float("inf"), True, {"steps": 8})
    assert second["step"] == 8 and [line["step"] for line in second["log"]] == [4, 8]
    assert second["log"][1]["loss"] < second["log"][0]["loss"]


def test_the_exported_file_answers_as_the_network_does(tmp_path):
    torch.manual_seed(0)
    model = Arranger().eval()
    (tmp_path / "manifest.toml").write_text("")
    file = tmp_path / "arranger" / "bach_lstm.onnx"
    exporting.write_onnx(model, file)
    exporting.write_entry(model, file, {"accuracy": 25.0}, tmp_path / "manifest.toml")
    pieces = [data.of_piece(exporting.hymn())]
    np.testing.assert_allclose(onnx_run(file)(pieces)[0], torch_run(model)(pieces)[0], atol=5e-3)
    entry = tomllib.loads((tmp_path / "manifest.toml").read_text())["model"][0]
    assert entry["name"] == "bach_lstm" and entry["file"] == "arranger/bach_lstm.onnx"
    assert [line["name"] for line in entry["input"]] == ["pitch", "beat", "position", "h", "c"]
    assert 0.0 <= accuracy(onnx_run(file), [exporting.hymn()]) <= 1.0
