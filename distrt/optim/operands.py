"""The vocabulary of update rules: flat blocks of arrays, and recorded tensors with the same verbs.

A rule is written once, as ``m.lerp_(g, 1 - beta1)`` and its like. On ``Block`` it runs in place, in pieces that stay in
the cache, with what is not in place in reused scratch memory. On ``Recorded`` it runs on tensors, so that gradients
flow through the step (``differentiable=True``). A verb with an underscore changes its operand; the others make a new
one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.tensor import Tensor

#: Elements per block of a fused pass: a block of each operand fits into the second-level cache together.
BLOCK = 16384


#: What rules work on: a Block or a Recorded; a number may be a Tensor where the step is recorded.
Operand: TypeAlias = Any


class Scratch:
    """Memory that blocks share for what they compute on the way; one per step and dtype.

    Args:
        dtype: of the computation.
        storage: float16 or bfloat16, to which every result is rounded, as PyTorch's operations one by one do.
        like: an array where the memory shall be.
    """

    def __init__(self, dtype: Any, storage: Any = None, like: Array = None) -> None:
        self.dtype = dtype
        self.storage = storage
        self._like = like
        self._buffers: list[Array] = []
        self.taken = 0

    def take(self, size: int) -> Array:
        """Memory for ``size`` elements, until ``taken`` is set back."""
        if size > BLOCK:  # a GPU takes all at once
            return np.empty(size, self.dtype, like=self._like)
        if self.taken == len(self._buffers):
            self._buffers.append(np.empty(BLOCK, self.dtype, like=self._like))
        buffer = self._buffers[self.taken]
        self.taken += 1
        return buffer[:size]


class Block:
    """A flat piece of an array."""

    __slots__ = ("array", "scratch")

    def __init__(self, array: Array, scratch: Scratch) -> None:
        self.array = array
        self.scratch = scratch

    def _new(self) -> Array:
        return self.scratch.take(self.array.size)

    def _made(self, array: Array) -> Block:
        storage = self.scratch.storage
        if storage is not None:
            array[...] = array.astype(storage)
        return Block(array, self.scratch)

    def _changed(self) -> Block:
        storage = self.scratch.storage
        if storage is not None:
            self.array[...] = self.array.astype(storage)
        return self

    def detach(self) -> Block:
        """Itself: nothing is recorded."""
        return self

    def neg(self) -> Block:
        """-self."""
        return self._made(np.negative(self.array, out=self._new()))

    def abs(self) -> Block:
        """\\|self\\|."""
        return self._made(np.abs(self.array, out=self._new()))

    def sqrt(self) -> Block:
        """√self."""
        return self._made(np.sqrt(self.array, out=self._new()))

    def sqrt_(self) -> Block:
        """Self ← √self."""
        np.sqrt(self.array, out=self.array)
        return self._changed()

    def sign(self) -> Block:
        """-1, 0 or 1; 0 for what is no number."""
        return self.by_sign(1, -1, 0)

    def add(self, other: Any, number: Any = 1) -> Block:
        """Self + number · other."""
        return self._made(self._plus(other, number, self._new()))

    def add_(self, other: Any, number: Any = 1) -> Block:
        """Self ← self + number · other."""
        self._plus(other, number, self.array)
        return self._changed()

    def _plus(self, other: Any, number: Any, out: Array) -> Array:
        if number == 1:
            np.add(self.array, _plain(other), out=out)
            return out
        product = np.multiply(_plain(other), float(number), out=self._new())
        np.add(self.array, product, out=out)
        self.scratch.taken -= 1
        return out

    def mul(self, other: Any) -> Block:
        """Self · other."""
        return self._made(np.multiply(self.array, _plain(other), out=self._new()))

    def mul_(self, other: Any) -> Block:
        """Self ← self · other."""
        np.multiply(self.array, _plain(other), out=self.array)
        return self._changed()

    def div(self, other: Any) -> Block:
        """Self / other."""
        return self._made(np.divide(self.array, _plain(other), out=self._new()))

    def div_(self, other: Any) -> Block:
        """Self ← self / other."""
        np.divide(self.array, _plain(other), out=self.array)
        return self._changed()

    def copy_(self, other: Block) -> Block:
        """Self ← other."""
        self.array[...] = other.array
        return self

    def maximum_(self, other: Block) -> Block:
        """Self ← the larger of both."""
        np.maximum(self.array, other.array, out=self.array)
        return self

    def clamp_(self, low: float, high: float) -> Block:
        """Self ← self between bounds."""
        np.clip(self.array, low, high, out=self.array)
        return self._changed()

    def lerp_(self, end: Block, weight: Any) -> Block:
        """Self ← self + weight · (end - self), taken from the nearer side."""
        weight = float(weight)
        way = np.subtract(end.array, self.array, out=self._new())
        if weight < 0.5:
            np.multiply(way, weight, out=way)
            np.add(self.array, way, out=self.array)
        else:
            np.multiply(way, 1 - weight, out=way)
            np.subtract(end.array, way, out=self.array)
        self.scratch.taken -= 1
        return self._changed()

    def addcmul(self, a: Block, b: Block, number: Any) -> Block:
        """Self + number · a · b."""
        return self._made(self._plus_product(a, b, number, self._new()))

    def addcmul_(self, a: Block, b: Block, number: Any) -> Block:
        """Self ← self + number · a · b."""
        self._plus_product(a, b, number, self.array)
        return self._changed()

    def _plus_product(self, a: Block, b: Block, number: Any, out: Array) -> Array:
        product = np.multiply(a.array, b.array, out=self._new())
        if number != 1:
            np.multiply(product, float(number), out=product)
        np.add(self.array, product, out=out)
        self.scratch.taken -= 1
        return out

    def addcdiv_(self, a: Block, b: Block, number: Any) -> Block:
        """Self ← self + number · a / b."""
        quotient = np.multiply(a.array, float(number), out=self._new())
        np.divide(quotient, b.array, out=quotient)
        np.add(self.array, quotient, out=self.array)
        self.scratch.taken -= 1
        return self._changed()

    def by_sign(self, positive: Any, negative: Any, zero: Any) -> Block:
        """``positive``, ``negative`` or ``zero``, as this is above, below or at 0 (or no number)."""
        chosen = self._new()
        chosen[...] = _plain(zero)
        np.copyto(chosen, _plain(positive), where=self.array > 0)
        np.copyto(chosen, _plain(negative), where=self.array < 0)
        return self._made(chosen)


def _plain(other: Any) -> Any:
    """An array, or a plain float, which takes the dtype of the array that it meets."""
    return other.array if type(other) is Block else float(other)


class Recorded:
    """A tensor whose changes are recorded; ``tensor`` is always what has come out so far."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def _became(self, tensor: Tensor) -> Recorded:
        self.tensor = tensor
        return self

    def detach(self) -> Recorded:
        """The same values, out of the graph."""
        return Recorded(self.tensor.detach())

    def neg(self) -> Recorded:
        """-self."""
        return Recorded(ops.neg(self.tensor))

    def abs(self) -> Recorded:
        """\\|self\\|."""
        return Recorded(ops.abs(self.tensor))

    def sqrt(self) -> Recorded:
        """√self."""
        return Recorded(ops.sqrt(self.tensor))

    def sqrt_(self) -> Recorded:
        """Self ← √self."""
        return self._became(ops.sqrt(self.tensor))

    def sign(self) -> Recorded:
        """-1, 0 or 1."""
        return Recorded(ops.sign(self.tensor))

    def add(self, other: Any, number: Any = 1) -> Recorded:
        """Self + number · other."""
        return Recorded(self.tensor + _recorded(other) * number)

    def add_(self, other: Any, number: Any = 1) -> Recorded:
        """Self ← self + number · other."""
        return self._became(self.tensor + _recorded(other) * number)

    def mul(self, other: Any) -> Recorded:
        """Self · other."""
        return Recorded(self.tensor * _recorded(other))

    def mul_(self, other: Any) -> Recorded:
        """Self ← self · other."""
        return self._became(self.tensor * _recorded(other))

    def div(self, other: Any) -> Recorded:
        """Self / other."""
        return Recorded(self.tensor / _recorded(other))

    def div_(self, other: Any) -> Recorded:
        """Self ← self / other."""
        return self._became(self.tensor / _recorded(other))

    def copy_(self, other: Recorded) -> Recorded:
        """Self ← other."""
        return self._became(other.tensor)

    def maximum_(self, other: Recorded) -> Recorded:
        """Self ← the larger of both."""
        return self._became(ops.maximum(self.tensor, other.tensor))

    def clamp_(self, low: float, high: float) -> Recorded:
        """Self ← self between bounds."""
        return self._became(ops.clamp(self.tensor, low, high))

    def lerp_(self, end: Recorded, weight: Any) -> Recorded:
        """Self ← self + weight · (end - self)."""
        return self._became(self.tensor + (end.tensor - self.tensor) * weight)

    def addcmul(self, a: Recorded, b: Recorded, number: Any) -> Recorded:
        """Self + number · a · b."""
        return Recorded(self.tensor + a.tensor * b.tensor * number)

    def addcmul_(self, a: Recorded, b: Recorded, number: Any) -> Recorded:
        """Self ← self + number · a · b."""
        return self._became(self.tensor + a.tensor * b.tensor * number)

    def addcdiv_(self, a: Recorded, b: Recorded, number: Any) -> Recorded:
        """Self ← self + number · a / b."""
        return self._became(self.tensor + a.tensor * number / b.tensor)

    def by_sign(self, positive: Any, negative: Any, zero: Any) -> Recorded:
        """``positive``, ``negative`` or ``zero``, as this is above, below or at 0."""
        up, down, level = (_recorded(each) for each in (positive, negative, zero))
        low_or_level = ops.where(self.tensor < 0, down, level)
        return Recorded(ops.where(self.tensor > 0, up, low_or_level))


def _recorded(other: Any) -> Any:
    return other.tensor if type(other) is Recorded else other
