"""Writing LLVM code for numeric kernels: loops, vectors of floats, fused multiplications and additions.

For kernels that cannot be said as a `Loop`, because they look at more than one element. No pass rearranges what is
written here, so loops are written as they shall run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from distrt.core.kernels.half_code import SHORT, STORED, narrowed, quickly_narrowed, widened
from distrt.core.kernels.loop_code import INDEX, POINTER, counted, new_function

__all__ = ["FLOAT", "Emitter", "Half"]

FLOAT = ir.FloatType()
_LANE = ir.IntType(32)

Value = Any  # of llvmlite.ir


class Half(NamedTuple):
    """The address of numbers in half precision. What is read there becomes float32, what is written is rounded."""

    pointer: Value
    dtype: str


class Emitter:
    """A function under way, on pointers to floats and 64-bit integers.

    Args:
        pointers: how many pointers it takes; integers follow.
        integers: how many of these.
        lanes: floats in a vector.
        halves: the numbers of the pointers that point to half precision instead; nothing else is different for them.
        half: which one that is.
    """

    def __init__(
        self, pointers: int, integers: int, lanes: int, halves: Collection[int] = (), half: str = "bfloat16"
    ) -> None:
        self.lanes = lanes
        self.function = new_function(ir.VoidType(), [POINTER] * pointers + [INDEX] * integers)
        self.arguments = [
            Half(each, half) if number in halves else each for number, each in enumerate(self.function.args)
        ]
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.vector = ir.VectorType(FLOAT, lanes)
        self._fma = self.intrinsic("llvm.fma", 3)

    def intrinsic(self, name: str, arguments: int) -> Value:
        """One of LLVM's own functions, from vectors to a vector."""
        full = f"{name}.v{self.lanes}f32"
        known = self.function.module.globals.get(full)
        if known is not None:
            return known
        kind = ir.FunctionType(self.vector, [self.vector] * arguments)
        return ir.Function(self.function.module, kind, full)

    def text(self) -> str:
        """The finished module."""
        self.builder.ret_void()
        return str(self.function.module)

    # -- integers

    def add(self, *values: Value | int) -> Value:
        """Their sum."""
        return self._chain(self.builder.add, values)

    def mul(self, *values: Value | int) -> Value:
        """Their product."""
        return self._chain(self.builder.mul, values)

    def _chain(self, verb: Callable[[Value, Value], Value], values: Sequence[Value | int]) -> Value:
        total, *others = [INDEX(each) if isinstance(each, int) else each for each in values]
        for each in others:
            total = verb(total, each)
        return total

    def smaller(self, first: Value, second: Value) -> Value:
        """The smaller of two."""
        return self.builder.select(self.builder.icmp_signed("<", first, second), first, second)

    def choose(self, condition: Value, first: Value, second: Value) -> Value:
        """``first if condition else second``: of numbers, or of addresses."""
        if isinstance(first, Half):
            return Half(self.builder.select(condition, first.pointer, second.pointer), first.dtype)
        return self.builder.select(condition, first, second)

    def is_within(self, value: Value, end: Value) -> Value:
        """Whether ``0 <= value < end``."""
        return self.builder.icmp_unsigned("<", value, end)

    # -- loops

    def each(self, first: Value | int, end: Value | int, stride: int, body: Callable[[Value], None]) -> None:
        """``for (at = first; at < end; at += stride) body(at)``."""

        def step(at: Value, _: list[Value]) -> list[Value]:
            body(at)
            return []

        self.fold(first, end, stride, [], step)

    def fold(
        self,
        first: Value | int,
        end: Value | int,
        stride: int,
        values: Sequence[Value],
        body: Callable[[Value, list[Value]], list[Value]],
    ) -> list[Value]:
        """The same loop, with values that each turn hands to the next: what the last one gave."""
        first, end = (INDEX(each) if isinstance(each, int) else each for each in (first, end))
        return counted(self.builder, first, end, stride, values, body)

    # -- memory and vectors

    def at(self, start: Value, *indices: Value | int) -> Value:
        """The address of the number that is the sum of ``indices`` away."""
        if isinstance(start, Half):
            place = self.builder.gep(start.pointer, [self.add(*indices)], source_etype=SHORT)
            return Half(place, start.dtype)
        return self.builder.gep(start, [self.add(*indices)], source_etype=FLOAT)

    def number(self, place: Value) -> Value:
        """The float at an address."""
        return self._read(place, lambda kind: kind)

    def integer(self, start: Value, index: Value) -> Value:
        """The 64-bit integer that is ``index`` of these away."""
        return self.builder.load(self.builder.gep(start, [index], source_etype=INDEX), typ=INDEX, align=8)

    def load(self, place: Value) -> Value:
        """The vector at an address."""
        return self._read(place, lambda kind: ir.VectorType(kind, self.lanes))

    def _read(self, place: Value, shaped: Callable[[Any], Any]) -> Value:
        if isinstance(place, Half):
            loaded = self.builder.load(place.pointer, typ=shaped(STORED[place.dtype]), align=2)
            return widened(self.builder, loaded, place.dtype)
        return self.builder.load(place, typ=shaped(FLOAT), align=4)

    def store(self, value: Value, place: Value) -> None:
        """Writes a vector, or a float."""
        if isinstance(place, Half):
            self.builder.store(narrowed(self.builder, value, place.dtype), place.pointer, align=2)
        else:
            self.builder.store(value, place, align=4)

    def store_quickly(self, value: Value, place: Value) -> None:
        """Writes a vector of 16 by the processor's instruction for bfloat16, which takes the smallest numbers for 0."""
        if isinstance(place, Half):
            self.builder.store(quickly_narrowed(self.builder, value), place.pointer, align=2)
        else:
            self.store(value, place)

    def constant(self, value: float) -> Value:
        """The same number in all lanes."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def splat(self, value: Value) -> Value:
        """The same number in all lanes."""
        vector = ir.VectorType(value.type, self.lanes)
        one = self.builder.insert_element(ir.Constant(vector, ir.Undefined), value, _LANE(0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, zeros)

    def gathered(self, places: Sequence[Value]) -> Value:
        """A vector of the floats at these addresses."""
        vector: Value = ir.Constant(self.vector, ir.Undefined)
        for lane, place in enumerate(places):
            vector = self.builder.insert_element(vector, self.number(place), _LANE(lane))
        return vector

    def scatter(self, vector: Value, places: Sequence[Value]) -> None:
        """Writes each lane to an address of its own."""
        for lane, place in enumerate(places):
            self.store(self.builder.extract_element(vector, _LANE(lane)), place)

    def keep(self, value: Value, count: Value, other: Value) -> Value:
        """The lanes before ``count``, which may have any sign, of one vector, the rest of another."""
        lanes = ir.VectorType(_LANE, self.lanes)
        short = self.builder.trunc(count, _LANE)
        numbers = ir.Constant(lanes, list(range(self.lanes)))
        is_before = self.builder.icmp_signed("<", numbers, self.splat(short))
        return self.builder.select(is_before, value, other)

    def across(self, verb: Callable[[Value, Value], Value], value: Value) -> Value:
        """What ``verb`` makes of all lanes, in each lane: of the first with the middle one, and so on."""
        distance = self.lanes // 2
        while distance:
            order = [(lane + distance) % self.lanes for lane in range(self.lanes)]
            turned = self.builder.shuffle_vector(
                value, value, ir.Constant(ir.VectorType(_LANE, self.lanes), order)
            )
            value = verb(value, turned)
            distance //= 2
        return value

    def fma(self, first: Value, second: Value, total: Value) -> Value:
        """``first * second + total``, rounded once."""
        return self.builder.call(self._fma, [first, second, total])

    def sums(self, *pairs: str | Value) -> Value:
        """``sums("+", a, "-", b)``: vectors added up from left to right."""
        total = None
        for sign, value in zip(pairs[::2], pairs[1::2], strict=True):
            if total is None:
                total = value if sign == "+" else self.builder.fneg(value)
            else:
                total = (self.builder.fadd if sign == "+" else self.builder.fsub)(total, value)
        return total
