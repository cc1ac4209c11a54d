"""Gradient clipping, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel
from tests.nn.both import Tell, assert_same_run


def _parameters(library: Any, rng: np.random.Generator, scale: float) -> list[Any]:
    made = []
    for shape in [(3, 4), (5,), ()]:
        array = np.asarray(rng.standard_normal(shape) * scale, np.float32)
        parameter = library.nn.Parameter(library.from_numpy(array.copy()))
        parameter.grad = library.from_numpy(array.copy())
        made.append(parameter)
    return [*made, library.nn.Parameter(library.ones(2))]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3, 0.5, 0, -1, float("inf"), float("-inf"), "inf"])
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


def _details(t: Any, tell: Tell) -> None:
    utils = t.nn.utils

    def with_gradient(*values: float, dtype: str = "float32") -> Any:
        parameter = t.nn.Parameter(t.ones(len(values), dtype=getattr(t, dtype)))
        parameter.grad = t.tensor(values, dtype=parameter.dtype)
        return parameter

    tell(
        utils.get_total_norm([t.ones(2), t.ones(3) * 2]),
        utils.get_total_norm([]),
        utils.get_total_norm(t.ones(4)),
    )
    tell(utils.get_total_norm([t.ones(2)], 1.0, False, None), utils.get_total_norm([t.ones(2)], norm_type=1))
    for foreach in (None, False, True):
        parameter = with_gradient(3.0, 4.0)
        memory = parameter.grad.data_ptr()
        tell(utils.clip_grad_norm_([parameter], 1.0, foreach=foreach), parameter.grad)
        assert parameter.grad.data_ptr() == memory
        utils.clip_grads_with_norm_(parameter, 0.5, t.tensor(2.0), foreach=foreach)
        tell(parameter.grad)
        utils.clip_grad_value_([parameter], clip_value=0.1, foreach=foreach)
        tell(parameter.grad)
    mixed = [with_gradient(3.0), with_gradient(4.0, dtype="float16"), with_gradient(12.0, dtype="float64")]
    tell(utils.clip_grad_norm_(mixed, 2), *[each.grad for each in mixed])
    wild = with_gradient(1.0, float("inf"))
    tell.error(lambda: utils.clip_grad_norm_(wild, 1.0, norm_type=3, error_if_nonfinite=True))
    tell(wild.grad)
    tell(utils.clip_grad_norm_(wild, 1.0), wild.grad)
    tell.warning(lambda: tell(utils.clip_grad_norm_((each for each in []), 1.0)))
    tell.warning(lambda: tell(utils.clip_grad_norm_([], 1.0)))
    tell.warning(lambda: tell(utils.clip_grad_norm(with_gradient(3.0, 4.0), 1.0, 2)))
    unused = t.nn.Parameter(t.ones(2))
    tell(utils.clip_grad_norm_(iter([unused, with_gradient(6.0, 8.0)]), max_norm=1.0), unused.grad)


def test_details_are_pytorchs(torch: Any) -> None:
    assert_same_run(torch, _details)


def test_gradients_in_buckets_are_clipped_where_they_lie() -> None:
    def run(group: Any) -> tuple[bool, float, float]:
        model = DistributedDataParallel(distrt.nn.Linear(3, 2), process_group=group)
        model(distrt.full((2, 3), 10.0 * (group.rank() + 1))).sum().backward()
        before = distrt.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        buffers = [bucket.buffer for bucket in model.reducer.buckets]
        stays = all(any(np.shares_memory(p.grad.numpy(), b) for b in buffers) for p in model.parameters())
        return (
            stays,
            before.item(),
            distrt.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item(),
        )

    expected = (6 * 30.0**2 + 2 * 2.0**2) ** 0.5
    for stays, before, after in run_local(run, 2):
        assert stays and before == pytest.approx(expected) and after == pytest.approx(1)
