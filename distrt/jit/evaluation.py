"""Expressions as Python closures of a frame, the dict of local names."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from distrt.core.device import device
from distrt.core.tensors import formats
from distrt.jit import table, types
from distrt.jit.attributes import attribute_of, bound_method, set_attribute
from distrt.jit.named import named_tuple
from distrt.jit.program import IR, Program
from distrt.nn.modules.module import Module

if TYPE_CHECKING:
    from distrt.jit.interpreter import Runner

Frame = dict[str, Any]
Run = Callable[[Frame], Any]

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "@": operator.matmul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip
_UNARY: dict[str, Callable[[Any], Any]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
    "not": operator.not_,
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": operator.is_, "is not": operator.is_not, "in": lambda a, b: a in b, "not in": lambda a, b: a not in b,
}  # fmt: skip


class Expressions:
    """Makes closures of expressions and targets."""

    def __init__(self, runner: Runner, program: Program) -> None:
        self._runner, self._program = runner, program

    # -- targets

    def target(self, target: IR) -> Callable[[Frame, Any], None]:
        """What puts a value where an assignment says."""
        kind = target[0]
        if kind == "local":
            name = target[1]
            return lambda frame, value: frame.__setitem__(name, value)
        if kind == "attr":
            owner, attribute = self.expression(target[1]), target[2]
            return lambda frame, value: set_attribute(owner(frame), attribute, value)
        if kind == "index":
            owner, key = self.expression(target[1]), self.expression(target[2])
            return lambda frame, value: operator.setitem(owner(frame), key(frame), value)
        return self._unpacking(target[1])

    def _unpacking(self, targets: list[IR]) -> Callable[[Frame, Any], None]:
        star = next((number for number, each in enumerate(targets) if each[0] == "star"), None)
        puts = [self.target(each[1] if each[0] == "star" else each) for each in targets]
        after = 0 if star is None else len(targets) - star - 1

        def put(frame: Frame, value: Any) -> None:
            given = list(value)
            if star is not None and len(given) >= len(puts) - 1:
                end = len(given) - after
                given = [*given[:star], given[star:end], *given[end:]]
            if len(given) != len(puts):
                raise RuntimeError(
                    f"Expected {len(puts)} elements in a list to unpack but found {len(given)}"
                )
            for each, one in zip(puts, given, strict=True):
                each(frame, one)

        return put

    # -- expressions

    def expression(self, expression: IR) -> Run:
        """What computes an expression."""
        made: Run = getattr(self, f"_{expression[0]}")(*expression[1:])
        return made

    def _const(self, value: Any) -> Run:
        return lambda frame: value

    def _dtype(self, name: str) -> Run:
        return self._const(table.DTYPES[name])

    def _device(self, name: str) -> Run:
        return self._const(device(name))

    def _memory_format(self, name: str) -> Run:
        return self._const(table.MEMORY_FORMATS[name])

    def _layout(self, name: str) -> Run:
        return self._const(formats.strided)

    def _ellipsis(self) -> Run:
        return self._const(...)

    def _tensor(self, index: int) -> Run:
        return self._const(self._program.constants[index])

    def _local(self, name: str) -> Run:
        return lambda frame: frame[name]

    def _attr(self, owner: IR, name: str) -> Run:
        if owner[0] == "attr" and owner[1] == ["local", "self"]:  # as traces name every parameter
            middle = owner[2]
            return lambda frame: attribute_of(attribute_of(frame["self"], middle), name)
        whole = self.expression(owner)
        return lambda frame: attribute_of(whole(frame), name)

    def _index(self, owner: IR, key: IR) -> Run:
        whole, place = self.expression(owner), self.expression(key)
        return lambda frame: whole(frame)[place(frame)]

    def _slice(self, *parts: IR | None) -> Run:
        first, second, third = [self.expression(each or ["const", None]) for each in parts]
        return lambda frame: slice(first(frame), second(frame), third(frame))

    def _call(self, target: str, args: list[IR], kwargs: dict[str, IR]) -> Run:
        function = table.function(target)
        if not kwargs and not any(each[0] == "star" for each in args):
            if len(args) == 1:
                one = self.expression(args[0])
                return lambda frame: function(one(frame))
            if len(args) == 2:
                first, second = self.expression(args[0]), self.expression(args[1])
                return lambda frame: function(first(frame), second(frame))
        given = self._arguments(args, kwargs)

        def run(frame: Frame) -> Any:
            positional, named = given(frame)
            return function(*positional, **named)

        return run

    def _method(self, owner: IR, name: str, args: list[IR], kwargs: dict[str, IR]) -> Run:
        whole, given = self.expression(owner), self._arguments(args, kwargs)

        def run(frame: Frame) -> Any:
            method = bound_method(whole(frame), name)
            positional, named = given(frame)
            return method(*positional, **named)

        return run

    def _module(self, owner: IR, args: list[IR], kwargs: dict[str, IR]) -> Run:
        whole, given = self.expression(owner), self._arguments(args, kwargs)

        def run(frame: Frame) -> Any:
            module = whole(frame)
            if not isinstance(module, Module):
                raise RuntimeError(f"'{type(module).__name__}' object is not callable")
            positional, named = given(frame)
            return module(*positional, **named)

        return run

    def _function(self, name: str, args: list[IR], kwargs: dict[str, IR]) -> Run:
        given, runner, program = self._arguments(args, kwargs), self._runner, self._program

        def run(frame: Frame) -> Any:
            positional, named = given(frame)
            return runner.call(program.functions[name], None, tuple(positional), named)

        return run

    def _python(self, name: str, args: list[IR], kwargs: dict[str, IR]) -> Run:
        given, function = self._arguments(args, kwargs), self._program.python[name]

        def run(frame: Frame) -> Any:
            positional, named = given(frame)
            return function(*positional, **named)

        return run

    def _arguments(
        self, args: list[IR], kwargs: dict[str, IR]
    ) -> Callable[[Frame], tuple[list[Any], dict[str, Any]]]:
        positional = [
            (self.expression(each[1] if each[0] == "star" else each), each[0] == "star") for each in args
        ]
        named = {key: self.expression(each) for key, each in kwargs.items()}

        def run(frame: Frame) -> tuple[list[Any], dict[str, Any]]:
            found: list[Any] = []
            for compute, is_star in positional:
                if is_star:
                    found.extend(compute(frame))
                else:
                    found.append(compute(frame))
            return found, {key: compute(frame) for key, compute in named.items()}

        return run

    def _tuple(self, items: list[IR]) -> Run:
        collect = self._arguments(items, {})
        return lambda frame: tuple(collect(frame)[0])

    def _named(self, name: str, fields: list[str], items: list[IR]) -> Run:
        made, collect = named_tuple(name, tuple(fields)), self._arguments(items, {})

        def run(frame: Frame) -> Any:
            values = collect(frame)[0]
            if len(values) != len(fields):
                raise RuntimeError(
                    f"{name}: {len(fields)} values expected for its fields, {len(values)} given"
                )
            return made(values)

        return run

    def _list(self, items: list[IR]) -> Run:
        collect = self._arguments(items, {})
        return lambda frame: collect(frame)[0]

    def _dict(self, pairs: list[list[IR]]) -> Run:
        made = [(self.expression(key), self.expression(value)) for key, value in pairs]
        return lambda frame: {key(frame): value(frame) for key, value in made}

    def _unary(self, operation: str, operand: IR) -> Run:
        function, compute = _UNARY[operation], self.expression(operand)
        return lambda frame: function(compute(frame))

    def _binary(self, operation: str, left: IR, right: IR) -> Run:
        function, first, second = _BINARY[operation], self.expression(left), self.expression(right)
        return lambda frame: function(first(frame), second(frame))

    def _compare(self, operations: list[str], operands: list[IR]) -> Run:
        functions, computes = [_COMPARE[each] for each in operations], [self.expression(e) for e in operands]
        if len(functions) == 1:
            function, first, second = functions[0], computes[0], computes[1]
            return lambda frame: function(first(frame), second(frame))

        def run(frame: Frame) -> Any:
            left, holds = computes[0](frame), True
            for function, compute in zip(functions, computes[1:], strict=True):
                right = compute(frame)
                holds = function(left, right)
                if not holds:
                    break
                left = right
            return holds

        return run

    def _and(self, operands: list[IR]) -> Run:
        computes = [self.expression(each) for each in operands]

        def run(frame: Frame) -> Any:
            found = True
            for compute in computes:
                found = compute(frame)
                if not found:
                    break
            return found

        return run

    def _or(self, operands: list[IR]) -> Run:
        computes = [self.expression(each) for each in operands]

        def run(frame: Frame) -> Any:
            found = False
            for compute in computes:
                found = compute(frame)
                if found:
                    break
            return found

        return run

    def _ifexp(self, test: IR, yes: IR, no: IR) -> Run:
        compute, first, second = self.expression(test), self.expression(yes), self.expression(no)
        return lambda frame: first(frame) if compute(frame) else second(frame)

    def _text(self, pieces: list[Any]) -> Run:
        made = [(self.expression(each), conversion, spec) for each, conversion, spec in pieces]
        convert: dict[str, Callable[[Any], Any]] = {"": lambda x: x, "r": repr, "s": str, "a": ascii}
        return lambda frame: "".join(format(convert[how](one(frame)), spec) for one, how, spec in made)

    def _isinstance(self, value: IR, kinds: list[Any]) -> Run:
        compute = self.expression(value)

        def run(frame: Frame) -> bool:
            found = compute(frame)
            return any(kind != "Any" and types.holds(kind, found) for kind in kinds)

        return run

    def _listcomp(self, target: IR, source: IR, condition: IR | None, element: IR) -> Run:
        rounds, one = self._rounds(target, source, condition), self.expression(element)
        return lambda frame: [one(inner) for inner in rounds(frame)]

    def _dictcomp(self, target: IR, source: IR, condition: IR | None, key: IR, value: IR) -> Run:
        rounds, first, second = (
            self._rounds(target, source, condition),
            self.expression(key),
            self.expression(value),
        )
        return lambda frame: {first(inner): second(inner) for inner in rounds(frame)}

    def _rounds(self, target: IR, source: IR, condition: IR | None) -> Callable[[Frame], Any]:
        """A comprehension's frames, one a round: its names are its own."""
        compute, put = self.expression(source), self.target(target)
        holds = self.expression(condition or ["const", True])

        def run(frame: Frame) -> Any:
            inner = dict(frame)
            for each in compute(frame):
                put(inner, each)
                if holds(inner):
                    yield inner

        return run
