"""Draws in the dtype that they are wanted in: what PyTorch's CPU kernels make of the generator's words.

A number takes one word of 32 bits, or two (``wide``), and a draw leaves the generator where PyTorch leaves it.
What is drawn for an array ``like`` on a GPU is drawn there, other numbers of the same distribution.

Source: https://github.com/pytorch/pytorch, aten/src/ATen/core/DistributionsHelper.h and
aten/src/ATen/native/cpu/DistributionTemplates.h.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np

from distrt.core.arrays import Array, as_array, chosen, dim_order, is_array, is_meta, is_on_gpu, on_host
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.kernels import shuffling
from distrt.core.modes import used
from distrt.core.random.generator import Generator, Source, numpy_generator, source_of

__all__ = [
    "Draws",
    "Replay",
    "draw_bernoulli",
    "draw_chance",
    "draw_exponential",
    "draw_integers",
    "draw_normal",
    "draw_permutation",
    "draw_seed",
    "draw_uniform",
    "draw_wide_normal",
    "draw_wide_uniform",
    "laid_out",
    "where_it_lies",
]

Drawing = TypeVar("Drawing", bound=Callable[..., Any])

#: How many numbers are made at a time: their intermediate results stay near the processor.
_BLOCK = 1 << 15

#: So few words come faster one by one.
_FEW = 256

#: Normal numbers come in groups of so many, of which the first half gives the radii.
_GROUP = 16

#: From so large a range on, an integer takes two words.
_LONG_RANGE = 1 << 28


def _elsewhere(generator: Generator | None, like: Array | None) -> Any:
    """What draws on a GPU, by a key of the generator's, or without data, if ``like`` is there; else None."""
    if like is None or like.__class__ is np.ndarray:
        return None
    return numpy_generator(generator, like) if is_on_gpu(like) or is_meta(like) else None


def where_it_lies(draw: Drawing) -> Drawing:
    """Has the GPU of the array that a draw is for be the current one meanwhile: what follows a draw runs there."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        if not used.gpu:
            return draw(*args, **kwargs)
        like = next((each for each in (*args, *kwargs.values()) if is_on_gpu(each)), None)
        with nullcontext() if like is None else like.device:
            return draw(*args, **kwargs)

    return drawn  # type: ignore[return-value]


# Words


def _words(source: Source, count: int) -> Array:
    """Shape: (count,), uint32."""
    if count < _FEW:
        return np.asarray(source.numpy.bit_generator.random_raw(count)).astype(np.uint32)
    return np.asarray(source.numpy.integers(0, 2**32 - 1, count, np.uint32, endpoint=True))


def _long_words(source: Source, count: int) -> Array:
    """Two words each. Shape: (count,), uint64."""
    if count < _FEW:
        pairs = np.asarray(source.numpy.bit_generator.random_raw(2 * count))
        return pairs[::2] << np.uint64(32) | pairs[1::2]
    return np.asarray(source.numpy.integers(0, 2**64 - 1, count, np.uint64, endpoint=True))


def _unit(source: Source, count: int) -> Array:
    """Uniform in [0, 1), float32."""
    words = _words(source, count)
    words &= np.uint32(2**24 - 1)
    return np.multiply(words, np.float32(2**-24), dtype=np.float32)


def _wide_unit(source: Source, count: int) -> Array:
    """Uniform in [0, 1), float64."""
    words = _long_words(source, count)
    words &= np.uint64(2**53 - 1)
    return np.multiply(words, 2.0**-53, dtype=np.float64)


# Uniform


def _require_drawable(name: str, kind: np.dtype[Any]) -> None:
    if dt.category_of(kind) < 2:
        raise NoKernelError(f'"{name}" not implemented for {dt.known(kind)}')


@where_it_lies
def draw_uniform(
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    generator: Generator | None,
    low: float = 0.0,
    high: float = 1.0,
    like: Array | None = None,
) -> Array:
    """Uniform in [low, high); both parts of a complex number are."""
    _require_drawable("uniform", kind)
    if kind.kind == "c":
        real = np.dtype(f"f{kind.itemsize // 2}")
        return draw_uniform((*shape, 2), real, generator, low, high, like).view(kind)[..., 0]
    work = np.float64 if kind == np.float64 else np.float32
    there, count = _elsewhere(generator, like), math.prod(shape)
    drawn = _unit_of(work, source_of(generator), count) if there is None else there.random((count,), work)
    if (low, high) == (0, 1):
        if kind.itemsize > 2:
            return drawn.reshape(shape)
    else:
        first, last = drawn.dtype.type(low), drawn.dtype.type(high)
        drawn *= last - first
        drawn += first
    made = drawn.astype(kind, copy=False)
    return chosen(made == kind.type(high), kind.type(low), made).reshape(shape)  # where it was rounded up


@where_it_lies
def draw_wide_uniform(
    shape: tuple[int, ...], generator: Generator | None, like: Array | None = None
) -> Array:
    """Uniform in [0, 1), in float64."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.random(shape))
    return _wide_unit(source_of(generator), math.prod(shape)).reshape(shape)


