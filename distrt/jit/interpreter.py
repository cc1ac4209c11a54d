"""Runs programs: each statement and expression becomes a Python closure once, which calls what ``table.py`` allows.

A frame is a dict of local names. A statement's closure returns None, or what ends its block: ``_BREAK``, ``_CONTINUE``,
or the value that is returned, in a tuple.
"""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

from distrt.amp.autocast_mode import autocast
from distrt.core.errors import ScriptError
from distrt.core.modes import enable_grad, inference_mode, no_grad
from distrt.jit import types
from distrt.jit.attributes import attribute_of, set_attribute
from distrt.jit.evaluation import Expressions, Frame, Run
from distrt.jit.program import IR, Function, Program
from distrt.jit.table import DTYPES

_BREAK, _CONTINUE = "break", "continue"

_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv, "//": operator.ifloordiv,
    "%": operator.imod, "**": operator.ipow, "@": operator.imatmul, "&": operator.iand, "|": operator.ior,
    "^": operator.ixor, "<<": operator.ilshift, ">>": operator.irshift,
}  # fmt: skip


@functools.cache
def _error(name: str) -> type[Exception]:
    """The class of a program's own error: the one that its source names, and ``jit.Error``, which PyTorch raises."""
    named = getattr(builtins, name)
    return type(name, (ScriptError, named), {}) if named is not RuntimeError else ScriptError


def _entered(context: Any) -> Callable[[], Any]:
    """What makes the block of a ``with`` statement."""
    if isinstance(context, list):
        _, device_type, narrow, enabled = context
        dtype = None if narrow is None else DTYPES[narrow]
        return functools.partial(autocast, device_type, dtype=dtype, enabled=enabled)
    return {"no_grad": no_grad, "enable_grad": enable_grad, "inference_mode": inference_mode}[context]


class Runner:
    """The functions of one program, ready to be called."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._ready: dict[int, tuple[Function, Run]] = {}

    def call(self, function: Function, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a function of the program; ``owner`` is what ``self`` is in it, or None."""
        frame = self._bound(function, args, kwargs, owner is not None)
        if owner is not None:
            frame["self"] = owner
        ended = self._body(function)(frame)
        return ended[0] if ended.__class__ is tuple else None

    def _body(self, function: Function) -> Run:
        ready = self._ready.get(id(function))
        if ready is None:
            ready = self._ready[id(function)] = (function, _Maker(self, self.program).block(function.body))
        return ready[1]

    def _bound(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], is_method: bool
    ) -> Frame:
        """The frame with the arguments in it, which must be of their types.

        Raises:
            RuntimeError: for arguments that the function does not take.
        """
        positional = [each for each in function.parameters if not each.keyword_only]
        if len(args) > len(positional):
            raise RuntimeError(
                f"{function.name}() expected at most {len(positional)} argument(s) but received {len(args)} "
                "argument(s)."
            )
        frame = {each.name: given for each, given in zip(positional, args, strict=False)}
        names = {each.name for each in function.parameters}
        for key, value in kwargs.items():
            if key not in names:
                raise RuntimeError(f"{function.name}() got an unexpected keyword argument '{key}'")
            if key in frame:
                raise RuntimeError(f"{function.name}() got multiple values for argument '{key}'")
            frame[key] = value
        for position, each in enumerate(function.parameters):
            if each.name not in frame:
                if each.default is None:
                    raise RuntimeError(f"{function.name}() is missing value for argument '{each.name}'.")
                frame[each.name] = _Maker(self, self.program).expression(each.default)({})
            elif not types.holds(each.type, frame[each.name]):
                found = types.of_value(frame[each.name]) or type(frame[each.name]).__name__
                raise RuntimeError(
                    f"{function.name}() Expected a value of type '{types.text_of(each.type)}' for argument "
                    f"'{each.name}' but instead found type '{types.text_of(found)}'.\nPosition: {position + is_method}"
                )
            elif type(frame[each.name]) is tuple and each.type[0] == "List":
                frame[each.name] = list(frame[each.name])
        return frame


