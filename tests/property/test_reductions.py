"""Reductions and broadcasting over random shapes, dims and layouts: as in PyTorch, values, gradients and errors."""

from __future__ import annotations

import warnings
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

import distrt
from tests.oracles import builtin_kind, require_torch

torch = require_torch()

EXAMPLES = hypothesis.settings.default.max_examples

OVER_DIMS = "sum mean amax amin var std logsumexp all any nansum count_nonzero".split()
OVER_ONE = "prod argmax argmin max min median cumsum cumprod cummax logcumsumexp softmax sort argsort".split()
PAIRS = "add sub mul div maximum minimum pow atan2 fmod lt eq where hypot".split()

sizes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
dims = st.integers(-5, 4)


def _array(shape: tuple[int, ...], turned: bool, seed: int) -> Any:
    """Distinct values around 0, so that no extreme is tied; a transposed layout where asked for."""
    rng = np.random.default_rng(seed)
    stored = shape[::-1] if turned else shape
    values = (rng.permutation(int(np.prod(stored))).reshape(stored) - 5.3) / 7
    return np.asarray(values.transpose() if turned else values)


def _outcome(library: Any, run: Any, arrays: list[Any]) -> Any:
    """The results and the gradients of their sum, or the builtin class of the error."""
    leaves = [library.from_numpy(array).requires_grad_() for array in arrays]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(library, *leaves)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return builtin_kind(error)
    outputs = list(found) if isinstance(found, tuple) else [found]
    roots = [out for out in outputs if out.requires_grad]
    gradients = []
    if roots:
        total = sum(
            (out * library.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape)).sum()
            for out in roots
        )
        gradients = library.autograd.grad(total, leaves, allow_unused=True)
    return outputs, gradients


def _assert_same(run: Any, arrays: list[Any]) -> None:
    ours, theirs = _outcome(distrt, run, arrays), _outcome(torch, run, arrays)
    if isinstance(theirs, type):
        two_faults = 0 in arrays[0].shape and isinstance(ours, type)  # a repeated dim, and no elements
        assert ours is theirs or two_faults, f"{ours} instead of {theirs}"
        return
    assert not isinstance(ours, type), f"raised {ours}"
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert str(mine.dtype) == str(other.dtype) and tuple(mine.shape) == tuple(other.shape)
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-10, atol=1e-12)
    for mine, other in zip(ours[1], theirs[1], strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-9, atol=1e-10)


@hypothesis.given(
    st.sampled_from(OVER_DIMS),
    sizes,
    st.one_of(st.none(), dims, st.lists(dims, min_size=1, max_size=3).map(tuple)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
@hypothesis.example("var", (), (0, 0, 1), False, False, 0)  # of two faults, the one that PyTorch names
@hypothesis.example("sum", (), (0, 0, 1), False, False, 0)
@hypothesis.settings(max_examples=3 * EXAMPLES)
def test_reductions_over_dims_agree_with_pytorch(
    name: str, shape: tuple[int, ...], dim: Any, keepdim: bool, turned: bool, seed: int
) -> None:
    arguments = (dim,) if name == "count_nonzero" else (dim, keepdim)
    if dim is None:
        if name in ("logsumexp", "all", "any"):
            arguments = (tuple(range(len(shape))),) if name == "logsumexp" else ()
        elif name in ("amax", "amin"):
            arguments = ()
        elif name in ("var", "std"):
            arguments = (None,)
    _assert_same(lambda t, x: getattr(t, name)(x, *arguments), [_array(shape, turned, seed)])


@hypothesis.given(st.sampled_from(OVER_ONE), sizes, dims, st.booleans(), st.integers(0, 99))
@hypothesis.settings(max_examples=3 * EXAMPLES)
def test_operations_along_a_dim_agree_with_pytorch(
    name: str, shape: tuple[int, ...], dim: int, turned: bool, seed: int
) -> None:
    hypothesis.assume(name != "cummax" or 0 not in shape)  # there, PyTorch does not look at dim
    _assert_same(lambda t, x: getattr(t, name)(x, dim), [_array(shape, turned, seed)])


@hypothesis.given(st.sampled_from(PAIRS), sizes, sizes, st.booleans(), st.integers(0, 99))
@hypothesis.settings(max_examples=3 * EXAMPLES)
def test_broadcasting_agrees_with_pytorch(
    name: str, left: tuple[int, ...], right: tuple[int, ...], turned: bool, seed: int
) -> None:
    a, b = _array(left, turned, seed), np.asarray(np.abs(_array(right, False, seed + 1)) + 0.5)
    if name == "pow":
        a = np.asarray(np.abs(a) + 0.5)
    run = (
        (lambda t, x, y: t.where(x > y, x, y))
        if name == "where"
        else (lambda t, x, y: getattr(t, name)(x, y))
    )
    _assert_same(run, [a, b])


@hypothesis.given(sizes, st.data(), st.sampled_from(PAIRS[:6]), st.integers(0, 99))
@hypothesis.settings(max_examples=2 * EXAMPLES)
def test_shapes_that_fit_broadcast_as_in_pytorch(
    shape: tuple[int, ...], data: Any, name: str, seed: int
) -> None:
    other = tuple(
        1 if data.draw(st.booleans()) else size for size in shape[data.draw(st.integers(0, len(shape))) :]
    )
    a, b = _array(shape, False, seed), np.asarray(np.abs(_array(other, False, seed + 1)) + 0.5)
    _assert_same(lambda t, x, y: getattr(t, name)(x, y), [a, b])