# Normal


@where_it_lies
def draw_normal(
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    generator: Generator | None,
    mean: float = 0.0,
    std: float = 1.0,
    in_rows: bool = True,
    like: Array | None = None,
) -> Array:
    """Normal; of a complex number, each part has half of the variance.

    ``in_rows``: they are for a tensor in row-major order, which is filled in groups if it has 16 elements or more.
    """
    _require_drawable("normal_kernel_cpu", kind)
    if kind.kind == "c":
        real = np.dtype(f"f{kind.itemsize // 2}")
        parts = draw_normal((*shape, 2), real, generator, mean, std / math.sqrt(2), in_rows, like)
        return parts.view(kind)[..., 0]
    work = np.float64 if kind == np.float64 else np.float32
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.standard_normal(shape, work) * work(std) + work(mean)).astype(kind, copy=False)
    source, count = source_of(generator), math.prod(shape)
    if count < _GROUP or not in_rows:
        return (draw_wide_normal((count,), generator) * std + mean).astype(kind, copy=False).reshape(shape)
    made = np.empty(count, kind)
    for start in range(0, count, _BLOCK):
        part = made[start : start + _BLOCK]
        whole = len(part) // _GROUP * _GROUP
        units = _unit_of(work, source, whole if kind.itemsize == 2 else len(part))
        part[:whole] = _in_groups(units[:whole], mean, std)
    if count % _GROUP:
        made[-_GROUP:] = _in_groups(_unit_of(work, source, _GROUP), mean, std)
    return made.reshape(shape)


def _unit_of(kind: Any, source: Source, count: int) -> Array:
    return _wide_unit(source, count) if kind is np.float64 else _unit(source, count)


