"""The code of a `Loop`, in LLVM's language.

For each set of arrays: whole vectors, then what is left one by one, with the same operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from distrt.core.kernels import half_code
from distrt.core.kernels.loops import _VECTOR_BYTES, Loop, Step

__all__ = ["INDEX", "POINTER", "LoopWriter", "code_of", "counted", "new_function"]

INDEX, POINTER = ir.IntType(64), ir.PointerType()
_BITS = ir.IntType(32)
_COMPUTED = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "float16": ir.FloatType(),
    "bfloat16": ir.FloatType(),
}
_STORED = {"float32": ir.FloatType(), "float64": ir.DoubleType(), **half_code.STORED}
_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}

Value = Any  # of llvmlite.ir


def code_of(loop: Loop) -> str:
    """A module with one function, "run"; see `Loop`."""
    function = new_function(ir.VoidType(), [INDEX, POINTER, POINTER, POINTER])
    writer = LoopWriter(function, loop)
    builder = writer.builder
    count, sizes, pointers, constants = function.args
    given = [writer.item(constants, INDEX(index), writer.computed) for index in range(loop.constants)]

    def one_set(number: Value) -> None:
        size = writer.item(sizes, number, INDEX)
        first = builder.mul(number, INDEX(loop.arrays))
        places = [builder.add(first, INDEX(index)) for index in range(loop.arrays)]
        writer.run([writer.item(pointers, place, POINTER) for place in places], given, size)

    writer.each(INDEX(0), count, 1, one_set)
    builder.ret_void()
    return str(function.module)


def new_function(result: Any, arguments: list[Any]) -> ir.Function:
    """A function "run" in a module of its own."""
    return ir.Function(ir.Module(), ir.FunctionType(result, arguments), "run")


def counted(
    builder: ir.IRBuilder,
    first: Value,
    end: Value,
    stride: int,
    values: Sequence[Value],
    body: Callable[[Value, list[Value]], list[Value]],
) -> list[Value]:
    """Writes ``for (at = first; at < end; at += stride) values = body(at, values)``; gives what comes out."""
    before = builder.block
    head, inside, after = (builder.function.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    at = builder.phi(INDEX)
    at.add_incoming(first, before)
    carried = []
    for value in values:
        carried.append(builder.phi(value.type))
        carried[-1].add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", at, end), inside, after)
    builder.position_at_end(inside)
    made = body(at, carried)
    at.add_incoming(builder.add(at, INDEX(stride)), builder.block)
    for phi, value in zip(carried, made, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return carried


class LoopWriter:
    """Writes a loop into a function, which it begins."""

    def __init__(self, function: ir.Function, loop: Loop) -> None:
        self._loop = loop
        self._dtypes = ["bfloat16" if n in loop.halves else loop.dtype for n in range(loop.arrays)]
        self._lanes = _VECTOR_BYTES // (8 if loop.dtype == "float64" else 4)
        self.computed = _COMPUTED[loop.dtype]
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    def item(self, start: Value, index: Value, kind: Any) -> Value:
        """``start[index]``."""
        return self.builder.load(self.builder.gep(start, [index], source_etype=kind), typ=kind)

    def each(self, first: Value, end: Value, stride: int, body: Callable[[Value], None]) -> None:
        """``for (at = first; at < end; at += stride) body(at)``."""

        def turn(at: Value, _: list[Value]) -> list[Value]:
            body(at)
            return []

        counted(self.builder, first, end, stride, [], turn)

    def run(self, arrays: list[Value], constants: list[Value], size: Value) -> None:
        """The loop over ``size`` elements of the arrays at these addresses."""
        whole = self.builder.and_(size, INDEX(-self._lanes))
        self.each(INDEX(0), whole, self._lanes, lambda at: self._body(arrays, constants, at, self._lanes))
        self.each(whole, size, 1, lambda at: self._body(arrays, constants, at, 1))

    def _body(self, arrays: list[Value], constants: list[Value], at: Value, lanes: int) -> None:
        loop, builder = self._loop, self.builder
        code = _Arithmetic(builder, self.computed, lanes)
        used = {operand for step in loop.steps for operand in step.operands} | {
            value for _, value in loop.stores
        }
        places = [
            builder.gep(array, [at], source_etype=_STORED[dtype])
            for array, dtype in zip(arrays, self._dtypes, strict=True)
        ]
        values: list[Value] = [
            code.widened(builder.load(place, typ=code.of(_STORED[dtype]), align=_BYTES[dtype]), dtype)
            if index in used
            else None
            for index, (place, dtype) in enumerate(zip(places, self._dtypes, strict=True))
        ]
        values += [code.splat(constant) for constant in constants]
        for step in loop.steps:
            values.append(code.step(step, [values[operand] for operand in step.operands]))
        for array, value in loop.stores:
            dtype = self._dtypes[array]
            builder.store(code.narrowed(values[value], dtype), places[array], align=_BYTES[dtype])


class _Arithmetic:
    """Operations on ``lanes`` elements at once."""

    def __init__(self, builder: ir.IRBuilder, kind: Any, lanes: int) -> None:
        self._builder, self._kind, self._lanes = builder, kind, lanes

    def of(self, kind: Any) -> Any:
        return kind if self._lanes == 1 else ir.VectorType(kind, self._lanes)

    def constant(self, kind: Any, value: Any) -> Value:
        return kind(value) if self._lanes == 1 else ir.Constant(self.of(kind), [value] * self._lanes)

    def splat(self, value: Value) -> Value:
        """The same number in all lanes."""
        if self._lanes == 1:
            return value
        one = self._builder.insert_element(ir.Constant(self.of(value.type), ir.Undefined), value, _BITS(0))
        zeros = ir.Constant(ir.VectorType(_BITS, self._lanes), [0] * self._lanes)
        return self._builder.shuffle_vector(one, one, zeros)

    def step(self, step: Step, operands: list[Value]) -> Value:
        builder = self._builder
        match step.verb:
            case "add":
                return builder.fadd(*operands)
            case "sub":
                return builder.fsub(*operands)
            case "mul":
                return builder.fmul(*operands)
            case "div":
                return builder.fdiv(*operands)
            case "neg":
                return builder.fneg(*operands)
            case "abs":
                return self._intrinsic("fabs", *operands)
            case "sqrt":
                return self._intrinsic("sqrt", *operands)
            case "max":
                return self._extreme(">=", *operands)
            case "min":
                return self._extreme("<=", *operands)
            case "by_sign":
                return self._by_sign(*operands)
            case "from_exponent":
                bits = builder.bitcast(operands[0], self.of(_BITS))
                return builder.bitcast(builder.shl(bits, self.constant(_BITS, 23)), self.of(self._kind))
            case "float16" | "bfloat16":
                return self.widened(self.narrowed(operands[0], step.verb), step.verb)
        raise AssertionError(step.verb)

    def _intrinsic(self, name: str, value: Value) -> Value:
        letter = "f64" if isinstance(self._kind, ir.DoubleType) else "f32"
        name = f"llvm.{name}.{letter if self._lanes == 1 else f'v{self._lanes}{letter}'}"
        module = self._builder.module
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, ir.FunctionType(value.type, [value.type]), name)
        return self._builder.call(function, [value])

    def _extreme(self, comparison: str, first: Value, second: Value) -> Value:
        """The first where it wins or is no number; else the second, which may be none."""
        wins = self._builder.fcmp_ordered(comparison, first, second)
        return self._builder.select(self._builder.or_(wins, self._is_nan(first)), first, second)

    def _is_nan(self, value: Value) -> Value:
        return self._builder.fcmp_unordered("uno", value, value)

    def _by_sign(self, value: Value, above: Value, below: Value, else_: Value) -> Value:
        builder, zero = self._builder, self.constant(self._kind, 0.0)
        low = builder.select(builder.fcmp_ordered("<", value, zero), below, else_)
        return builder.select(builder.fcmp_ordered(">", value, zero), above, low)

    def widened(self, value: Value, dtype: str) -> Value:
        """What was loaded, in the dtype of computation."""
        return half_code.widened(self._builder, value, dtype) if dtype in half_code.STORED else value

    def narrowed(self, value: Value, dtype: str) -> Value:
        """What can be stored: rounded to the nearest, to even where two are."""
        return half_code.narrowed(self._builder, value, dtype) if dtype in half_code.STORED else value
