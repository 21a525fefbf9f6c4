"""How the arranger's music is read, divided, and shown to a network. No test needs the collections."""

import numpy as np
import pytest
import symusic

from ripieno_training.arranger import corpus, data, splits
from ripieno_training.arranger.context import SCALE, neighbours
from ripieno_training.arranger.corpus import TOUCHES, ends_of, with_context
from ripieno_training.arranger.fixtures import PIECES, hymn
from ripieno_training.arranger.kinds import KINDS, Piece, Unfit, quartet_part, read_piece
from ripieno_training.arranger.training import recipe

Track = tuple[str, int, list[tuple[int, int, int]]]
"""name, program, notes of onset, duration, pitch"""


def run_of(count: int, pitch: int = 60, step: int = 480) -> list[tuple[int, int, int]]:
    return [(i * step, step, pitch + i % 7) for i in range(count)]


def write(file, tracks: list[Track], ticks: int = 480):
    score = symusic.Score(ticks)
    for name, program, notes in tracks:
        track = symusic.Track(name, program, False)
        for note in notes:
            track.notes.append(symusic.Note(*note, 64))
        score.tracks.append(track)
    file.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(file)
    return file


def config(**changes) -> dict:
    return recipe("quartet", "online", [], {"crop": 90, "batch": 3} | changes)


def test_a_file_becomes_notes_in_the_papers_order(tmp_path):
    tracks = [("Soprano", 73, run_of(12, 72)), ("Bass", 71, [(480 * i, 960, 48) for i in range(12)])]
    piece = read_piece(write(tmp_path / "x.mid", tracks), KINDS["chorale"])
    assert piece.time.tolist()[:4] == [0, 0, 24, 24] and piece.pitch.tolist()[:4] == [48, 72, 48, 73]
    assert piece.part.tolist()[:2] == [3, 0] and piece.end.tolist()[:2] == [48, 24]


def test_a_chorale_with_a_track_of_another_name_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="Kazoo"):
        read_piece(write(tmp_path / "x.mid", [("Kazoo", 0, run_of(20))]), KINDS["chorale"])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Violin 1", 0), ("1st Violin", 0), ("Violino I.", 0), ("Violin1 Pizz", 0), ("Violin 2 arco", 1),
        ("Violino II", 1), ("2nd Violin", 1), ("Viola.", 2), ("Violoncello", 3), ("Violincello", 3), ("Cello pizz", 3),
        ("Tempo", None),
    ],
)  # fmt: skip
def test_the_name_of_a_quartets_track_is_its_part(name, part):
    assert quartet_part(name) == part


def test_a_quartet_without_names_goes_by_program_and_order(tmp_path):
    programs = (40, 40, 41, 42, 45)
    tracks = [("", program, run_of(12, 80 - 8 * i)) for i, program in enumerate(programs)]
    piece = read_piece(write(tmp_path / "x.mid", tracks), KINDS["quartet"])
    assert [np.unique(piece.part[(piece.pitch >= 80 - 8 * i) & (piece.pitch < 87 - 8 * i)]) for i in range(5)] == [
        [0], [1], [2], [3], [3],
    ]  # fmt: skip


def test_game_music_has_no_noise_and_a_hundred_ticks_a_second(tmp_path):
    second = run_of(12, 60, 44100)
    tracks = [("p1", 80, second), ("tr", 38, second), ("no", 121, second)]
    piece = read_piece(write(tmp_path / "x.mid", tracks, 22050), KINDS["game"])
    assert set(piece.part) == {0, 2} and piece.time.tolist()[:4] == [0, 0, 100, 100]


def test_a_part_of_a_pop_file_is_the_busiest_track_of_its_family(tmp_path):
    tracks = [
        ("a", 0, run_of(30, 60)), ("b", 4, run_of(12, 90)), ("c", 33, run_of(12, 30)), ("d", 49, run_of(12, 100)),
        ("flute", 73, run_of(40, 110)),
    ]  # fmt: skip
    piece = read_piece(write(tmp_path / "x.mid", tracks), KINDS["pop"])
    assert np.bincount(piece.part, minlength=5).tolist() == [30, 0, 12, 12, 0]
    assert piece.pitch[piece.part == 0].max() < 70


def test_a_duet_is_no_band(tmp_path):
    with pytest.raises(Unfit, match="less than a band"):
        read_piece(write(tmp_path / "x.mid", [("a", 0, run_of(30)), ("b", 33, run_of(30))]), KINDS["pop"])


def test_a_note_that_a_part_has_twice_counts_once(tmp_path):
    tracks = [("p1", 80, run_of(12) * 2), ("p2", 81, run_of(12))]
    assert len(read_piece(write(tmp_path / "x.mid", tracks, 22050), KINDS["game"])) == 24


