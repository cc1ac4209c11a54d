"""Hooks on nodes, on several gradients at once and on what is kept; edges instead of tensors."""

from __future__ import annotations

from typing import Any

import pytest

import distrt as torch
from distrt.autograd import graph


def test_node_hooks_run_around_the_node() -> None:
    order: list[Any] = []
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    leaf = y.grad_fn.next_functions[0][0]
    y.register_hook(lambda g: order.append("tensor"))
    y.grad_fn.register_hook(lambda inputs, outputs: order.append(("after", inputs[0].tolist(), inputs[1])))
    y.grad_fn.register_prehook(lambda outputs: order.append(("before", outputs[0].tolist())))
    y.retain_grad()
    leaf.register_hook(lambda inputs, outputs: order.append(("leaf after", inputs, outputs[0].tolist())))
    leaf.register_prehook(lambda outputs: order.append("leaf before"))
    x.register_hook(lambda g: order.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: order.append("accumulated"))
    y.sum().backward()
    assert order == [
        "tensor",
        ("before", [1.0, 1.0]),
        ("after", [2.0, 2.0], None),
        "leaf",
        "leaf before",
        "accumulated",
        ("leaf after", (), [2.0, 2.0]),
    ]


def test_node_hooks_may_replace_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 10,))
    handle = y.grad_fn.register_hook(lambda inputs, outputs: (outputs[0] * 2,))
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    y.grad_fn.register_hook(lambda inputs, outputs: None)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([20.0 + 10 * y[0].item()] * 2)


def test_what_node_hooks_return_is_checked() -> None:
    x = torch.ones(2, requires_grad=True)
    for returned, error, message in (
        (lambda i, o: i[0], TypeError, "expected tuple, but hook returned 'Tensor'"),
        (lambda i, o: (), RuntimeError, "incorrect number of values .got 0, but expected 1"),
        (lambda i, o: (torch.ones(3),), RuntimeError, "has changed the size of value"),
        (lambda i, o: (i[0].double(),), RuntimeError, "has changed the type of value"),
    ):
        y = x.exp()
        y.grad_fn.register_hook(returned)
        with pytest.raises(error, match=message):
            y.sum().backward()


def test_a_tensor_hook_may_not_change_shape_or_dtype() -> None:
    for returned, message in (
        (lambda g: torch.ones(3), "changed the size"),
        (lambda g: g.double(), "type of value"),
    ):
        x = torch.ones(2, requires_grad=True)
        x.register_hook(returned)
        with pytest.raises(RuntimeError, match=message):
            x.sum().backward()


def test_nodes_take_notes_and_are_one_kind() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).exp()
    y.grad_fn.metadata["mine"] = 1
    assert y.grad_fn.metadata == {"mine": 1}
    assert isinstance(y.grad_fn, graph.Node)
    assert isinstance(y.grad_fn.next_functions[0][0].next_functions[0][0], graph.Node)


def test_a_hook_on_several_gradients_waits_for_those_that_will_come() -> None:
    seen: list[Any] = []
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    c, d = a * b, a * b
    handle = graph.register_multi_grad_hook(
        (a, b, c, d), lambda g: seen.append([each is not None for each in g])
    )
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=(a,), retain_graph=True)
    (c + d).sum().backward(retain_graph=True)
    assert seen == [[True, True, True, False], [True, False, True, False], [True] * 4]
    handle.remove()
    c.sum().backward()
    assert len(seen) == 3


def test_a_hook_on_any_of_several_gradients_runs_once_a_pass() -> None:
    seen: list[Any] = []
    a = torch.ones(2, requires_grad=True)
    b = a * 2
    graph.register_multi_grad_hook((a, b), lambda g: seen.append(g.tolist()), mode="any")
    (b * 3).sum().backward(retain_graph=True)
    (b * 4).sum().backward()
    assert seen == [[3.0, 3.0], [4.0, 4.0]]
    with pytest.raises(ValueError, match="Expects mode"):
        graph.register_multi_grad_hook((a,), print, mode="some")


def test_edges_stand_for_tensors() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    edge = graph.get_gradient_edge(y)
    out = (y * 3).sum()
    assert torch.autograd.grad(out, edge, retain_graph=True)[0].tolist() == [3.0, 3.0]
    assert torch.autograd.grad(edge, x, torch.ones(2))[0].tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="does not require gradients"):
        graph.get_gradient_edge(torch.ones(1))


# -- hooks on what is kept


def _run(x: Any, w: Any) -> Any:
    y = x * w
    y.mul_(w)
    z = torch.cat([y.exp(), y.max(1)[0].unsqueeze(1)], 1)
    return torch.nn.functional.cross_entropy(z, torch.tensor([1, 0]))


def test_gradients_are_the_same_through_hooks() -> None:
    x = torch.tensor([[0.5, -1.0], [0.25, 2.0]], requires_grad=True)
    w = torch.tensor([1.5, -0.5], requires_grad=True)
    expected = [g.tolist() for g in torch.autograd.grad(_run(x, w), (x, w))]
    kept: list[Any] = []

    def pack(tensor: Any) -> int:
        assert not torch.is_grad_enabled()
        kept.append(tensor.tolist())
        return len(kept) - 1, tensor.dtype

    def unpack(handle: Any) -> Any:
        return torch.tensor(kept[handle[0]], dtype=handle[1])

    with graph.saved_tensors_hooks(pack, unpack):
        out = _run(x, w)
    count = len(kept)
    assert count > 4
    for _ in range(2):
        assert [g.tolist() for g in torch.autograd.grad(out, (x, w), retain_graph=True)] == expected
    out.backward()
    assert len(kept) == count
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()
    with graph.save_on_cpu(pin_memory=True):
        again = _run(x, w)
    assert [g.tolist() for g in torch.autograd.grad(again, (x, w))] == expected


def test_second_derivatives_through_hooks() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x**3
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    assert torch.autograd.grad(first, x)[0].item() == 12.0


def test_the_innermost_hooks_count_and_may_be_disabled() -> None:
    seen: list[str] = []

    def naming(name: str) -> Any:
        return graph.saved_tensors_hooks(lambda t: (seen.append(name), t)[1], lambda t: t)

    x = torch.ones(2, requires_grad=True)
    with naming("outer"):
        x.exp()
        with naming("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert seen == ["outer", "inner", "outer"]
    with (
        graph.disable_saved_tensors_hooks("not here"),
        pytest.raises(RuntimeError, match="not here"),
        naming("none"),
    ):
        pass
    with naming("again"):
        pass


def test_what_hooks_may_not_do() -> None:
    x = torch.ones(2, requires_grad=True)
    with (
        graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
        pytest.raises(RuntimeError, match="modifying its input in place"),
    ):
        x.exp()
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type int"):
        y.sum().backward()


def test_a_version_may_be_raised_by_hand() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    graph.increment_version(y)
    graph.increment_version([y, y])
    assert y._version == 3
    with pytest.raises(RuntimeError, match="is at version 3; expected version 0"):
        y.sum().backward()
