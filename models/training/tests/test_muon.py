"""Muon beside PyTorch's."""

import pytest

torch = pytest.importorskip("torch")

from ripieno_training.muon import Muon, orthogonal  # noqa: E402


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
    assert 0.6 < values.min() and values.max() < 1.3


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_steps_are_those_of_pytorch_s_but_for_its_precision(shape):
    torch.manual_seed(1)
    ours = torch.nn.Parameter(torch.randn(*shape))
    theirs = torch.nn.Parameter(ours.detach().clone())
    both = Muon([ours], lr=0.02, weight_decay=0.1), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1)
    for _ in range(6):
        ours.grad = torch.randn(*shape)
        theirs.grad = ours.grad.clone()
        for one in both:
            one.step()
    moved = (ours - theirs).abs().max()
    assert moved < 0.002, moved
