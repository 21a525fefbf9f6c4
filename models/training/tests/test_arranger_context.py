"""The twelve numbers of a note's surroundings, against their definition written out once more, slowly."""

import json
import math

import numpy as np
import pytest

from ripieno_training.arranger.context import WIDTH, context, write_golden
from ripieno_training.manifest import MANIFEST

GOLDEN = MANIFEST.parents[1] / "tests" / "golden" / "arranger_context.json"


def by_definition(time: list[int], pitch: list[int], end: list[int], note: int) -> list[float]:
    chord = sorted(p for p, t in zip(pitch, time, strict=True) if t == time[note])
    held = {p for p, t, e in zip(pitch, time, end, strict=True) if t < time[note] < e}
    key, n = pitch[note], len(chord)
    i = note - time.index(time[note])
    every = set(chord) | held
    below, above = [p for p in held if p < key], [p for p in held if p > key]
    earlier = [t for t in time if t < time[note]]
    return [
        min(i, 8) / 8, min(n - 1 - i, 8) / 8, min(n, 8) / 8,
        min(key - chord[i - 1], 24) / 24 if i else 1, min(chord[i + 1] - key, 24) / 24 if i + 1 < n else 1,
        min(key - min(every), 48) / 48, min(max(every) - key, 48) / 48,
        min(len(below), 8) / 8, min(len(above), 8) / 8,
        min(key - max(below), 24) / 24 if below else 1, min(min(above) - key, 24) / 24 if above else 1,
        min(math.log(1 + time[note] - max(earlier)) / math.log(385), 1) if earlier else 1,
    ]  # fmt: skip


def cases() -> list[dict]:
    return json.loads(GOLDEN.read_text())["cases"]


@pytest.mark.parametrize("case", cases(), ids=range(len(cases())))
def test_every_number_is_its_definition(case):
    expected = [by_definition(case["time"], case["pitch"], case["end"], i) for i in range(len(case["time"]))]
    ours = context(*(np.array(case[name]) for name in ("time", "pitch", "end")))
    assert ours.shape == (len(expected), WIDTH) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(case["context"], expected, atol=1e-6)


def test_transposition_changes_nothing():
    case = cases()[1]
    time, pitch, end = (np.array(case[name]) for name in ("time", "pitch", "end"))
    np.testing.assert_array_equal(context(time, pitch, end), context(time, pitch + 5, end))


def test_the_golden_file_is_what_the_command_writes(tmp_path):
    write_golden(tmp_path / "context.json")
    assert json.loads((tmp_path / "context.json").read_text()) == json.loads(GOLDEN.read_text())
