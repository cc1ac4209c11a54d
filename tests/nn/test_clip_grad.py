"""Gradient clipping, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt


def _parameters(library: Any, rng: np.random.Generator, scale: float) -> list[Any]:
    made = []
    for shape in [(3, 4), (5,), ()]:
        array = np.asarray(rng.standard_normal(shape) * scale, np.float32)
        parameter = library.nn.Parameter(library.from_numpy(array.copy()))
        parameter.grad = library.from_numpy(array.copy())
        made.append(parameter)
    return [*made, library.nn.Parameter(library.ones(2))]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3, float("inf")])
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_clipping_by_norm_agrees_with_pytorch(torch: Any, seed: int, norm_type: float, scale: float) -> None:
    ours, theirs = (_parameters(library, np.random.default_rng(seed), scale) for library in (distrt, torch))
    norms = [
        library.nn.utils.clip_grad_norm_(iter(parameters), max_norm=1.0, norm_type=norm_type)
        for library, parameters in ((distrt, ours), (torch, theirs))
    ]
    np.testing.assert_allclose(norms[0].item(), norms[1].item(), rtol=1e-5)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-5)
    assert ours[3].grad is None


def test_clipping_by_value_agrees_with_pytorch(torch: Any, seed: int) -> None:
    ours, theirs = (_parameters(library, np.random.default_rng(seed), 5.0) for library in (distrt, torch))
    distrt.nn.utils.clip_grad_value_(ours, clip_value=0.5)
    torch.nn.utils.clip_grad_value_(theirs, clip_value=0.5)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_array_equal(mine.grad.numpy(), other.grad.numpy())


def test_a_norm_that_is_not_finite_is_an_error_when_asked_for() -> None:
    parameter = distrt.nn.Parameter(distrt.ones(2))
    parameter.grad = distrt.tensor([1.0, float("nan")])
    with pytest.raises(RuntimeError, match="non-finite"):
        distrt.nn.utils.clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)
    assert parameter.grad[0] == 1


def test_a_single_tensor_and_no_gradient_at_all() -> None:
    parameter = distrt.nn.Parameter(distrt.ones(2))
    assert distrt.nn.utils.clip_grad_norm_(parameter, 1.0) == 0
    parameter.grad = distrt.tensor([3.0, 4.0])
    assert distrt.nn.utils.clip_grad_norm_(parameter, 1.0) == 5
    np.testing.assert_allclose(parameter.grad.norm().item(), 1.0, rtol=1e-5)
