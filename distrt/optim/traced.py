"""``Traced``: writes down what an update rule does, so that it can be compiled into one pass.

The third vocabulary beside ``Block`` and ``Recorded`` (`distrt.optim.operands`), with their verbs. Every verb does what
``Block``'s does, operation by operation, so that the bits are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.core.kernels.loops import Loop, Step

__all__ = ["Traced", "trace"]


class _Notes:
    """What has been written down so far. Arrays, constants and results are numbered apart until the end."""

    def __init__(self, dtype: str, arrays: int) -> None:
        self.dtype = dtype
        self.is_half = dtype in ("float16", "bfloat16")
        self.arrays = arrays
        self.constants: list[float] = []
        self.steps: list[tuple[str, tuple[int, ...]]] = []

    def value(self, other: Any) -> int:
        """The number of an operand: negative for a constant."""
        if type(other) is Traced:
            return other.value
        self.constants.append(float(other))
        return -len(self.constants)

    def add(self, verb: str, *operands: int) -> int:
        """The number of a step's result; the operands are numbers of values, too."""
        self.steps.append((verb, operands))
        return self.arrays + len(self.steps) - 1

    def rounded(self, value: int) -> int:
        """A result, rounded to the parameter's own dtype, as PyTorch's operations one by one do."""
        return self.add(self.dtype, value) if self.is_half else value


class Traced:
    """Stands for an array; ``value`` is the number of what it holds by now."""

    __slots__ = ("notes", "value")

    def __init__(self, notes: _Notes, value: int) -> None:
        self.notes = notes
        self.value = value

    def _made(self, value: int) -> Traced:
        return Traced(self.notes, self.notes.rounded(value))

    def _changed(self, value: int) -> Traced:
        self.value = self.notes.rounded(value)
        return self

    def detach(self) -> Traced:
        """Itself: nothing is recorded."""
        return self

    def neg(self) -> Traced:
        """-self."""
        return self._made(self.notes.add("neg", self.value))

    def abs(self) -> Traced:
        """\\|self\\|."""
        return self._made(self.notes.add("abs", self.value))

    def sqrt(self) -> Traced:
        """√self."""
        return self._made(self.notes.add("sqrt", self.value))

    def sqrt_(self) -> Traced:
        """Self ← √self."""
        return self._changed(self.notes.add("sqrt", self.value))

    def sign(self) -> Traced:
        """-1, 0 or 1; 0 for what is no number."""
        return self.by_sign(1, -1, 0)

    def add(self, other: Any, number: Any = 1) -> Traced:
        """Self + number · other."""
        return self._made(self._plus(other, number))

    def add_(self, other: Any, number: Any = 1) -> Traced:
        """Self ← self + number · other."""
        return self._changed(self._plus(other, number))

    def _plus(self, other: Any, number: Any) -> int:
        notes = self.notes
        summand = notes.value(other)
        if number != 1:
            summand = notes.add("mul", summand, notes.value(number))
        return notes.add("add", self.value, summand)

    def mul(self, other: Any) -> Traced:
        """Self · other."""
        return self._made(self.notes.add("mul", self.value, self.notes.value(other)))

    def mul_(self, other: Any) -> Traced:
        """Self ← self · other."""
        return self._changed(self.notes.add("mul", self.value, self.notes.value(other)))

    def div(self, other: Any) -> Traced:
        """Self / other."""
        return self._made(self.notes.add("div", self.value, self.notes.value(other)))

    def div_(self, other: Any) -> Traced:
        """Self ← self / other."""
        return self._changed(self.notes.add("div", self.value, self.notes.value(other)))

    def copy_(self, other: Traced) -> Traced:
        """Self ← other."""
        self.value = other.value
        return self

    def maximum_(self, other: Traced) -> Traced:
        """Self ← the larger of both."""
        self.value = self.notes.add("max", self.value, other.value)
        return self

    def clamp_(self, low: float, high: float) -> Traced:
        """Self ← self between bounds."""
        notes = self.notes
        return self._changed(
            notes.add("min", notes.add("max", self.value, notes.value(low)), notes.value(high))
        )

    def lerp_(self, end: Traced, weight: Any) -> Traced:
        """Self ← self + weight · (end - self), taken from the nearer side."""
        notes, weight = self.notes, float(weight)
        way = notes.add("sub", end.value, self.value)
        if weight < 0.5:
            return self._changed(notes.add("add", self.value, notes.add("mul", way, notes.value(weight))))
        return self._changed(notes.add("sub", end.value, notes.add("mul", way, notes.value(1 - weight))))

    def addcmul(self, a: Traced, b: Traced, number: Any) -> Traced:
        """Self + number · a · b."""
        return self._made(self._plus_product(a, b, number))

    def addcmul_(self, a: Traced, b: Traced, number: Any) -> Traced:
        """Self ← self + number · a · b."""
        return self._changed(self._plus_product(a, b, number))

    def _plus_product(self, a: Traced, b: Traced, number: Any) -> int:
        notes = self.notes
        product = notes.add("mul", a.value, b.value)
        if number != 1:
            product = notes.add("mul", product, notes.value(number))
        return notes.add("add", self.value, product)

    def addcdiv_(self, a: Traced, b: Traced, number: Any) -> Traced:
        """Self ← self + number · a / b."""
        notes = self.notes
        quotient = notes.add("div", notes.add("mul", a.value, notes.value(number)), b.value)
        return self._changed(notes.add("add", self.value, quotient))

    def by_sign(self, positive: Any, negative: Any, zero: Any) -> Traced:
        """``positive``, ``negative`` or ``zero``, as this is above, below or at 0 (or no number)."""
        return self._made(
            self.notes.add("by_sign", self.value, *map(self.notes.value, (positive, negative, zero)))
        )


def trace(
    update: Callable[..., None],
    dtype: str,
    arrays: int,
    numbers: dict[str, Any],
    *,
    has_target: bool = False,
) -> tuple[Loop, list[float]]:
    """The update as a loop over ``arrays`` arrays (values, gradient, state), and its constants.

    With ``has_target``, the last array is none of these, and gets the new values, in the place of the first.
    """
    notes = _Notes(dtype, arrays)
    operands = [Traced(notes, index) for index in range(arrays - has_target)]
    update(*operands, **numbers)
    values = tuple([each.value for each in operands])
    # From step to step only the constants change, as the bias corrections do.
    return _loop(dtype, arrays, len(notes.constants), tuple(notes.steps), values, has_target), notes.constants


@functools.lru_cache(maxsize=256)
def _loop(
    dtype: str,
    arrays: int,
    constants: int,
    noted: tuple[tuple[str, tuple[int, ...]], ...],
    values: tuple[int, ...],
    has_target: bool,
) -> Loop:
    """What was noted, and what the operands hold in the end, with all values numbered together."""

    def final(value: int) -> int:
        if value < 0:
            return arrays - 1 - value
        return value if value < arrays else value + constants

    steps = tuple(Step(verb, tuple(map(final, given))) for verb, given in noted)
    stores = [(index, final(value)) for index, value in enumerate(values) if value != index]
    if has_target:
        stores = [(arrays - 1, final(values[0])), *(each for each in stores if each[0])]
    return Loop(dtype, arrays, constants, steps, tuple(stores))
