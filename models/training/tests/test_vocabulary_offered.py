"""What is offered to a musician is what the shipped models were trained with."""

import tomllib

import onnx
import pytest

from ripieno_training.manifest import PERFORMANCES, write_trained

PERFORMANCE, INSTRUMENT = "players.performance.weight", "players.instrument.weight"
CARDS = tomllib.loads(PERFORMANCES.read_text())


@pytest.mark.parametrize("name", ["prior", "denoiser"])
def test_the_shipped_models_know_what_is_offered(name):
    graph = onnx.load(str(PERFORMANCES.with_name(f"{name}.onnx"))).graph
    tables = {weight.name: list(weight.dims) for weight in graph.initializer if len(weight.dims) == 2}
    [performances] = [dims[0] for key, dims in tables.items() if key.removesuffix("_fp16").endswith(PERFORMANCE)]
    [instruments] = [dims[0] for key, dims in tables.items() if key.removesuffix("_fp16").endswith(INSTRUMENT)]
    # The last performance is the null one.
    assert CARDS["trained"] == {"performances": performances - 1, "instruments": instruments}


def test_the_exporter_says_how_many_are_known(tmp_path):
    file = tmp_path / "performances.toml"
    file.write_text(PERFORMANCES.read_text())
    write_trained(3, 5, file)
    cards = tomllib.loads(file.read_text())
    assert cards["trained"] == {"performances": 3, "instruments": 5}
    assert {**cards, "trained": None} == {**CARDS, "trained": None}
    file.write_text(file.read_text().replace("[trained]", "[known]"))
    with pytest.raises(ValueError, match="trained"):
        write_trained(3, 5, file)
