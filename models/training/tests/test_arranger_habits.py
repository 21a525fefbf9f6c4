"""What the parts of a piece have been playing."""

import numpy as np
import pytest

from ripieno_training.arranger.habits import PROPERTIES, so_far, throughout, with_habits


def notes(velocity: list[int], duration: list[int] | None = None) -> dict[str, np.ndarray]:
    count = len(velocity)
    return {
        "velocity": np.array(velocity),
        "position": np.arange(count) * 6 % 24,
        "duration": np.array(duration or [6] * count),
    }


def test_what_is_added_is_the_formula() -> None:
    logits = np.array([[0, 9, 0], [0, 0, 9], [0, 0.5, 0]], np.float32)
    out = so_far(logits, notes([90, 50, 90]), {"velocity": 0.5})
    np.testing.assert_allclose(out[0], logits[0], atol=1e-6)
    sure = 1 / (1 + np.exp(-9))
    # The second note's velocity is new: only the prior speaks, which adds nothing.
    np.testing.assert_allclose(out[1], logits[1], atol=1e-6)
    # What was counted first has faded at the second note.
    had = 0.999 * np.array([1e-3 + sure, 1e-3 + 1 - sure]) + np.array([1 - sure, sure])
    share, count = had / had.sum(), 0.999 * np.array([sure, 1 - sure])
    added = 0.5 * np.log((count + share) / ((count.sum() + 1) * share))
    np.testing.assert_allclose(out[2, 1:] - logits[2, 1:], added, atol=1e-5)


def test_of_a_whole_piece_a_note_is_like_others_and_not_like_itself() -> None:
    unsure = np.array([[0, 0, 0], [0, 0, 9], [0, 0, 0], [0, 9, 0]], np.float32)
    out = throughout(unsure, notes([64] * 4, [6, 48, 48, 6]), {"duration": 0.5})
    assert out[0, 1] > out[0, 2] + 0.2 and out[2, 2] > out[2, 1] + 0.2
    one = np.array([[0, 1, 3]], np.float32)
    np.testing.assert_allclose(throughout(one, notes([64]), {"duration": 1.0, "velocity": 1.0}), one, atol=1e-5)


def test_what_is_alike_everywhere_says_nothing() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (50, 4)).astype(np.float32)
    seen = notes([64] * 50)
    for counted in (so_far, throughout):
        added = (counted(logits, seen, {"velocity": 1.0}) - logits)[:, 1:]
        # But for the note itself, which a whole piece's counts leave out, it adds the same to every part.
        assert (added.max(-1) - added.min(-1))[10:].max() < 0.25


@pytest.mark.parametrize("whole", [False, True])
def test_a_run_gets_the_habits_of_each_piece_and_without_weights_none(whole: bool) -> None:
    def run(pieces: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
        return [np.eye(3, dtype=np.float32)[np.arange(len(piece["velocity"])) % 3] for piece in pieces]

    pieces = [notes([64, 70, 64]), notes([80, 80])]
    assert with_habits(run, {}, whole) is run
    counted = with_habits(run, {"velocity": 0.5}, whole)(pieces)
    by = throughout if whole else so_far
    for ours, alone, piece in zip(counted, run(pieces), pieces, strict=True):
        np.testing.assert_array_equal(ours, by(alone, piece, {"velocity": 0.5}))
    assert (counted[0] != run(pieces)[0]).any()


def test_every_value_has_its_place() -> None:
    durations, beat = np.arange(193), np.arange(193) % 24
    seen = {"velocity": np.arange(193) % 128, "position": beat, "duration": durations}
    for values, of in PROPERTIES.values():
        found = of(seen)
        assert found.min() >= 0 and found.max() < values
