"""Functions of single numbers in float32, written once: a compiled loop where it pays, else NumPy in blocks.

    @formula
    def softsign(x):
        return x / (1.0 + abs(x))

The function uses ``+ - * /``, ``abs``, and ``least``, ``greatest``, ``choose`` and ``from_exponent`` of this file. Both
ways do the same operations in the same order, so they give the same bits, and a program may go over to the compiled
one in mid-training.
"""

from __future__ import annotations

import functools
from array import array as packed
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_meta, is_on_gpu, row_major
from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import on_gpu
from distrt.core.kernels.loops import Loop, Step, address, compiled, is_worth_compiling, note_effort
from distrt.core.modes import used

__all__ = ["Formula", "choose", "formula", "from_exponent", "greatest", "least"]

_HALF = dt.bfloat16.numpy
_DTYPES = (dt.float32.numpy, _HALF)

_BLOCK = 8192  # elements; what a formula has between its operations then stays in the cache


def formula(function: Callable[..., Any]) -> Formula:
    """Decorator: see this module."""
    return Formula(function)


class Formula:
    """A function of numbers, for arrays of one shape in row-major order, and for plain operands.

    Args:
        function: of operands; it gives one result, or a tuple of several.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def of(self, *operands: Any) -> Any:
        """The formula as a part of another one."""
        return self._function(*operands)

    def __call__(self, *arrays: Array, dtype: Any = np.float32) -> Any:
        """The results as new arrays, in a tuple where there are several.

        Args:
            *arrays: float32, or bfloat16, which is computed in that.
            dtype: one of the two, for the first result; the others are float32.
        """
        if used.gpu and is_on_gpu(arrays[0]):
            return self._on_gpu(arrays, dtype)
        if is_meta(arrays[0]):
            return self._without_data(arrays, dtype)
        arrays = tuple(map(np.asarray, arrays))
        rows = [each if each.flags.c_contiguous else each.copy() for each in arrays]
        shape, size = rows[0].shape, rows[0].size
        if any(row.dtype not in _DTYPES or row.shape != shape for row in rows):
            raise TypeError(
                f"{self.__name__}: expected float32 or bfloat16 arrays of one shape"  # type: ignore[attr-defined]
            )
        halves = tuple(number for number, row in enumerate(rows) if row.dtype == _HALF)
        loop, constants, results = self._traced(len(rows), halves, dtype == _HALF)
        made = [np.empty(shape, np.float32 if number else dtype) for number in range(results)]
        run = compiled(loop) if is_worth_compiling() else None
        if run is not None:
            sizes, numbers = packed("q", [size]), packed("f", constants)
            pointers = packed("Q", [address(each) if size else 0 for each in (*rows, *made)])
            run(1, sizes.buffer_info()[0], pointers.buffer_info()[0], numbers.buffer_info()[0])
        else:
            note_effort(size * len(loop.steps))
            self._run_in_blocks([row.reshape(-1) for row in rows], [each.reshape(-1) for each in made])
        return made[0] if results == 1 else tuple(made)

    def _on_gpu(self, arrays: tuple[Array, ...], dtype: Any) -> Any:
        rows = [row_major(each if each.dtype in _DTYPES else each.astype(np.float32)) for each in arrays]
        halves = tuple(number for number, row in enumerate(rows) if row.dtype == _HALF)
        loop, constants, results = self._traced(len(rows), halves, dtype == _HALF)
        kinds = [dtype if dtype in _DTYPES else np.float32, *[np.float32] * (results - 1)]
        made = [np.empty(arrays[0].shape, kind, like=rows[0]) for kind in kinds]
        on_gpu.loops.run(loop, [[*rows, *made]], constants)
        made[0] = made[0].astype(dtype, copy=False)
        return made[0] if results == 1 else tuple(made)

    def _without_data(self, arrays: tuple[Array, ...], dtype: Any) -> Any:
        halves = tuple(number for number, row in enumerate(arrays) if row.dtype == _HALF)
        results = self._traced(len(arrays), halves, dtype == _HALF)[2]
        made = [
            np.empty(arrays[0].shape, np.float32 if number else dtype, like=arrays[0])
            for number in range(results)
        ]
        return made[0] if results == 1 else tuple(made)

    def _run_in_blocks(self, rows: list[Array], made: list[Array]) -> None:
        with np.errstate(all="ignore"):
            for start in range(0, rows[0].size, _BLOCK):
                block = (row[start : start + _BLOCK].astype(np.float32, copy=False) for row in rows)
                found = self._function(*block)
                for target, values in zip(made, found if isinstance(found, tuple) else (found,), strict=True):
                    target[start : start + _BLOCK] = values

    @functools.cache  # noqa: B019 - formulas are there for ever
    def _traced(
        self, arrays: int, halves: tuple[int, ...] = (), is_half_made: bool = False
    ) -> tuple[Loop, tuple[float, ...], int]:
        """The loop, its constants, and the number of results, which are its last arrays.

        Args:
            arrays: how many are given.
            halves: which of them are bfloat16.
            is_half_made: whether the first result is.
        """
        operands = [_Recorded("array") for _ in range(arrays)]
        found = self._function(*operands)
        results = found if isinstance(found, tuple) else (found,)
        order = _in_order(results)
        constants = list(dict.fromkeys(each.constant for each in order if each.verb == "constant"))
        total = arrays + len(results)
        numbers = {id(each): index for index, each in enumerate(operands)}
        steps = [each for each in order if each.verb not in ("constant", "array")]
        for each in order:
            if each.verb == "constant":
                numbers[id(each)] = total + constants.index(each.constant)
        for index, each in enumerate(steps):
            numbers[id(each)] = total + len(constants) + index
        loop = Loop(
            "float32",
            total,
            len(constants),
            tuple(Step(each.verb, tuple(numbers[id(part)] for part in each.parts)) for each in steps),
            tuple((arrays + index, numbers[id(each)]) for index, each in enumerate(results)),
            (*halves, arrays) if is_half_made else halves,
        )
        return loop, tuple(constants), len(results)


class _Recorded:
    """An operand that writes down what is done to it."""

    __slots__ = ("constant", "parts", "verb")

    def __init__(self, verb: str, *parts: Any, constant: float = 0.0) -> None:
        self.verb, self.constant = verb, constant
        self.parts = tuple(
            part if isinstance(part, _Recorded) else _Recorded("constant", constant=float(part))
            for part in parts
        )

    def __add__(self, other: Any) -> _Recorded:
        return _Recorded("add", self, other)

    def __radd__(self, other: Any) -> _Recorded:
        return _Recorded("add", other, self)

    def __sub__(self, other: Any) -> _Recorded:
        return _Recorded("sub", self, other)

    def __rsub__(self, other: Any) -> _Recorded:
        return _Recorded("sub", other, self)

    def __mul__(self, other: Any) -> _Recorded:
        return _Recorded("mul", self, other)

    def __rmul__(self, other: Any) -> _Recorded:
        return _Recorded("mul", other, self)

    def __truediv__(self, other: Any) -> _Recorded:
        return _Recorded("div", self, other)

    def __rtruediv__(self, other: Any) -> _Recorded:
        return _Recorded("div", other, self)

    def __abs__(self) -> _Recorded:
        return _Recorded("abs", self)

    def __neg__(self) -> _Recorded:
        return _Recorded("neg", self)


def least(first: Any, second: Any) -> Any:
    """The smaller one; nan where one is."""
    is_recorded = isinstance(first, _Recorded) or isinstance(second, _Recorded)
    return _Recorded("min", first, second) if is_recorded else np.minimum(first, second)


def greatest(first: Any, second: Any) -> Any:
    """The larger one; nan where one is."""
    is_recorded = isinstance(first, _Recorded) or isinstance(second, _Recorded)
    return _Recorded("max", first, second) if is_recorded else np.maximum(first, second)


def choose(sign: Any, above: Any, other: Any) -> Any:
    """``above`` where ``sign`` is above 0, ``other`` elsewhere, also where it is nan."""
    if isinstance(sign, _Recorded):
        return _Recorded("by_sign", sign, above, other, other)
    return np.where(sign > 0, above, other)


def from_exponent(number: Any) -> Any:
    """2 to the power of k, where ``number`` is 1.5 * 2^23 + 127 + k, for whole k from -126 to 127."""
    if isinstance(number, _Recorded):
        return _Recorded("from_exponent", number)
    return (number.view(np.int32) << 23).view(np.float32)


def _in_order(results: tuple[_Recorded, ...]) -> list[_Recorded]:
    """Everything that the results depend on, each after what it is made of."""
    order: dict[int, _Recorded] = {}

    def visit(each: _Recorded) -> None:
        if id(each) not in order:
            for part in each.parts:
                visit(part)
            order[id(each)] = each

    for each in results:
        visit(each)
    return list(order.values())
