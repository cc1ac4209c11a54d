"""In-place changes, views, leaves and modes: what is allowed, what is refused in which words, and every gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt

Program = Callable[[Any, Any], Any]


def _put(t: Any, key: Any, value: Any) -> Any:
    t[key] = value
    return t


def _without(library: Any, make: Callable[[], Any]) -> Any:
    with library.no_grad():
        return make()


def _inference(library: Any, make: Callable[[], Any]) -> Any:
    with library.inference_mode():
        return make()


def _then(*steps: Any) -> Any:
    """The first of some values that were computed in turn."""
    return steps[0]


def _slices(t: Any, x: Any) -> Any:
    y = x * 2
    a, b = y[0], y[:, 1:]
    a.mul_(3)
    b.add_(a.sum())
    y.sin_()
    return (a * 1.5).sum() + (b * b).sum() + y.sum()


def _base_then_view(t: Any, x: Any) -> Any:
    y = x.clone()
    v = y.view(-1)[1:4]
    y.mul_(x)
    v.mul_(2)
    y[1] = v[:3] * 1
    return (v * y.reshape(-1)[:3]).sum()


def _frozen_base(t: Any, x: Any) -> Any:
    base = t.ones(2, 3, requires_grad=True)
    part = base[:1]
    base.requires_grad_(False)
    base.mul_(x)
    return (part * 2).sum()


def _integers_of_a_base(t: Any, x: Any) -> Any:
    y = x * 2
    bits = y.view(t.int32)
    bits.add_(1)
    y.mul_(2)
    return (y * y.detach() + bits.sum() * 0).sum()


def _later_change(t: Any, x: Any) -> None:
    y = x * 1
    with t.no_grad():
        part = y[0]
    y.mul_(3)
    (part * 2).sum().backward()


def _later_change_of_a_constant(t: Any, x: Any) -> None:
    y = t.ones(2, 3)
    with t.no_grad():
        part = y[0]
    y.mul_(x)
    (part * 2).sum().backward()


def _constant_base(t: Any, x: Any) -> Any:
    buffer = t.zeros(3, 3)
    part = buffer[1:]
    part.copy_(x)
    buffer.t().add_(x[0])
    return (buffer * buffer + part.sum()).sum()


def _retained(t: Any, x: Any) -> Any:
    y = x * 2
    y.retain_grad()
    before: list[Any] = []
    y.register_hook(before.append)
    y.mul_(3)
    (y * 5).sum().backward()
    return y.grad + 0, before[0], x.grad + 0


def _transposed(t: Any, x: Any) -> Any:
    y = x * 1
    y.t()[0].mul_(3)
    y.transpose(0, 1).unsqueeze(0).mul_(x.t())
    return (y * y).sum()


def _complex_parts(t: Any, x: Any) -> Any:
    z = t.complex(x, x * 2) * 1
    z.real.mul_(x)
    t.view_as_real(z)[..., 1].add_(x)
    return (z * z).abs().sum()


def _swap(t: Any, x: Any) -> Any:
    y = x * 1
    first = y[0].clone()
    y[0] = y[1]
    y[1] = first
    return (y * t.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum()


def _scattered(t: Any, x: Any) -> Any:
    y = x * 1
    y[:, t.tensor([0, 2])] = x[:, :2] * x[:, 1:]
    y[y > 0.5] = 0.0
    y[t.tensor([True, False])] *= 3
    return (y * y).sum()


def _accumulated(t: Any, x: Any) -> Any:
    total = t.zeros(3)
    for row in range(2):
        total += x[row] * (row + 1)
        total *= x[row]
    return total.sum()


def _expanded(t: Any, x: Any) -> Any:
    y = x * 1
    wide = y[0].expand(4, 3)
    y[0].mul_(2)
    return (wide * x[0]).sum()


def _strided(t: Any, x: Any) -> Any:
    y = x * 1
    y.as_strided((2, 2), (3, 2)).mul_(2)
    return (y * x).sum()


GRADIENTS: dict[str, Program] = {
    "a base that was frozen when it was changed": _frozen_base,
    "integers that lie where a changed base lies": _integers_of_a_base,
    "slices of one base": _slices,
    "base and view in turn": _base_then_view,
    "a constant that takes in a gradient": _constant_base,
    "transposed": _transposed,
    "parts of complex numbers": _complex_parts,
    "swapped rows": _swap,
    "scattered": _scattered,
    "accumulated in a loop": _accumulated,
    "an expanded view of what is changed": _expanded,
    "as_strided": _strided,
    "detach shares memory": lambda t, x: _then(y := x * 1, y.detach().zero_()).sum() + (x * x).sum(),
    "data is outside": lambda t, x: _then(y := x * 1, y.exp(), y.data.zero_()).sum(),
    "zeroed": lambda t, x: _then(y := x * 2, y.zero_()).sum() + x.sum(),
    "filled with a tensor": lambda t, x: _then(y := x * 2, y.fill_(x[0, 0])).sum(),
    "a view frozen by no_grad": lambda t, x: _then(y := x * 2, _without(t, lambda: y[0].mul_(3))).sum(),
    "relu in place": lambda t, x: t.relu_(x * 1).sum() if hasattr(t, "relu_") else (x * 1).relu_().sum(),
}

VALUES: dict[str, Program] = {
    "versions": lambda t, x: [
        (y := x * 1)._version,
        (v := y[0])._version,
        _then(v.add_(1)._version, y.zero_()),
        y._version,
        y.detach()._version,
        y.data._version,
        _put(y, 0, 1.0)._version,
        _without(t, lambda: x.add_(1))._version,
    ],
    "retain_grad moves along": _retained,
    "flags": lambda t, x: [
        (y := x[0]).is_leaf,
        y.requires_grad,
        y.detach().requires_grad,
        _without(t, lambda: x * 2).requires_grad,
        x.grad_fn is None,
        (x * 2).detach_().is_leaf,
        x.detach().requires_grad_().is_leaf,
        (x * 2).retains_grad,
        (x * 2).output_nr,
        _inference(t, lambda: x * 2).is_inference(),
        _inference(t, lambda: x[0]).is_inference(),
        _inference(t, x.detach).is_inference(),
    ],
}

REFUSED: dict[str, Program] = {
    "a leaf": lambda t, x: x.add_(1),
    "a view of a leaf": lambda t, x: x[0].add_(1),
    "a leaf, assigned": lambda t, x: _put(x, 0, 1.0),
    "a leaf's view by copy_": lambda t, x: x.view(-1).copy_(t.zeros(6)),
    "a leaf zeroed": lambda t, x: x.zero_(),
    "a view made without grad": lambda t, x: _then(y := x * 1, _without(t, lambda: y[0]).add_(1)),
    "a view made without grad, assigned": lambda t, x: _put(_without(t, lambda y=x * 1: y[0]), 0, 1.0),
    "a constant's view made without grad": lambda t, x: _without(t, lambda: t.zeros(2, 3)[0]).add_(x[0]),
    "a view made without grad whose base is changed": _later_change,
    "a constant's view made without grad whose base is changed": _later_change_of_a_constant,
    "a view of a view made without grad, assigned": lambda t, x: _put(
        _without(t, lambda y=x * 1: y[0])[:1], 0, 1.0
    ),
    "one of several views": lambda t, x: (x * 1).unbind(0)[0].add_(1),
    "one piece": lambda t, x: (x * 1).split(1)[1].mul_(2),
    "one of several constants": lambda t, x: t.zeros(3).split(1)[0].add_(x[0, :1]),
    "an expanded tensor": lambda t, x: (x * 1)[0].expand(4, 3).add_(1),
    "an input that is needed": lambda t, x: _then(y := x * 1, z := y * y, y.add_(1), z.sum().backward()),
    "an output that is needed": lambda t, x: _then(y := x.exp(), y.add_(1), y.sum().backward()),
    "changed twice": lambda t, x: _then(y := x.exp(), y.add_(1), y.mul_(2), y.sum().backward()),
    "changed through detach": lambda t, x: _then(y := x.exp(), y.detach().add_(1), y.sum().backward()),
    "changed through a view": lambda t, x: _then(y := x.exp(), y[0].add_(1), y.sum().backward()),
    "changed without grad": lambda t, x: _then(y := x.exp(), _without(t, y.zero_), y.sum().backward()),
    "a changed leaf": lambda t, x: _then(
        y := x.exp() * x, _without(t, lambda: x.add_(1)), y.sum().backward()
    ),
    "a second pass": lambda t, x: _then(y := x.exp().sum(), y.backward(), y.backward()),
    "no graph": lambda t, x: t.ones(2).backward(),
    "integers": lambda t, x: t.ones(2, dtype=t.int64).requires_grad_(),
    "a computed tensor frozen": lambda t, x: (x * 2).requires_grad_(False),
    "detach_ of a view": lambda t, x: (x * 2)[0].detach_(),
    "retain_grad without grad": lambda t, x: t.ones(2).retain_grad(),
    "an inference tensor kept": lambda t, x: x * _inference(t, lambda: t.ones(3)),
    "an inference tensor changed": lambda t, x: _inference(t, lambda: t.ones(3)).add_(1),
    "an inference tensor's view changed": lambda t, x: _inference(t, lambda: t.ones(3))[:1].add_(1),
    "an inference tensor's version": lambda t, x: _inference(t, lambda: t.ones(3))._version,
    "an inference tensor that should require grad": lambda t, x: _inference(
        t, lambda: t.ones(3)
    ).requires_grad_(),
    "a gradient of another shape": lambda t, x: (x * 2).backward(t.ones(3)),
    "a complex gradient": lambda t, x: (x * 2).backward(t.ones(2, 3, dtype=t.complex64)),
    "a complex root": lambda t, x: t.complex(x, x).sum().backward(),
    "too few gradients": lambda t, x: t.autograd.backward([x.sum(), x.sum()], [None]),
    "an input that needs none": lambda t, x: t.autograd.grad(x.sum(), t.ones(2)),
    "an unused input": lambda t, x: t.autograd.grad(x.sum(), [x, x * 2]),
    "no inputs": lambda t, x: t.autograd.grad(x.sum(), []),
    "no inputs for backward": lambda t, x: x.sum().backward(inputs=[]),
    "a root without graph among others": lambda t, x: t.autograd.backward([x.sum(), t.ones(())]),
    "zeros for the unused that may not be unused": lambda t, x: t.autograd.grad(
        x.sum(), x, allow_unused=False, materialize_grads=True
    ),
    "a hook without graph": lambda t, x: t.ones(2).register_hook(print),
    "a post hook on what was computed": lambda t, x: (x * 2).register_post_accumulate_grad_hook(print),
}


def _leaf(library: Any) -> Any:
    return library.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], requires_grad=True)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_agree(name: str, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        x = _leaf(library)
        out = GRADIENTS[name](library, x)
        out.backward()
        found.append((out.item(), x.grad.tolist()))
    np.testing.assert_allclose(found[0][0], found[1][0], 1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], 1e-5, 1e-6)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("name", VALUES)
def test_values_agree(name: str, torch: Any) -> None:
    assert _plain(VALUES[name](distrt, _leaf(distrt))) == _plain(VALUES[name](torch, _leaf(torch)))


@pytest.mark.parametrize("name", REFUSED)
def test_errors_agree(name: str, torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((RuntimeError, ValueError)) as caught:
                REFUSED[name](library, _leaf(library))
        said.append((str(caught.value), caught.type))
    assert issubclass(said[0][1], said[1][1])
    if "assigned" not in name:  # PyTorch's words are about the view that an assignment makes
        assert said[0][0][:58] == said[1][0][:58]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("changed twice", "is at version 2; expected version 0"),
        ("an output that is needed", "output 0 of Exp"),
    ],
)
def test_the_changed_tensor_is_described(name: str, found: str, torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises(RuntimeError, match=found):
            REFUSED[name](library, _leaf(library))