def _in_groups(units: Array, mean: float, std: float) -> Array:
    """Normal numbers of uniform ones, by Box and Muller: 8 radii and 8 angles give 16."""
    kind = units.dtype.type
    halves = units.reshape(-1, 2, _GROUP // 2)
    radius = np.subtract(1, halves[:, 0]).reshape(-1)
    np.log(radius, out=radius)
    radius *= kind(-2)
    np.sqrt(radius, out=radius)
    angle = np.multiply(halves[:, 1], kind(2 * np.pi)).reshape(-1)
    made = np.empty_like(halves)
    for half, function in enumerate((np.cos, np.sin)):
        part = function(angle)
        part *= radius
        if std != 1:
            part *= kind(std)
        if mean != 0:
            part += kind(mean)
        made[:, half] = part.reshape(-1, _GROUP // 2)
    return made.reshape(-1)


@where_it_lies
def draw_wide_normal(shape: tuple[int, ...], generator: Generator | None, like: Array | None = None) -> Array:
    """Normal with mean 0 and variance 1, in float64, drawn in pairs: one may wait for the next draw."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.standard_normal(shape))
    source, count = source_of(generator), math.prod(shape)
    if not count:
        return np.empty(shape)
    waiting = [] if source.spare is None else [source.spare]
    units = _wide_unit(source, (count - len(waiting) + 1) // 2 * 2)
    radius = np.sqrt(-2 * np.log1p(-units[1::2]))
    angle = 2 * np.pi * units[::2]
    pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1).reshape(-1)
    drawn = np.concatenate((waiting, pairs)) if waiting else pairs
    source.spare = float(drawn[count]) if len(drawn) > count else None
    return drawn[:count].reshape(shape)


# Others


@where_it_lies
def draw_exponential(shape: tuple[int, ...], generator: Generator | None, like: Array | None = None) -> Array:
    """Exponential with rate 1, in float64."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.standard_exponential(shape))
    drawn = draw_wide_uniform(shape, generator)
    return np.negative(np.log1p(np.negative(drawn, out=drawn), out=drawn), out=drawn)


@where_it_lies
def draw_chance(
    p: float, shape: tuple[int, ...], generator: Generator | None, like: Array | None = None
) -> Array:
    """True with probability ``p``."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.random(shape) < p)
    words = _long_words(source_of(generator), math.prod(shape))
    words &= np.uint64(2**53 - 1)
    return np.asarray(words < np.uint64(math.ceil(p * 2**53))).reshape(shape)


@where_it_lies
def draw_bernoulli(
    chances: Any,
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    generator: Generator | None,
    like: Array | None = None,
) -> Array:
    """1 with the probability given (a number, or an array), else 0.

    Raises:
        ShapeError: for a probability outside 0 to 1.
    """
    if is_meta(chances) or is_meta(like):
        return np.empty(shape, kind, like=chances if is_meta(chances) else like)
    plain = chances if is_array(chances) else np.asarray(chances)
    if not bool(((plain >= 0) & (plain <= 1)).all()):
        raise ShapeError(f"bernoulli_ expects p to be in [0, 1], but got p={plain.reshape(-1)[:3].tolist()}")
    if (there := _elsewhere(generator, like)) is not None:
        drawn = there.random(shape)
        p = np.asarray(plain, like=drawn) if is_array(chances) else float(chances)
        return as_array(drawn < p).astype(kind)
    plain = on_host(plain)
    if not is_array(chances):
        return draw_chance(float(chances), shape, generator).astype(kind)
    precise = np.float64 if plain.dtype == np.float64 else np.float32
    drawn = draw_uniform(shape, np.dtype(precise), generator)
    return np.asarray(drawn < plain).astype(kind)


@where_it_lies
def draw_integers(
    low: int,
    high: int,
    shape: tuple[int, ...],
    generator: Generator | None,
    words: int | None = None,
    like: Array | None = None,
) -> Array:
    """Integers in [low, high), as int64, each of one word or of two; by default as many as the range takes."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.integers(low, high, shape))
    source, count, span = source_of(generator), math.prod(shape), high - low
    if span >= 2**64:  # each word is one of them
        return _long_words(source, count).view(np.int64).reshape(shape)
    if words is None and span >= _LONG_RANGE:
        drawn = (_long_words(source, count) % np.uint64(span)).view(np.int64)
    else:
        drawn = (_words(source, count) % np.uint32(span)).astype(np.int64)
    if low:
        drawn += low
    return drawn.reshape(shape)


def draw_seed(generator: Generator | None) -> int:
    """A number of 63 bits, to seed another stream with."""
    return int(_long_words(source_of(generator), 1)[0]) & (2**63 - 1)


@where_it_lies
def draw_permutation(count: int, generator: Generator | None, like: Array | None = None) -> Array:
    """The integers 0 to ``count`` - 1 in random order, int64 (Fisher and Yates)."""
    if (there := _elsewhere(generator, like)) is not None:
        return as_array(there.permutation(count))
    source, order = source_of(generator), np.arange(count)
    if count < 2:
        return order
    left = np.arange(count, 1, -1)
    if count < (2**32 - 1) // 20:
        steps = _words(source, count - 1) % left
    else:
        steps = (_long_words(source, count - 1) % left.view(np.uint64)).view(np.int64)
    if shuffling.suits(count):
        shuffling.exchange(order, steps)
        return order
    listed = order.tolist()
    for place, step in enumerate(steps.tolist()):
        listed[place], listed[place + step] = listed[place + step], listed[place]
    return np.array(listed)


# Once more


class Draws(NamedTuple):
    """What dropout in the middle of a computation asks for."""

    generator: Generator | None

    def chance(self, p: float, shape: tuple[int, ...]) -> Array:
        """True with probability ``p``."""
        return draw_chance(p, shape, self.generator)

    def seed(self) -> int:
        """A number of 63 bits."""
        return draw_seed(self.generator)


class Replay:
    """Draws of the default generator that backward makes once more, from the place where forward began."""

    def __init__(self) -> None:
        self._start: Source | None = None

    def again(self) -> Draws:
        """Those of the default generator at first; later the same numbers."""
        if self._start is None:
            self._start = source_of(None).copy()
            return Draws(None)
        generator = Generator()
        generator.source = self._start.copy()
        return Draws(generator)


# Into a tensor's memory


def laid_out(drawn: Array, beside: Array) -> Array:
    """What was drawn, one number after the other in the order of another array's memory. Shape: that array's."""
    if beside.ndim < 2 or beside.flags.c_contiguous:
        return drawn.reshape(beside.shape)
    order = dim_order(beside)
    packed = drawn.reshape([beside.shape[dim] for dim in order])
    return packed.transpose(np.argsort(order).tolist())
