"""Random programs of views, in-place changes and recorded uses: the same values, flags and gradients as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

import distrt
from tests.oracles import require_torch

torch = require_torch()

Step = tuple[str, int, int, int]


def _views(t: Any, n: int) -> Any:
    """One of the views that a tensor of any shape has."""
    if t.ndim == 0:
        return t.unsqueeze(0)
    size = t.shape[0]
    made: list[Callable[[], Any]] = [
        lambda: t[n % size] if size else t[:],
        lambda: t[n % 2 :],
        lambda: t[..., :: 1 + n % 2],
        lambda: t.unsqueeze(n % (t.ndim + 1)),
        t.squeeze,
        lambda: t.transpose(0, t.ndim - 1),
        lambda: t.permute(*reversed(range(t.ndim))),
        lambda: t.reshape(-1),
        lambda: t.view(*t.shape[1:], size) if t.is_contiguous() else t[0:1],
        lambda: t.expand_as(t),
        lambda: t.unsqueeze(0).expand(2, *t.shape),
        t.flatten,
        lambda: t.narrow(0, 0, max(size - 1, 0)) if hasattr(t, "narrow") else t[: max(size - 1, 0)],
        t.detach,
    ]
    return made[n % len(made)]()


def _uses(t: Any, n: int) -> Any:
    """A recorded use; some keep their input or output."""
    return [
        lambda: t * 2.0,
        lambda: t * t,
        t.exp,
        lambda: t + 1.0,
        t.sin,
        t.clone,
    ][n % 6]()


def _changes(library: Any, t: Any, other: Any, n: int) -> Any:
    """An in-place change, by a number or by another tensor."""

    def put(key: Any, value: Any) -> Any:
        t[key] = value
        return t

    # PyTorch lets some assignments to repeated memory pass, and fails in backward.
    if any(step == 0 and size > 1 for step, size in zip(t.stride(), t.shape, strict=True)):
        return t.add_(1.0)
    other = other * 1.0  # memory of its own: PyTorch refuses operands that overlap the result in part
    counted = np.arange(t.numel()).reshape(tuple(t.shape))
    mask = library.from_numpy(np.asarray(counted % 2 == n % 2))
    first = (0,) * min(t.ndim, 1)
    return [
        lambda: t.add_(1.0),
        lambda: t.mul_(0.5),
        lambda: t.add_(other),
        lambda: t.mul_(other),
        lambda: t.copy_(other),
        t.zero_,
        lambda: t.fill_(0.25),
        t.sin_,
        t.exp_,
        lambda: t.sub_(t),
        lambda: put(first, 2.0),
        lambda: put(..., other),
        lambda: put(slice(None) if t.ndim else ..., other),
        lambda: put(mask, 3.0),
        lambda: put(library.tensor([0]) if t.ndim else ..., other.sum() if t.ndim else other),
    ][n % 15]()


class Run:
    """One program in one library: a pool of tensors that grows."""

    def __init__(self, library: Any) -> None:
        self.library = library
        make = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
        self.leaf = library.from_numpy(make.copy()).requires_grad_()
        self.pool = [self.leaf * 1.0, library.from_numpy(make[::-1].copy()), self.leaf]

    def step(self, step: Step) -> str:
        kind, a, b, n = step
        target, other = self.pool[a % len(self.pool)], self.pool[b % len(self.pool)]
        try:
            if kind == "view":
                made = _views(target, n)
            elif kind == "use":
                made = _uses(target, n)
            elif kind == "together":
                made = target + other
            elif kind == "without":
                with self.library.no_grad():
                    made = _changes(self.library, target, other, n)
            else:
                made = _changes(self.library, target, other, n)
        except (RuntimeError, IndexError) as error:
            return f"refused ({error})"
        self.pool.append(made)
        for each in self.pool:
            each.grad_fn  # PyTorch brings a view's place in the graph up to date when somebody looks
        return "made"

    def state(self) -> list[tuple[Any, ...]]:
        return [
            (tuple(t.shape), t.requires_grad, t.is_leaf, t._version, t.detach().numpy().copy())
            for t in self.pool
        ]

    def gradient(self) -> Any:
        total = self.leaf.sum() * 0.0
        for number, each in enumerate(self.pool):
            if each.requires_grad:
                total = total + (each * (0.3 + 0.1 * number)).sum()
        try:
            total.backward()
        except RuntimeError as error:
            return f"refused ({error})"
        return self.leaf.grad.numpy()


KINDS = ("view", "view", "change", "change", "use", "together", "without")
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 20), st.integers(0, 20), st.integers(0, 29)), max_size=12
)


@hypothesis.given(STEPS)
def test_programs_of_views_and_changes_agree_with_pytorch(steps: list[Step]) -> None:
    ours, theirs = Run(distrt), Run(torch)
    for step in steps:
        said, expected = ours.step(step), theirs.step(step)
        assert said.split()[0] == expected.split()[0], (step, said, expected)
    for number, (mine, reference) in enumerate(zip(ours.state(), theirs.state(), strict=True)):
        assert mine[:4] == reference[:4], number
        np.testing.assert_allclose(mine[4], reference[4], 1e-12, 1e-12, err_msg=str(number))
    mine, reference = ours.gradient(), theirs.gradient()
    if isinstance(reference, str) or isinstance(mine, str):
        assert str(mine).split()[0] == str(reference).split()[0], (mine, reference)
    else:
        np.testing.assert_allclose(mine, reference, 1e-10, 1e-10)
