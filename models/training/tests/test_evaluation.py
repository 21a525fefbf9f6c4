"""The evaluation's measures, against values that are known otherwise."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ripieno_training.dataset import Clip, catalogue
from ripieno_training.evaluation import judge as judges
from ripieno_training.evaluation import keeping, table
from ripieno_training.evaluation.excerpts import excerpts, played
from ripieno_training.evaluation.groups import Gaussian, _root, ranking
from ripieno_training.evaluation.measures import levelled, loudness_curve, loudness_distance
from ripieno_training.evaluation.piano import pianist, piano_f1
from ripieno_training.evaluation.summary import Heard, figures
from ripieno_training.evaluation.systems import by_engine, chains, written
from ripieno_training.features import SAMPLE_RATE
from ripieno_training.listening import frechet
from ripieno_training.render.recipes import performances

TIME = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE


def test_loudness_is_that_of_the_standard():
    # ITU-R BS.1770-4: a full-scale sine of 997 Hz in one channel is -3.01 LKFS.
    sine = np.sin(2 * np.pi * 997 * TIME)
    one = loudness_curve(np.stack([sine, np.zeros_like(sine)]))[5:]
    np.testing.assert_allclose(one, -3.01, atol=0.02)
    assert loudness_curve(np.zeros((2, SAMPLE_RATE))).max() == -70.0


def test_loudness_distance_hears_the_curve_and_not_the_level():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, (2, len(TIME)))
    true = noise * (1 + 0.8 * np.sin(2 * np.pi * 0.7 * TIME))
    same, level = loudness_distance(0.5 * true, true)
    assert same < 1e-6 and level == pytest.approx(-6.02, abs=0.01)
    assert loudness_distance(noise, true)[0] > 2.0
    assert np.sqrt((levelled(0.1 * noise, true) ** 2).mean()) == pytest.approx(np.sqrt((true**2).mean()))


def test_the_distance_to_a_group_has_the_published_value():
    covariances = [np.array([[2, 0.5], [0.5, 1]]), np.array([[1, 0.2], [0.2, 3]])]
    a, b = (Gaussian(np.array(m, float), c, _root(c)) for m, c in zip(([0, 0], [1, 2]), covariances, strict=True))
    assert a.distance(b) == pytest.approx(5.754386284536507, rel=1e-9)
    assert b.distance(a) == pytest.approx(5.754386284536507, rel=1e-9)


def test_the_distance_to_a_group_is_the_frechet_distance():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (40, 12)), rng.normal(0.3, 1.4, (9, 12))
    assert Gaussian.of(a).distance(Gaussian.of(b)) == pytest.approx(frechet(a, b), rel=1e-5)


def cloud(rng, centre: int, count: int) -> np.ndarray:
    return rng.normal(0, 0.5, (count, 6)) + 2.0 * np.eye(6)[centre]


def test_figures_tell_the_right_performance_from_a_wrong_one():
    rng = np.random.default_rng(2)
    groups = {name: cloud(rng, i, 60) for i, name in enumerate("abcdef")}
    assert ranking(cloud(rng, 2, 12), {n: Gaussian.of(g) for n, g in groups.items()})[0] == "c"
    right = [Heard(name, cloud(rng, i, 12), {"note_f1": 0.5}) for i, name in enumerate("abcdef")]
    wrong = [Heard(name, cloud(rng, (i + 1) % 6, 12)) for i, name in enumerate("abcdef")]
    good, bad = figures(right, groups), figures(wrong, groups)
    assert good["top1"] == 1.0 and bad["top1"] == 0.0
    assert good["centroid1"] == 1.0 and bad["centroid1"] == 0.0
    assert good["group_fad"] < 0.5 * bad["group_fad"]
    # Asked for or not, the same sounds are as near to all audio.
    assert good["all_fad"] == pytest.approx(bad["all_fad"], rel=0.5)
    assert good["note_f1"] == 0.5 and "note_f1" not in bad


def test_the_table_replaces_its_section_and_nothing_else(tmp_path):
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text("# Synthesizer\n\nText.\n\n## Speed\n\nFast.\n")
    results.mkdir()
    result = {
        "name": "tiny", "excerpts": 6, "seconds": 12.0, "works": 2, "each": 3, "performances": 10, "picture": "p.png",
        "systems": {
            "true rendering": {"group_fad": 4.0, "top1": 1.0, "note_f1": 0.6},
            "prior": {"group_fad": 9.0, "top1": 0.5, "note_f1": 0.3},
        },
    }  # fmt: skip
    (results / "evaluation-tiny.json").write_text(json.dumps(result))
    table.write(results, readme)
    once = readme.read_text()
    assert "| prior | 9.0 | 50% | 0.300 | 50% | - |" in once
    assert once.startswith("# Synthesizer\n\nText.\n") and once.endswith("## Speed\n\nFast.\n")
    table.write(results, readme)
    assert readme.read_text() == once
    assert "No run" not in once
    assert "**tiny**: 6 excerpts" in once and "(results/p.png)" in once
    named = {**result, "name": "base", "checkpoints": "trained on a processor"}
    (results / "evaluation-tiny.json").write_text(json.dumps(named))
    table.write(results, readme)
    assert "**base**, trained on a processor: 6" in readme.read_text() and "**tiny**" not in readme.read_text()


def test_scores_are_also_shown_as_shares_of_the_true_ones():
    figures = {"true rendering": {"note_f1": 0.8, "note_instrument_f1": 0.5}, "prior": {"note_instrument_f1": 0.4}}
    shown = table.rows({"systems": figures})
    assert "| system | note F1 | of the true | note+instrument F1 | of the true |" in shown
    assert "| prior | - | - | 0.400 | 80% |" in shown


def test_every_denoiser_has_its_rows():
    names = [system.name for system in chains(4, 0.4, ["denoiser", "t5", "denoiser_alone"], 250)]
    assert len(set(names)) == len(names) == 12
    assert "prior + U-Net, DPM-Solver++" in names
    assert "prior + T5, performance unknown" in names and "prior + U-Net, 250 steps, eta 1" in names
    [alone] = [system for system in chains(4, 0.4, ["denoiser_alone"]) if system.name.endswith("prior, 12 steps")]
    assert alone.setting.share == 1.0 and alone.denoiser == "denoiser_alone"


def test_a_student_takes_the_steps_it_was_distilled_for():
    students = chains(12, 0.4, ["denoiser_distilled_2", "t5_base_distilled_4"])[3:]
    assert {system.setting.steps for system in students if "T5" not in system.name} == {2}
    assert {system.setting.steps for system in students if "T5" in system.name} == {4}
    assert "prior + base T5 distilled to 4" in {system.name for system in students}


def test_the_engine_plays_what_is_written_and_says_so_when_it_does_not(tmp_path):
    [quartet] = [p for p in performances().values() if p.id == "string-quartet-hall"]
    instruments = catalogue()[1]
    notes = np.array([[0.25, 1.0, 62.0, 80.0]])
    empty = np.zeros((2, SAMPLE_RATE), np.int16)
    parts = [Clip(empty, notes, None, None, instruments.index(name), 2, "") for name in ("violin", "cello")]
    midi = written(quartet, parts, instruments)
    assert [message.program for track in midi.tracks for message in track if message.type == "program_change"] == [
        40, 42,
    ]  # fmt: skip
    assert midi.length == pytest.approx(1.0)
    with pytest.raises(RuntimeError, match="did not render string-quartet-hall"):
        by_engine(quartet, parts, instruments, tmp_path / "ripieno")
    # A stand-in that sounds for half a second, whatever it is asked.
    engine = tmp_path / "ripieno"
    engine.write_text(
        f"#!{sys.executable}\nimport sys, numpy, soundfile\n"
        f"soundfile.write(sys.argv[-1], numpy.full(({SAMPLE_RATE // 2}, 2), 0.5), {SAMPLE_RATE})\n"
    )
    engine.chmod(0o755)
    heard = by_engine(quartet, parts, instruments, engine)
    assert heard.shape == (2, SAMPLE_RATE)
    assert heard[:, SAMPLE_RATE // 2 - 1].min() > 0.49 and not heard[:, SAMPLE_RATE // 2 :].any()


def test_a_kept_sound_is_the_sound_and_is_made_once(tmp_path):
    audio = np.random.default_rng(5).normal(0, 0.01, (2, 1000)).astype(np.float32)
    first = keeping.sound(tmp_path / "a.sound.npz", lambda: audio)
    assert np.abs(first - audio).max() < 2e-6 and first.dtype == np.float32
    np.testing.assert_array_equal(keeping.sound(tmp_path / "a.sound.npz", lambda: 1 / 0), first)


def test_without_transkun_pianos_are_not_heard_and_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "moduleconf", None)
    pianist.cache_clear()
    with pytest.raises(SystemExit, match="pip install transkun==2.0.1"):
        pianist()


def test_only_what_pianos_play_is_heard_by_the_pianist():
    judge = judges.Judge(Path("none"), False, piano=True)
    assert "piano_f1" in judge.measures(True, pianos=True) and "piano_f1" not in judge.measures(True)
    assert "piano_f1" not in judges.Judge(Path("none"), False).measures(True, pianos=True)


@pytest.mark.skipif(find_spec("transkun") is None, reason="transkun is not installed")
def test_the_pianist_hears_a_struck_string():
    played = np.array([[0.5, 1.4, 60.0, 90.0]])
    since = np.maximum(TIME - 0.5, 0)
    partials = sum(np.sin(2 * np.pi * h * 261.6256 * since) / h**2 for h in range(1, 9))
    sound = np.where(TIME < 1.4, np.exp(-3 * since) * partials, 0.0)
    assert piano_f1(0.2 * np.stack([sound, sound]), played) == 1.0


class Listener:
    """Hears every note of a made-up excerpt, played by instrument 1."""

    steps = 7

    def notes(self, audio):
        return np.array([[0.5, 60.0, 1.0], [1.0, 62.0, 1.0]])


def test_a_new_measure_is_added_to_those_that_are_kept(tmp_path, monkeypatch):
    embedded = []
    monkeypatch.setattr(judges, "embed", lambda audio, _: embedded.append(1) or np.ones((3, 4)))
    noise = np.random.default_rng(6).normal(0, 0.1, (2, SAMPLE_RATE))
    notes = np.array([[0.5, 0.9, 60.0, 90.0, 1.0], [1.0, 1.4, 62.0, 90.0, 2.0]])
    asked = []

    def sound():
        asked.append(1)
        return judges.Sound(noise, 0.5 * noise, notes)

    file = tmp_path / "a.row.npz"
    before, _ = judges.Judge(Path("none"), False).heard(file, False, sound)
    assert before["stft_distance"] == pytest.approx(0, abs=1e-6) and before["level"] == pytest.approx(6.02, abs=0.01)
    after, embeddings = judges.Judge(Path("none"), False, Listener()).heard(file, False, sound)
    assert after.items() >= before.items() and after["note_instrument_f1"] == 0.5
    again, _ = judges.Judge(Path("none"), False, Listener()).heard(file, False, lambda: 1 / 0)
    assert again == after and embeddings.shape == (3, 4) and (len(embedded), len(asked)) == (1, 2)
    true, _ = judges.Judge(Path("none"), False).heard(tmp_path / "b.row.npz", True, sound)
    assert true == {}


@pytest.fixture(scope="module")
def corpus():
    from ripieno_training.render.scores import Corpus

    root = os.environ.get("RIPIENO_SYMBOLIC_ROOT")
    if root is None or not Path(root, "splits.csv").is_file():
        pytest.skip("the score sets are not here: set RIPIENO_SYMBOLIC_ROOT to their folder")
    return Corpus(Path(root), Path(root, "splits.csv"), "test")


def test_excerpts_are_whole_pieces_in_time_and_range(corpus):
    made = list(excerpts(corpus, 6, 8.0, 3))
    assert len({piece.work for piece in made}) == 6 and max(len(piece.parts) for piece in made) > 1
    for piece, again in zip(made, excerpts(corpus, 6, 8.0, 3), strict=True):
        assert piece.work == again.work
        performance = performances()["orchestra-hall"]
        for part, twin in zip(played(piece, performance, 1), played(again, performance, 1), strict=True):
            np.testing.assert_array_equal(part.notes, twin.notes)
            assert part.notes[:, 0].min() >= 0 and part.notes[:, 0].max() < 8.5
            assert part.notes[:, 2].min() >= part.player.instrument.lo
            assert part.notes[:, 2].max() <= part.player.instrument.hi


def test_the_map_of_performances_is_drawn(tmp_path):
    pytest.importorskip("sklearn")
    from ripieno_training.evaluation.picture import draw

    rng = np.random.default_rng(4)
    heard = {system: [Heard(name, cloud(rng, i, 5)) for i, name in enumerate("abcd")] for system in ("true", "ours")}
    draw(heard, tmp_path / "pictures" / "map.png")
    assert (tmp_path / "pictures" / "map.png").read_bytes()[:4] == b"\x89PNG"
