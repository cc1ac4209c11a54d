"""Recurrent layers beyond the table of layers: dropout, attributes, dtypes, copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import distrt
from distrt import nn
from tests.oracle.compare import assert_same


def test_dropout_of_one_layer_warns() -> None:
    with pytest.warns(UserWarning, match="got dropout=0.5 and num_layers=1") as caught:
        nn.LSTM(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


def test_dropout_acts_between_layers_in_training() -> None:
    lstm = nn.LSTM(3, 4, 2, dropout=1.0)
    alone = nn.LSTM(4, 4)
    alone.load_state_dict(
        {name.replace("l1", "l0"): value for name, value in lstm.state_dict().items() if "l1" in name}
    )
    x = distrt.randn(5, 2, 3)
    distrt.testing.assert_close(lstm(x)[0], alone(distrt.zeros(5, 2, 4))[0])
    assert lstm(x)[1][0][0].any()  # the first layer's own states are not dropped
    lstm.eval()
    assert not distrt.allclose(lstm(x)[0], alone(distrt.zeros(5, 2, 4))[0])


def test_dropout_follows_the_seed() -> None:
    gru, x = nn.GRU(3, 50, 2, dropout=0.5), distrt.randn(5, 2, 3)
    draws = []
    for seed in (1, 1, 2):
        distrt.manual_seed(seed)
        draws.append(gru(x)[0])
    assert distrt.equal(draws[0], draws[1]) and not distrt.equal(draws[0], draws[2])


@pytest.mark.parametrize("text", ["nn.LSTM(3, 100)", "nn.GRUCell(3, 100)"])
def test_new_parameters_are_uniform_within_the_root_of_the_hidden_size(text: str) -> None:
    for value in eval(text).parameters():
        assert value.abs().max().item() == pytest.approx(0.1, rel=0.05) and abs(value.mean().item()) < 0.02
        assert value.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.2)


def test_what_a_layer_tells_about_its_weights() -> None:
    lstm = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    names = [[f"{kind}_l{layer}{side}" for kind in kinds] for layer in (0, 1) for side in ("", "_reverse")]
    assert lstm._all_weights == names and lstm._flat_weights_names == [each for row in names for each in row]
    assert [each.shape for each in lstm.all_weights[1]] == [(16, 3), (16, 2), (16,), (16,), (2, 4)]
    assert all(a is b for a, b in zip(lstm._flat_weights, lstm.parameters(), strict=True))
    lstm.flatten_parameters()
    lstm.weight_ih_l0 = nn.Parameter(distrt.zeros(16, 3))
    assert lstm._flat_weights[0] is lstm.weight_ih_l0 and not lstm.all_weights[0][0].any()
    lstm._flat_weights = list(lstm._flat_weights)
    assert lstm.mode == "LSTM" and nn.RNN(2, 3, nonlinearity="relu").mode == "RNN_RELU"
    assert nn.RNN(2, 3).nonlinearity == "tanh" and isinstance(nn.GRU(2, 3, dropout=0).dropout, float)


def test_copies_are_independent_and_equal() -> None:
    gru, x = nn.GRU(3, 4), distrt.randn(2, 1, 3)
    for other in (copy.deepcopy(gru), pickle.loads(pickle.dumps(gru))):
        assert distrt.equal(other(x)[0], gru(x)[0])
        with distrt.no_grad():
            other.weight_hh_l0.fill_(1)
        assert other._flat_weights[1] is other.weight_hh_l0 and not distrt.equal(other(x)[0], gru(x)[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("text", ["nn.LSTM(3, 4, 2)", "nn.GRU(3, 4)", "nn.LSTMCell(3, 4)"])
def test_half_precision(text: str, dtype: str, torch: Any, rng: np.random.Generator) -> None:
    """Against PyTorch in float32, on the same rounded numbers: this one rounds at the end only."""
    kind = getattr(distrt, dtype)
    ours, theirs = eval(text).to(kind), eval(text, {"nn": torch.nn})
    theirs.load_state_dict({k: torch.tensor(v.float().numpy()) for k, v in ours.state_dict().items()})
    data = distrt.tensor(rng.standard_normal((3, 2, 3) if "Cell" not in text else (2, 3))).to(kind)
    x, y = data.detach().requires_grad_(), torch.tensor(data.float().numpy(), requires_grad=True)
    (mine, *_), (expected, *_) = ours(x), theirs(y)
    assert mine.dtype == kind
    assert_same(mine, expected.to(getattr(torch, dtype)), "output")
    found = distrt.autograd.grad(mine.sum(), [x, *ours.parameters()], create_graph=True)
    for one, other in zip(found, torch.autograd.grad(expected.sum(), [y, *theirs.parameters()]), strict=True):
        assert_same(one, other.to(getattr(torch, dtype)), "gradient", 4)


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    lstm, x = nn.LSTM(3, 4), distrt.randn(5, 2, 3)
    lstm.requires_grad_(False)
    assert not lstm(x)[0].requires_grad
    h = distrt.zeros(1, 2, 4, requires_grad=True)
    _, (_, c) = lstm(x, (h, distrt.zeros(1, 2, 4)))
    c.sum().backward()
    assert h.grad is not None and h.grad.any() and x.grad is None and lstm.weight_ih_l0.grad is None
    lstm.weight_hh_l0.requires_grad_()
    lstm(x)[0].sum().backward()
    assert lstm.weight_hh_l0.grad.shape == (16, 4) and lstm.bias_hh_l0.grad is None


def test_the_graph_can_be_kept_and_run_again() -> None:
    gru, x = nn.GRU(3, 4), distrt.randn(5, 2, 3, requires_grad=True)
    total = gru(x)[0].sum()
    first = distrt.autograd.grad(total, [x, *gru.parameters()], retain_graph=True)
    again = distrt.autograd.grad(total, [x, *gru.parameters()])
    assert all(distrt.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        total.backward()


def test_long_sequences_do_not_overflow() -> None:
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        layer, x = kind(1, 2), distrt.full((50, 1, 1), 1e4, requires_grad=True)
        layer(x)[0].sum().backward()
        assert bool(x.grad.isfinite().all())
