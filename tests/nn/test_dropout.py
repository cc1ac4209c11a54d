"""Dropout: what it keeps, how it scales, where its randomness comes from."""

from __future__ import annotations

import pytest

import distrt as torch
from distrt import nn


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_p_and_the_mean_is_kept(p: float, seed: int) -> None:
    torch.manual_seed(seed)
    count = 200_000
    dropped = nn.Dropout(p)(torch.ones(count))
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=6 * (p * (1 - p) / count) ** 0.5)
    assert set(dropped.tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}


def test_the_gradient_uses_the_mask_of_the_forward_pass() -> None:
    x = torch.ones(1000, requires_grad=True)
    out = nn.functional.dropout(x, 0.5)
    out.sum().backward()
    assert x.grad.tolist() == out.tolist()


def test_evaluation_and_p_0_return_the_input_itself() -> None:
    x = torch.ones(3)
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.functional.dropout(x, 0.0) is x
    assert nn.functional.dropout(x, 1.0).tolist() == [0.0, 0.0, 0.0]


def test_the_same_seed_gives_the_same_mask() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(nn.functional.dropout(torch.ones(64), 0.5).tolist())
    assert masks[0] == masks[1]
    assert nn.functional.dropout(torch.ones(64), 0.5).tolist() != masks[0]


def test_in_place_dropout_changes_its_input() -> None:
    x = torch.ones(1000)
    assert nn.Dropout(0.5, inplace=True)(x) is x
    assert 300 < (x == 0).double().sum().item() < 700


def test_half_precision_keeps_its_dtype() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert nn.functional.dropout(torch.ones(8, dtype=dtype), 0.5).dtype is dtype


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_outside_0_to_1_is_refused(p: float) -> None:
    for make in (nn.Dropout, lambda p: nn.functional.dropout(torch.ones(1), p)):
        with pytest.raises(ValueError, match="has to be between 0 and 1"):
            make(p)
