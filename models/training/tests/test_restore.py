"""Checkpoints come back from the files that ship."""

import numpy as np
import pytest
import torch

from ripieno_training import restore
from ripieno_training.manifest import MANIFEST
from ripieno_training.train.checkpoint import network
from ripieno_training.train.run import optimiser_of
from ripieno_training.vocabulary import current


@pytest.mark.parametrize("name", restore.NAMES)
def test_a_shipped_network_is_a_checkpoint_again(name):
    # `restored` itself holds the network to the file; here: that training can go on from what it gives.
    state = restore.restored(name, MANIFEST.parent)
    model = network(state["config"], current())
    model.load_state_dict(state["average"])
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    optimiser_of(model, state["config"]).load_state_dict(state["optimiser"])
    assert state["step"] > 0 and state["seconds"] > 0
    assert ("ceiling" in state["kept"]) == (name == "prior") and ("residual_std" in state["kept"]) == (
        name == "denoiser"
    )


def test_a_weight_is_found_by_what_it_is_and_turned_back():
    fresh = [np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 6.0], [5.0, 7.0]])]
    theirs = [np.array([[10.0, 20.0, 30.0]]), np.array([[40.0, 60.0], [50.0, 70.0]])]
    assert restore.found(fresh, theirs, np.array([[1.0], [2.0], [3.0]])).tolist() == [[10.0], [20.0], [30.0]]
    assert restore.found(fresh, theirs, np.array([[4.0, 5.0], [6.0, 7.0]])).tolist() == [[40.0, 50.0], [60.0, 70.0]]
    with pytest.raises(SystemExit, match="not where it should be"):
        restore.found(fresh, theirs, np.array([[1.0, 2.0]]))