def melody(seed: int, name: str = "", key: int = 0, slower: int = 1) -> Piece:
    rng = np.random.default_rng(seed)
    pitch = 60 + rng.integers(0, 20, 400) + key
    time = np.arange(400) * 6 * slower
    return Piece(name, time, pitch, rng.integers(0, 3, 400), time + 6, rng.integers(1, 128, 400))


def test_the_same_music_in_another_key_and_tempo_is_the_same_piece():
    pieces = [melody(1), melody(2), melody(1, key=5, slower=3), melody(3)]
    assert splits.same_piece(pieces) == [0, 1, 0, 3]


def test_half_of_a_piece_is_that_piece():
    whole = melody(1)
    half = Piece("half", *(x[150:350] for x in (whole.time, whole.pitch, whole.part, whole.end, whole.velocity)))
    assert splits.same_piece([melody(2), whole, half]) == [0, 1, 1]


def test_no_piece_is_in_two_splits():
    names = [f"webmidi/{i:02}.mid" for i in range(40)]
    pieces = [melody(i % 20, key=i // 20) for i in range(40)]
    split = splits.divide(KINDS["pop"], names, pieces)
    for i in range(20):
        assert len({split[names[i]], split[names[i + 20]]} - {splits.LEFT_OUT}) == 1
    assert {"train", "valid", "test"} <= set(split.values())


def test_a_works_movements_stay_together():
    movements = [f"musicnet/Beethoven/23{i}_qt1{i // 3}_{i % 3 + 1}.mid" for i in range(9)]
    split = splits.divide(KINDS["quartet"], movements, [melody(i) for i in range(9)])
    for i in range(3):
        assert len({split[name] for name in movements[3 * i : 3 * i + 3]}) == 1


def test_games_keep_their_own_split_but_for_pieces_of_two():
    names = [f"nesmdb_midi/{folder}/{i}.mid" for i, folder in enumerate(("train", "valid", "test", "train"))]
    split = splits.divide(KINDS["game"], names, [melody(1), melody(2), melody(1, key=2), melody(3)])
    assert list(split.values()) == ["left_out", "valid", "test", "train"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_split_that_is_kept_has_test_and_validation_pieces(kind):
    listed = list(splits.read(KINDS[kind]).values())
    if kind != "game":
        assert {"valid", "test"} <= set(listed)
    assert set(listed) <= {*splits.SPLITS, splits.LEFT_OUT}


def test_a_corpus_is_the_same_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "read", lambda kind: {"nesmdb_midi/test/b.mid": "test"})
    for folder, name, pitch in (("train", "a", 60), ("test", "b", 50)):
        tracks = [("p1", 80, run_of(12, pitch)), ("p2", 81, run_of(12, pitch - 9))]
        write(tmp_path / "nes" / "nesmdb_midi" / folder / f"{name}.mid", tracks, 22050)
    first = corpus.load(KINDS["game"], tmp_path, tmp_path / "cache")
    second = corpus.load(KINDS["game"], tmp_path / "nowhere", tmp_path / "cache")
    assert first.split == second.split == ["test", "train"]
    for a, b, x, y in zip(first.pieces, second.pieces, first.near, second.near, strict=True):
        assert a.name == b.name and (a.pitch == b.pitch).all() and (a.end == b.end).all() and (x == y).all()


def test_ids_are_shifted_split_and_clipped():
    ids = data.ids(np.array([0, 25, 24 * 5000]), np.array([0, 60, 127]), np.array([0, 3, 1]))
    assert ids["pitch"].tolist() == [1, 61, 128]
    assert ids["beat"].tolist() == [0, 1, 4096]
    assert ids["position"].tolist() == [0, 1, 0]
    assert ids["label"].tolist() == [1, 4, 2]


def test_entry_hints_of_a_part_are_that_parts():
    part = np.array([2, 0, 2, 1, 0])
    assert data.entries(part, 4).T.tolist() == [
        [-1, 0, 1, 1, 1],
        [-1, -1, -1, 0, 1],
        [0, 1, 1, 1, 1],
        [-1, -1, -1, -1, -1],
    ]


def test_pitch_hints_of_a_part_are_that_parts():
    pitch, part = np.array([40, 60, 43, 72, 62]), np.array([2, 0, 2, 1, 0])
    assert data.mean_pitches(pitch, part, 4).tolist() == [62, 73, 43, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_hints_of_a_crop_move_with_its_transposition_and_belong_to_its_parts(kind):
    parts = len(KINDS[kind].parts)
    music = with_context(KINDS[kind], [PIECES[kind]()], ["train"])
    whole = config(crop=len(music.pieces[0]), from_the_middle=0, entry_given=1, hint_given=1, hint_inexact=0)
    crops = data.Crops(music, whole | {"hint_partial": 0, "human": 0, "off_the_grid": 0}, seed=3)
    for _ in range(8):
        crop = crops.crop()
        own = data.mean_pitches(crop["pitch"] - 1, crop["label"] - 1, parts)
        assert (crop["hint"] == own).all()
        assert (crop["entry"] == data.entries(crop["label"] - 1, parts)).all() and crop["entry_known"] == 1


def test_each_piece_of_a_crop_enters_anew():
    music = with_context(KINDS["chorale"], [hymn()], ["train"])
    size = len(hymn())
    crop = data.Crops(music, config(crop=2 * size, from_the_middle=0, entry_given=1), seed=0).crop()
    np.testing.assert_array_equal(crop["entry"][:size], crop["entry"][size:])


def test_hints_that_are_not_given_are_zero():
    music = with_context(KINDS["chorale"], [hymn()], ["train"])
    crop = data.Crops(music, config(entry_given=0, hint_given=0), seed=0).crop()
    assert not crop["entry"].any() and not crop["entry_known"].any() and not crop["hint"].any()


def test_crops_are_full_in_order_and_repeatable():
    music = with_context(KINDS["chorale"], [hymn()] * 3, ["train"] * 3)
    first, second = (data.Crops(music, config(human=0.2, off_the_grid=0.2), seed=4) for _ in range(2))
    for _ in range(10):
        a, b = first.batch(), second.batch()
        assert a["pitch"].shape == (3, 90) and (a["label"] > 0).all() and (a["pitch"] > 0).all()
        assert (np.diff(a["beat"] * 24 + a["position"], axis=1) >= 0).all()
        assert all((a[name] == b[name]).all() for name in a)


def test_a_crops_context_is_the_pieces_own():
    piece = hymn()
    music = with_context(KINDS["chorale"], [piece], ["train"])
    plain = config(crop=len(piece), from_the_middle=0, human=0, off_the_grid=0, touches=[1, 0, 0])
    crop = data.Crops(music, plain, seed=0).crop()
    np.testing.assert_allclose(crop["context"][:, :11], neighbours(piece.time, piece.pitch, piece.end) / SCALE)


@pytest.mark.parametrize("touch", range(3))
def test_a_crop_without_some_parts_is_that_of_a_piece_that_never_had_them(touch):
    kind, piece = KINDS["quartet"], PIECES["quartet"]()
    music = with_context(kind, [piece], ["train"])
    whole = config(crop=len(piece) // 3, from_the_middle=0, entry_given=1, hint_given=1, parts_left_out=1)
    whole |= dict.fromkeys(("human", "off_the_grid", "hint_inexact", "hint_partial"), 0)
    whole["touches"] = [float(i == touch) for i in range(3)]
    crops = data.Crops(music, whole, seed=5)
    silent = set()
    for _ in range(20):
        crop = crops.crop()
        left = sorted(set(crop["label"] - 1))
        assert 2 <= len(left) < len(kind.parts)
        silent |= set(range(len(kind.parts))) - set(left)
        rows = np.flatnonzero(np.isin(piece.part, left))[: len(crop["label"])]
        time, end = piece.time[rows], ends_of(piece.time[rows], piece.end[rows], TOUCHES[touch])
        np.testing.assert_array_equal(crop["label"] - 1, piece.part[rows])
        np.testing.assert_allclose(crop["context"][:, :11], neighbours(time, piece.pitch[rows], end) / SCALE)
        assert set(np.flatnonzero(crop["hint"][0])) == set(left)
        assert (crop["entry"][-1] >= 0).nonzero()[0].tolist() == left
    assert silent == set(range(len(kind.parts)))


def test_human_time_keeps_chords_together_and_in_order():
    piece = hymn()
    moved = data.human_time(piece.time, 3.0, np.random.default_rng(0))
    assert (np.diff(moved) >= 0).all() and (moved != piece.time).any()
    assert len(set(moved[piece.time == 48])) == 1


def test_what_entry_hints_say_of_a_piece_is_the_same_in_a_crop_and_from_the_hints_themselves():
    music = with_context(KINDS["quartet"], [PIECES["quartet"]()], ["train"])
    whole = config(crop=len(music.pieces[0]), from_the_middle=0, entry_given=1, human=0, off_the_grid=0)
    crop = data.Crops(music, whole, seed=3).crop()
    for name, values in (("first", crop["pitch"]), ("first_velocity", crop["velocity"] + 1)):
        begins = ((crop["entry"] == 0) * values[:, None]).sum(0)
        assert (crop[name] == begins).all() and (begins > 0).all()


def test_the_velocities_of_one_player_say_nothing_of_parts():
    piece, rng = PIECES["pop"](), np.random.default_rng(0)
    means = []
    for _ in range(200):
        velocity = data.touched(piece.velocity, piece.time, piece.pitch, rng)
        assert velocity.min() >= 1 and velocity.max() <= 127 and len(velocity) == len(piece)
        inner = np.r_[piece.time[1:] == piece.time[:-1], False]
        means.append([velocity[inner & (piece.part == part)].mean() for part in (0, 2)])
    piano, bass = np.mean(means, axis=0)
    assert abs(piano - bass) < 2 and abs(piece.velocity[piece.part == 0][0] - piece.velocity[piece.part == 2][0]) > 20
