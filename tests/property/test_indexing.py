"""Random keys against PyTorch: what is read, what is written, what is a view, and every gradient."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import distrt
from tests.oracles import require_torch

torch = require_torch()

EXAMPLES = hypothesis.settings.default.max_examples  # 5,000 in this file in the full tier

SIZES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def sliced(draw: st.DrawFn, size: int) -> slice:
    """A slice, of which some bounds lie outside."""
    bound = st.none() | st.integers(-size - 1, size + 1)
    return slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3)))


@st.composite
def part(draw: st.DrawFn, size: int, length: int) -> Any:
    """One part of a key that takes one dim: as distrt and PyTorch both read it, arrays stand for tensors."""
    kinds = ["slice", "slice", "int", "list", "tensor", "mask"] if size else ["slice", "mask"]
    kind = draw(st.sampled_from(kinds))
    places = st.integers(-size, size - 1)
    if kind == "slice":
        return draw(sliced(size))
    if kind == "int":
        return draw(places | places.map(np.int64))
    if kind == "list":
        return draw(st.lists(places, min_size=length, max_size=length))
    if kind == "tensor":
        shape = draw(st.sampled_from([(length,), (1,), (2, length), ()]))
        return np.array(draw(st.lists(places, min_size=8, max_size=8)))[: int(np.prod(shape))].reshape(shape)
    # as many True as the other indices are long, so that they broadcast
    mask = np.zeros(size, bool)
    mask[draw(st.permutations(range(size)))[: min(length, size)]] = True
    return mask


@st.composite
def keyed(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape and a key that fits it most of the time."""
    shape = draw(SIZES)
    length = draw(st.integers(0, 3))
    dims = draw(st.integers(0, len(shape)))
    key = [draw(part(size, length)) for size in shape[:dims]]
    if draw(st.booleans()) and dims < len(shape):
        place = draw(st.integers(0, dims))
        tail = len(key) - place
        key = [*key[:place], Ellipsis, *[draw(part(size, length)) for size in shape[len(shape) - tail :]]]
    for extra in draw(st.lists(st.sampled_from([None, None, True, False]), max_size=2)):
        key.insert(draw(st.integers(0, len(key))), extra)
    return shape, tuple(key)


@st.composite
def masked(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape and a mask over several of its dims, between slices."""
    shape = draw(SIZES)
    start = draw(st.integers(0, len(shape) - 1))
    stop = draw(st.integers(start + 1, len(shape)))
    count = int(np.prod(shape[start:stop]))
    bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mask = np.array(bits, bool).reshape(shape[start:stop])
    return shape, (*(draw(sliced(size)) for size in shape[:start]), mask)


KEYS = keyed() | masked()


def _for(library: Any, key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key with that library's tensors."""
    return tuple(library.from_numpy(each.copy()) if isinstance(each, np.ndarray) else each for each in key)


def _tensors(shape: tuple[int, ...], layout: str) -> tuple[Any, Any]:
    values = np.arange(np.prod(shape, dtype=int), dtype=np.float64)
    array = values.reshape(shape[::-1]).T if layout == "transposed" else values.reshape(shape)
    return distrt.from_numpy(array.copy("K")), torch.from_numpy(array.copy("K"))


def _both(run: Any) -> tuple[Any, Any] | None:
    """The outcomes of both libraries; None where both refuse, with errors of one class."""
    try:
        expected = run(1)
    except (IndexError, RuntimeError, TypeError, ValueError) as wrong:
        kind = next(
            each for each in (IndexError, TypeError, ValueError, RuntimeError) if isinstance(wrong, each)
        )
        with pytest.raises(kind):
            run(0)
        return None
    return run(0), expected


def _shares(part: Any, whole: Any) -> bool:
    return bool(part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr())


LAYOUTS = st.sampled_from(["plain", "transposed"])


@hypothesis.given(KEYS, LAYOUTS)
@hypothesis.settings(max_examples=4 * EXAMPLES)
def test_reading_gives_what_pytorch_gives(drawn: Any, layout: str) -> None:
    shape, key = drawn
    pair, libraries = _tensors(shape, layout), (distrt, torch)
    found = _both(lambda which: pair[which][_for(libraries[which], key)])
    if found is None:
        return
    mine, theirs = found
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    if theirs.numel() and _shares(theirs, pair[1]):
        # A dim of size 1 is never stepped along; NumPy and PyTorch give it different numbers in some corners.
        steps = [
            tuple(s for s, n in zip(each.stride(), each.shape, strict=True) if n > 1)
            for each in (mine, theirs)
        ]
        assert steps[0] == steps[1]
        mine.zero_()
        theirs.zero_()
        np.testing.assert_array_equal(pair[0].numpy(), pair[1].numpy())


@hypothesis.given(
    KEYS, st.integers(0, 2), st.sampled_from(["number", "whole", "row", "one", "wrong"]), LAYOUTS
)
@hypothesis.settings(max_examples=4 * EXAMPLES)
def test_writing_gives_what_pytorch_gives(drawn: Any, lead: int, kind: str, layout: str) -> None:
    shape, key = drawn
    pair, libraries = _tensors(shape, layout), (distrt, torch)
    try:
        target = tuple(pair[1][_for(torch, key)].shape)
    except (IndexError, RuntimeError):
        target = ()
    sizes = {"whole": target, "row": target[-1:], "one": (1,), "wrong": (7, *target), "number": ()}[kind]
    values = np.asarray(
        -1 - np.arange(np.prod(sizes, dtype=int), dtype=np.float64).reshape((1,) * lead + sizes)
    )
    if 0 in target and kind in ("wrong", "one"):
        return  # PyTorch does not look at values that go nowhere
    if _repeats(key):
        values[...] = -1  # which of several values for one place stays is not defined

    def write(which: int) -> Any:
        changed = pair[which].clone()
        given: Any = -2.5 if kind == "number" else libraries[which].from_numpy(values.copy())
        changed[_for(libraries[which], key)] = given
        return changed

    found = _both(write)
    if found is not None:
        np.testing.assert_array_equal(found[0].numpy(), found[1].numpy())


def _repeats(key: tuple[Any, ...]) -> bool:
    """True where the key may name a place more than once."""
    return any(
        isinstance(each, list) or (isinstance(each, np.ndarray) and each.dtype != bool) for each in key
    )


@hypothesis.given(KEYS, LAYOUTS)
@hypothesis.settings(max_examples=2 * EXAMPLES)
def test_gradients_of_reading_and_writing_are_those_of_pytorch(drawn: Any, layout: str) -> None:
    shape, key = drawn
    pair, libraries = _tensors(shape, layout), (distrt, torch)

    def gradients(which: int) -> Any:
        library = libraries[which]
        leaf = (pair[which] / 10 + 0.5).detach().requires_grad_()
        value = library.ones(1, dtype=library.float64, requires_grad=True)
        picked = leaf[_for(library, key)]
        changed = leaf * 2
        changed[_for(library, key)] = value[0] * 3
        loss = (picked * picked).sum() + (changed * changed * leaf).sum()
        first = library.autograd.grad(loss, [leaf, value], create_graph=True)
        second = library.autograd.grad(sum((each * each).sum() for each in first), [leaf, value])
        return [each.detach().numpy() for each in (*first, *second)]

    found = _both(gradients)
    if found is not None:
        for mine, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(mine, theirs, 1e-12, 1e-12)
