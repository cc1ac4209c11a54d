"""Views and in-place changes: who shares memory and history with whom, and what a change costs those who do not."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import distrt as torch


def test_a_change_reaches_views_that_were_taken_before() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    view = y[1:]
    y.mul_(5)
    assert view.grad_fn.name() == "AsStridedBackward0"
    view.sum().backward()
    assert x.grad.tolist() == [0.0, 10.0, 10.0]


def test_a_change_through_a_view_reaches_the_base() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y[1:].mul_(5)
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 10.0, 10.0]


def test_a_constant_gets_a_history_by_a_change() -> None:
    x = torch.ones(2, requires_grad=True)
    total = torch.zeros(2)
    rows = total.view(1, 2)
    rows.add_(x)
    assert total.requires_grad
    (total * total).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_values_that_were_used_before_keep_their_history() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    before = y + 1
    y.mul_(10)
    (before.sum() + y.sum()).backward()
    assert x.grad.tolist() == [22.0, 22.0]


def test_hooks_stay_with_the_old_values_and_retain_grad_moves_on() -> None:
    seen: list[Any] = []
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.retain_grad()
    y.mul_(10)
    assert y.retains_grad
    y.sum().backward()
    assert seen == [[10.0, 10.0]]
    assert y.grad.tolist() == [1.0, 1.0]


def test_what_was_broadcast_can_be_written_where_nothing_repeats() -> None:
    x = torch.ones(2, 1)
    x.expand(2, 1).add_(1)
    x.unsqueeze(0).expand(3, 2, 1)[0].mul_(2)
    assert x.tolist() == [[4.0], [4.0]]
    x.expand(2, 3).zero_()
    assert x.tolist() == [[0.0], [0.0]]
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        x.expand(2, 3).add_(1)


def test_views_that_came_together_cannot_be_changed() -> None:
    x = torch.ones(4, requires_grad=True)
    for make in (lambda y: y.split(2), lambda y: y.chunk(2), lambda y: y.unbind(0), tuple):
        with pytest.raises(RuntimeError, match="the output of a function that returns multiple views"):
            make(x * 1)[0].add_(1)
        make(x.detach())[0].add_(0)
    y = x * 1
    first, _ = y.split(2)
    y.add_(1)
    with pytest.raises(RuntimeError, match="its base or another view of its base has been modified"):
        first.sum().backward()


def test_real_parts_of_a_complex_tensor_are_views() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    z = torch.complex(x, x) * 1
    real = z.real
    z.imag.mul_(3)
    real.mul_(2)
    assert z.tolist() == [2 + 3j, 4 + 6j]
    (z.real + z.imag * 10).sum().backward()
    assert x.grad.tolist() == [32.0, 32.0]


def test_views_of_views_share_one_counter() -> None:
    x = torch.zeros(2, 2)
    row = x[0]
    row[0].add_(1)
    assert x._version == row._version == 1
    assert x.data._version == 0
    x.data.add_(1)
    assert x._version == 1
    x.detach().add_(1)
    assert x._version == 2


def test_views_that_are_gone_are_forgotten() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    for _ in range(1000):
        y[0]
    assert len(y._counter) < 100


@pytest.mark.parametrize("through_view", [False, True])
def test_changed_tensors_are_freed_by_reference_counting_alone(through_view: bool) -> None:
    gc.disable()
    try:
        x = torch.ones(3, requires_grad=True)
        y = x * 2
        view = y[1:]
        y.retain_grad()
        (view if through_view else y).mul_(x[1:] if through_view else x)
        view.exp().sum().backward(retain_graph=True)
        nodes = [weakref.ref(y.grad_fn), weakref.ref(view.grad_fn)]
        array = weakref.ref(y._array)
        del y, view
        assert [node() for node in nodes] == [None, None]
        assert array() is None
    finally:
        gc.enable()


def test_a_loop_of_changes_grows_by_one_node_each() -> None:
    x = torch.ones(2, requires_grad=True)
    total = torch.zeros(2)
    for _ in range(20_000):
        total += x
    total.sum().backward()
    assert x.grad.tolist() == [20_000.0] * 2


class _TenTimes(torch.autograd.Function):
    """A view of its input, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.view(-1)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 10


class _Returned(_TenTimes):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x


@pytest.mark.parametrize("function", [_TenTimes, _Returned])
@pytest.mark.parametrize("take", [lambda out: out, lambda out: out[:2]])
def test_a_view_through_a_function_lets_no_gradient_pass_once_its_base_changed(
    function: Any, take: Any
) -> None:
    y = torch.ones(3, requires_grad=True) * 2
    out = take(function.apply(y))
    y.mul_(3)
    with pytest.raises(RuntimeError, match="its base or another view of its base has been modified inplace"):
        out.sum().backward()


def test_a_part_of_a_view_through_a_function_cannot_be_changed() -> None:
    y = torch.ones(3, requires_grad=True) * 2
    part = _TenTimes.apply(y)[:2]
    with pytest.raises(RuntimeError, match="Output 0 of Slice is a view and is being modified inplace"):
        part.mul_(3)
    assert y.tolist() == [2.0] * 3


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_integers_copied_from_a_recorded_tensor_require_no_grad(dtype: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    whole, part = torch.zeros(2, dtype=dtype), torch.zeros(2, dtype=dtype)
    whole.copy_(x)
    part[:1] = x[:1]
    assert not whole.requires_grad and not part.requires_grad
    assert whole.tolist() == [1, 1] and part.tolist() == [1, 0]


def test_a_leaf_that_is_a_view_has_strided_views_with_gradients() -> None:
    leaf = torch.arange(6.0).view(2, 3)[:, 1:].requires_grad_()
    leaf.as_strided((2,), (3,)).sum().backward()
    assert leaf.grad.tolist() == [[1, 0], [1, 0]]