class _Maker(Expressions):
    """Makes closures of statements."""

    def block(self, statements: list[IR]) -> Run:
        runs = [getattr(self, f"_{each[0]}_statement")(*each[2:]) for each in statements]

        def run(frame: Frame) -> Any:
            for each in runs:
                ended = each(frame)
                if ended is not None:
                    return ended
            return None

        return run

    def _assign_statement(self, target: IR, value: IR) -> Run:
        compute, put = self.expression(value), self.target(target)

        def run(frame: Frame) -> None:
            put(frame, compute(frame))

        return run

    def _augment_statement(self, operation: str, target: IR, value: IR) -> Run:
        """The target's own parts are computed once."""
        compute, change = self.expression(value), _IN_PLACE[operation]
        if target[0] == "local":
            name = target[1]

            def run(frame: Frame) -> None:
                frame[name] = change(frame[name], compute(frame))

        elif target[0] == "attr":
            owner, name = self.expression(target[1]), target[2]

            def run(frame: Frame) -> None:
                whole = owner(frame)
                set_attribute(whole, name, change(attribute_of(whole, name), compute(frame)))

        else:
            owner, key = self.expression(target[1]), self.expression(target[2])

            def run(frame: Frame) -> None:
                whole, place = owner(frame), key(frame)
                whole[place] = change(whole[place], compute(frame))

        return run

    def _expr_statement(self, value: IR) -> Run:
        compute = self.expression(value)

        def run(frame: Frame) -> None:
            compute(frame)

        return run

    def _if_statement(self, test: IR, body: list[IR], otherwise: list[IR]) -> Run:
        compute, yes, no = self.expression(test), self.block(body), self.block(otherwise)
        return lambda frame: yes(frame) if compute(frame) else no(frame)

    def _while_statement(self, test: IR, body: list[IR]) -> Run:
        compute, inside = self.expression(test), self.block(body)

        def run(frame: Frame) -> Any:
            while compute(frame):
                ended = inside(frame)
                if ended is not None and ended is not _CONTINUE:
                    return None if ended is _BREAK else ended
            return None

        return run

    def _for_statement(self, target: IR, source: IR, body: list[IR]) -> Run:
        compute, put, inside = self.expression(source), self.target(target), self.block(body)

        def run(frame: Frame) -> Any:
            for each in compute(frame):
                put(frame, each)
                ended = inside(frame)
                if ended is not None and ended is not _CONTINUE:
                    return None if ended is _BREAK else ended
            return None

        return run

    def _return_statement(self, value: IR) -> Run:
        compute = self.expression(value)
        return lambda frame: (compute(frame),)

    def _break_statement(self) -> Run:
        return lambda frame: _BREAK

    def _continue_statement(self) -> Run:
        return lambda frame: _CONTINUE

    def _assert_statement(self, test: IR, message: IR | None) -> Run:
        compute, say = self.expression(test), self.expression(message or ["const", ""])
        exception = _error("AssertionError")

        def run(frame: Frame) -> None:
            if not compute(frame):
                raise exception(say(frame))

        return run

    def _raise_statement(self, kind: str, message: IR | None) -> Run:
        say, exception = self.expression(message or ["const", ""]), _error(kind)

        def run(frame: Frame) -> None:
            raise exception(say(frame))

        return run

    def _with_statement(self, context: Any, body: list[IR]) -> Run:
        inside = self.block(body)
        if context == "nothing":
            return inside
        enter = _entered(context)

        def run(frame: Frame) -> Any:
            with enter():
                return inside(frame)

        return run

    def _delete_statement(self, target: IR) -> Run:
        if target[0] == "local":
            name = target[1]

            def run(frame: Frame) -> None:
                del frame[name]

        else:
            owner, key = self.expression(target[1]), self.expression(target[2])

            def run(frame: Frame) -> None:
                del owner(frame)[key(frame)]

        return run
