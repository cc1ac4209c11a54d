"""Depth, width and memory: no recursion, nothing kept longer than needed, and no gradient that shares memory."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import distrt as torch


@pytest.fixture
def _without_gc() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_a_chain_of_100_000_operations_runs_and_is_freed_without_recursion() -> None:
    limit = sys.getrecursionlimit()
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert sys.getrecursionlimit() == limit


def test_10_000_consumers_of_one_tensor_add_up() -> None:
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    y = x * 1
    torch.stack([y * float(n) for n in range(10_000)]).sum().backward()
    assert x.grad.tolist() == [49_995_000.0] * 2


class _Passing(torch.autograd.Function):
    """Multiplies by one, and keeps its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        out = x * 1.0
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


@pytest.mark.ci
def test_a_long_chain_of_functions_runs_and_is_freed_without_recursion() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = _Passing.apply(y)
    y.backward()
    assert x.grad.item() == 1.0


@pytest.mark.ci
def test_a_long_chain_of_checkpoints_runs_without_recursion() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(3_000):
        y = torch.utils.checkpoint.checkpoint(lambda v: v.exp().log(), y, use_reentrant=False)
    y.backward()
    assert x.grad.item() == pytest.approx(1.0)


@pytest.mark.usefixtures("_without_gc")
def test_hooks_do_not_keep_a_graph_alive() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_hook(lambda inputs, outputs: None)
    torch.autograd.graph.register_multi_grad_hook((x, y), lambda gradients: None)
    node, array = weakref.ref(y.grad_fn), _alive(y)
    y.sum().backward(retain_graph=True)
    del y
    assert (node(), array()) == (None, None)


def _alive(tensor: Any) -> Any:
    return weakref.ref(tensor._array)


@pytest.mark.usefixtures("_without_gc")
def test_a_graph_is_freed_by_reference_counting_alone() -> None:
    x = torch.ones(1000, requires_grad=True)
    middle = x * 2
    kept = middle.exp()
    arrays = [_alive(middle), _alive(kept)]
    out = kept.sum()
    del middle, kept
    assert arrays[1]() is not None, "the rule of exp needs its output"
    del out
    assert [array() for array in arrays] == [None, None]


@pytest.mark.usefixtures("_without_gc")
def test_a_backward_pass_frees_what_it_used_even_while_the_result_lives() -> None:
    x = torch.ones(1000, requires_grad=True)
    kept = x.exp()
    array = _alive(kept)
    out = kept.sum()
    del kept
    out.backward()
    assert array() is None


@pytest.mark.usefixtures("_without_gc")
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_whole_training_step_leaves_no_cycle(create_graph: bool) -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.BatchNorm2d(2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
    )
    out = model(torch.ones(2, 1, 6, 6) * torch.arange(6.0))
    node = weakref.ref(out.grad_fn)
    loss = torch.nn.functional.cross_entropy(out, torch.tensor([0, 1]))
    gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=create_graph)
    del out, loss, gradients
    assert node() is None


@pytest.mark.usefixtures("_without_gc")
def test_no_grad_keeps_nothing() -> None:
    with torch.no_grad():
        x = torch.ones(1000, requires_grad=True)
        middle = x * 2
        array = _alive(middle)
        out = middle.exp()
    del middle
    assert array() is None
    assert out.requires_grad is False


def _overlap(a: Any, b: Any) -> bool:
    return bool(np.shares_memory(a._array, b._array))


@pytest.mark.parametrize(
    "make", [lambda x, y: x + y, lambda x, y: x.clone() + y, lambda x, y: x.reshape(2, 2).reshape(4) + y * 1]
)
def test_gradients_of_two_leaves_never_share_memory(make: Any) -> None:
    x, y = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    make(x, y).backward(torch.ones(4))
    assert not _overlap(x.grad, y.grad)


@pytest.mark.parametrize(
    "make", [lambda x: x * 1, lambda x: x.clone(), lambda x: x + 0, lambda x: x.reshape(2, 2), lambda x: x]
)
def test_a_gradient_that_the_caller_gave_stays_the_callers(make: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    out = make(x)
    given = torch.ones(tuple(out.shape))
    out.backward(given)
    assert not _overlap(x.grad, given)
    given.mul_(100)
    assert x.grad.tolist() == [1.0] * 4
    x.grad.mul_(7)
    assert given.sum().item() == 400.0


def test_a_retained_gradient_does_not_share_memory_with_the_leafs() -> None:
    x = torch.ones(4, requires_grad=True)
    y = x.clone()
    y.retain_grad()
    y.backward(torch.ones(4))
    assert not _overlap(x.grad, y.grad)


def test_a_gradient_that_a_hook_kept_does_not_share_memory_with_the_leafs() -> None:
    kept: list[Any] = []
    x = torch.ones(4, requires_grad=True)
    x.register_hook(kept.append)
    (x * 2).sum().backward()
    assert not _overlap(x.grad, kept[0])


def test_a_gradient_is_not_a_broadcast_view() -> None:
    x = torch.ones(3, 4, requires_grad=True)
    x.sum().backward()
    x.grad[0, 0] = 5.0
    assert x.grad.sum().item() == 16.0
    assert x.grad.is_contiguous()


def test_a_gradient_slot_is_written_and_becomes_the_gradient() -> None:
    slot = np.full((2, 3), np.nan, np.float32)
    layer = torch.nn.Linear(3, 2)
    layer.weight._grad_slot = slot
    layer(torch.ones(4, 3)).sum().backward()
    assert layer.weight.grad._array is slot
    assert slot.tolist() == [[4.0] * 3] * 2
    layer(torch.ones(4, 3)).sum().backward()
    assert slot.tolist() == [[8.0] * 3] * 2
    layer.weight.grad = None
    layer(torch.ones(1, 3)).sum().backward()
    assert slot.tolist() == [[1.0] * 3] * 2


KEPT = """
import resource, sys
import distrt as torch
a, b = torch.ones({size}), torch.ones({size})
for _ in range(3):
    a + b
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    a + b
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults_of_twenty_sums(size: int, **variables: str) -> int:
    command = [sys.executable, "-c", KEPT.format(size=size)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env={**os.environ, **variables}
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_freed_memory_is_kept_for_the_next_array() -> None:
    pages_of_one_sum = 4_000_000 * 4 // 4096
    assert _faults_of_twenty_sums(4_000_000) < pages_of_one_sum
    as_the_user_says = _faults_of_twenty_sums(500_000, MALLOC_MMAP_THRESHOLD_="100000")
    assert as_the_user_says > 20 * 500_000 * 4 // 4096 // 2
