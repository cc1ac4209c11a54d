"""Hooks on leaves and on what was computed, and ``retain_grad``."""

from __future__ import annotations

from typing import Any

import pytest

import distrt as torch


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once() -> None:
    seen: list[Any] = []
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [[5.0, 5.0]]


def test_what_a_hook_returns_replaces_the_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert x.grad.tolist() == [31.0, 31.0]


def test_hooks_run_in_the_order_of_their_registration() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (x * 2).backward()
    assert x.grad.item() == 21.0


def test_a_removed_hook_does_not_run() -> None:
    ran: list[str] = []
    x = torch.ones(2, requires_grad=True)
    handle = x.register_hook(lambda g: ran.append("hook"))
    with x.register_hook(lambda g: ran.append("block")):
        pass
    handle.remove()
    handle.remove()
    x.sum().backward()
    assert not ran


def test_removing_one_of_two_equal_hooks_leaves_the_other() -> None:
    ran: list[str] = []

    def hook(gradient: Any) -> None:
        ran.append("hook")

    x = torch.ones(2, requires_grad=True)
    first, _ = x.register_hook(hook), x.register_hook(hook)
    first.remove()
    x.sum().backward()
    assert ran == ["hook"]


def test_a_post_accumulate_hook_sees_the_gradient_in_place() -> None:
    seen: list[Any] = []
    x = torch.ones(2, requires_grad=True)
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.tolist())))
    x.sum().backward()
    x.sum().backward()
    handle.remove()
    x.sum().backward()
    assert seen == [(True, [1.0, 1.0]), (True, [2.0, 2.0])]


def test_a_post_accumulate_hook_may_return_a_tensor_and_nothing_else() -> None:
    x = torch.zeros(2, requires_grad=True)
    handle = x.register_post_accumulate_grad_hook(lambda t: t.add_(t.grad, alpha=-1))
    x.sum().backward()
    assert x.tolist() == [-1.0, -1.0] and x.grad.tolist() == [1.0, 1.0]
    handle.remove()
    x.register_post_accumulate_grad_hook(lambda t: 3)
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'int'"):
        x.sum().backward()


def test_a_post_accumulate_hook_may_free_the_gradient() -> None:
    x = torch.ones(2, requires_grad=True)

    def step(tensor: Any) -> None:
        with torch.no_grad():
            tensor.sub_(tensor.grad)
        tensor.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * x).sum().backward()
    assert x.tolist() == [-1.0, -1.0]
    assert x.grad is None


def test_hooks_need_a_tensor_that_requires_grad() -> None:
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        torch.ones(2).register_hook(print)
    with pytest.raises(RuntimeError, match="non-leaf"):
        (torch.ones(2, requires_grad=True) * 2).register_post_accumulate_grad_hook(print)


def test_hooks_see_tensors_with_a_graph_under_create_graph() -> None:
    seen: list[bool] = []
    x = torch.tensor(2.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: seen.append(g.requires_grad))
    (y * y).backward(create_graph=True)
    assert seen == [True]


def test_retain_grad_keeps_the_gradient_of_what_was_computed() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x * x
    y.retain_grad()
    y.retain_grad()
    (y * 3).backward(retain_graph=True)
    assert y.grad.item() == 3.0
    (y * 4).backward()
    assert y.grad.item() == 7.0
    assert x.grad.item() == 28.0


def test_retain_grad_sees_what_hooks_made_of_the_gradient() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x * x
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.backward()
    assert y.grad.item() == 10.0
    assert x.grad.item() == 40.0


def test_retain_grad_needs_a_graph_and_does_nothing_to_a_leaf() -> None:
    with pytest.raises(RuntimeError, match="can't retain_grad"):
        torch.ones(2).retain_grad()
    x = torch.ones(2, requires_grad=True)
    x.retain_grad()
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_hook_must_return_a_tensor_or_nothing() -> None:
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda g: 3)
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'int'"):
        x.sum().backward()


def test_a_hook_may_remove_itself() -> None:
    ran: list[str] = []
    x = torch.ones(2, requires_grad=True)

    def once(gradient: Any) -> None:
        ran.append("hook")
        handle.remove()

    y = x + 2
    handle = y.register_hook(once)
    y.sum().backward()
    y.sum().backward()
    assert ran == ["hook"]


def test_retained_gradients_share_no_memory() -> None:
    y = torch.ones(2, requires_grad=True) * 2
    z = y + 1
    given = torch.ones(2)
    y.retain_grad()
    z.retain_grad()
    z.backward(given)
    z.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0]
    assert given.tolist() == [1.0, 1.0]


def test_leaves_of_a_recorded_pass_share_no_gradient() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    given = torch.ones(2)
    (x + y).backward(given, create_graph=True)
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0]
    assert given.tolist() == [1.0, 1.0]


def test_a_linear_layers_bias_gets_its_gradient_before_its_weight() -> None:
    layer = torch.nn.Linear(2, 2)
    seen: list[str] = []
    for name, each in layer.named_parameters():
        each.register_post_accumulate_grad_hook(lambda _, name=name: seen.append(name))
    layer(torch.ones(1, 2)).sum().backward()
    assert seen == ["bias", "weight"], "as in PyTorch, whose weight waits for its transpose"
