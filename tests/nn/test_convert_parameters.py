"""Parameters as one vector and back, and modules without initial values, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from distrt.nn.utils import skip_init
from tests.nn.both import Tell, assert_same_run, numbered


def _there_and_back(t: Any, tell: Tell) -> None:
    model = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.Linear(3, 1)).double()
    utils = t.nn.utils
    row = numbered(t, 13)
    utils.vector_to_parameters(row, model.parameters())
    tell(*model.parameters())
    row[0] = 7.5
    tell(model[0].weight, model[0].weight.requires_grad, model[0].weight.is_leaf)
    vector = utils.parameters_to_vector(model.parameters())
    tell(vector)
    (vector**2).sum().backward()
    tell(*[each.grad for each in model.parameters()])
    tell(utils.parameters_to_vector([t.ones(2, 2), t.ones(3, dtype=t.float64)]))
    utils.vector_to_parameters(numbered(t, 20), [model[0].bias, model[1].weight])
    tell(model[0].bias, model[1].weight)
    model(numbered(t, 4, 2)).sum().backward()
    tell.error(lambda: utils.vector_to_parameters([1.0], model.parameters()))
    tell.error(lambda: utils.vector_to_parameters(t.ones(3), model.parameters()))


def _skipping(t: Any, tell: Tell) -> None:
    skip_init = t.nn.utils.skip_init
    for made in (
        skip_init(t.nn.Linear, 5, 2),
        skip_init(t.nn.Conv2d, 3, 4, kernel_size=3, dtype=t.float64, device="cpu"),
        skip_init(t.nn.Embedding, num_embeddings=3, embedding_dim=2),
    ):
        tell(repr(made), list(made.state_dict()), [(str(p.dtype), tuple(p.shape)) for p in made.parameters()])
        tell([each.requires_grad for each in made.parameters()])
    tell.error(lambda: skip_init(t.nn.ReLU))
    tell.error(lambda: skip_init(dict))


@pytest.mark.parametrize("run", [_there_and_back, _skipping])
def test_they_are_pytorchs(run: Any, torch: Any) -> None:
    assert_same_run(torch, run)


def test_skipping_draws_nothing_and_ends_with_the_call() -> None:
    state = distrt.get_rng_state()
    skip_init(distrt.nn.Linear, 30, 20)
    with pytest.raises(TypeError):
        skip_init(distrt.nn.Linear, 30)
    assert distrt.equal(state, distrt.get_rng_state())
    assert distrt.nn.Linear(30, 20).weight.std() > 0.05
    assert not distrt.equal(state, distrt.get_rng_state())
