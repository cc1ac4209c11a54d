"""Holds what a file says is a program against the forms that ``program.py`` lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.errors import CheckpointError
from distrt.files.faults import quoted
from distrt.jit import table
from distrt.jit.program import (
    BINARY,
    COMPARISONS,
    CONTEXTS,
    EXCEPTIONS,
    EXPRESSIONS,
    MOST_DEPTH,
    MOST_PARTS,
    STATEMENTS,
    TARGETS,
    UNARY,
    Function,
    Parameter,
)


class Budget:
    """How much an archive may still say: a small pickle can refer to the same list again and again."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def spend(self, what: str, depth: int) -> None:
        """Takes note of one more part.

        Raises:
            CheckpointError: where the archive says too much, or parts lie too deep in one another.
        """
        self._left -= 1
        if self._left < 0 or depth > MOST_DEPTH:
            raise CheckpointError(f"the archive's program is too deep or too long, at {what}")


def checked_function(said: Any, names: frozenset[str], constants: int, budget: Budget) -> Function:
    """The function that a file describes.

    Raises:
        CheckpointError: where that is no description of a function.
    """
    check = _Check(names, constants, budget)
    if not isinstance(said, dict) or set(said) != {"name", "parameters", "returns", "body"}:
        raise _refusal("function", said)
    check.name(said["name"])
    if not isinstance(said["parameters"], list):
        raise _refusal("parameters", said["parameters"])
    parameters = []
    for each in said["parameters"]:
        if not isinstance(each, list) or len(each) != 4 or not isinstance(each[3], bool):
            raise _refusal("parameter", each)
        check.name(each[0])
        check.type(each[1], 0)
        if each[2] is not None:
            check.expression(each[2], 0)
        parameters.append(Parameter(*each))
    if said["returns"] is not None:
        check.type(said["returns"], 0)
    check.block(said["body"], 0)
    return Function(said["name"], parameters, said["returns"], said["body"])


def _refusal(what: str, said: object) -> CheckpointError:
    return CheckpointError(f"the archive's program has no {what} of this form: {quoted(said)}")


#: For each kind, what looks at its parts.
Forms = dict[str, tuple[Callable[["_Check", Any, int], None], ...]]


class _Check:
    """Holds what a file says against the forms that there are."""

    def __init__(self, names: frozenset[str], constants: int, budget: Budget) -> None:
        self._names, self._constants, self._budget = names, constants, budget

    def name(self, said: Any) -> None:
        if not isinstance(said, str) or len(said) > 1000 or not said.replace(".", "_").isidentifier():
            raise _refusal("name", said)

    def type(self, said: Any, depth: int) -> None:
        self._budget.spend("a type", depth)
        if said is None or (isinstance(said, str) and said in table.PLAIN_TYPES):
            return
        if not isinstance(said, list) or not said or said[0] not in table.COMPOSED_TYPES or len(said) > 100:
            raise _refusal("type", said)
        for each in said[1:]:
            self.type(each, depth + 1)

    def block(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            raise _refusal("block", said)
        for each in said:
            self.statement(each, depth + 1)

    def statement(self, said: Any, depth: int) -> None:
        self._form(said, _STATEMENTS, "statement", depth, first=2)
        if len(said) < 2 or type(said[1]) is not int:
            raise _refusal("statement", said)

    def expression(self, said: Any, depth: int) -> None:
        self._form(said, _EXPRESSIONS, "expression", depth, first=1)

    def target(self, said: Any, depth: int) -> None:
        self._form(said, _TARGETS, "target", depth, first=1)

    def _form(self, said: Any, forms: Forms, what: str, depth: int, first: int) -> None:
        self._budget.spend(what, depth)
        if not isinstance(said, list) or not said or not isinstance(said[0], str) or said[0] not in forms:
            raise _refusal(what, said)
        parts = forms[said[0]]
        if len(said) != first + len(parts):
            raise _refusal(what, said)
        for part, each in zip(parts, said[first:], strict=True):
            part(self, each, depth + 1)

    # -- the parts of forms, by the words in the tables below

    def _expr(self, said: Any, depth: int) -> None:
        self.expression(said, depth)

    def _maybe(self, said: Any, depth: int) -> None:
        if said is not None:
            self.expression(said, depth)

    def _exprs(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            raise _refusal("list of expressions", said)
        for each in said:
            self.expression(each, depth)

    def _kwargs(self, said: Any, depth: int) -> None:
        if not isinstance(said, dict):
            raise _refusal("list of keyword arguments", said)
        for key, each in said.items():
            self.name(key)
            self.expression(each, depth)

    def _pairs(self, said: Any, depth: int) -> None:
        if not isinstance(said, list) or not all(isinstance(each, list) and len(each) == 2 for each in said):
            raise _refusal("list of pairs", said)
        for key, each in said:
            self.expression(key, depth)
            self.expression(each, depth)

    def _pieces(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            raise _refusal("text", said)
        for each in said:
            if not isinstance(each, list) or len(each) != 3 or each[1] not in ("", "r", "s", "a"):
                raise _refusal("text", said)
            self.expression(each[0], depth)
            if not isinstance(each[2], str) or len(each[2]) > 100:
                raise _refusal("format", each[2])

    def _to(self, said: Any, depth: int) -> None:
        self.target(said, depth)

    def _tos(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            raise _refusal("list of targets", said)
        for each in said:
            self.target(each, depth)

    def _block(self, said: Any, depth: int) -> None:
        self.block(said, depth)

    def _name(self, said: Any, depth: int) -> None:
        self.name(said)

    def _attribute(self, said: Any, depth: int) -> None:
        if not isinstance(said, str) or not said or len(said) > 1000 or said.startswith("__"):
            raise _refusal("attribute", said)  # children may have any name, numbers for example

    def _operation(self, said: Any, depth: int) -> None:
        if not isinstance(said, str) or not table.has(said):
            raise _refusal("operation", said)

    def _fields(self, said: Any, depth: int) -> None:
        known = isinstance(said, list) and len(said) <= 255 and all(isinstance(each, str) for each in said)
        if not known or len(set(said)) != len(said):
            raise _refusal("list of fields", said)
        for each in said:
            if not each.isidentifier() or each.startswith("_") or len(each) > 1000:
                raise _refusal("field", each)

    def _function(self, said: Any, depth: int) -> None:
        if said not in self._names:
            raise _refusal("function", said)

    def _constant(self, said: Any, depth: int) -> None:
        if said is not None and type(said) not in (bool, int, float, complex, str):
            raise _refusal("constant", said)

    def _place(self, said: Any, depth: int) -> None:
        if type(said) is not int or not 0 <= said < self._constants:
            raise _refusal("constant", said)

    def _binary(self, said: Any, depth: int) -> None:
        self._one_of(said, BINARY)

    def _unary(self, said: Any, depth: int) -> None:
        self._one_of(said, UNARY)

    def _comparisons(self, said: Any, depth: int) -> None:
        if not isinstance(said, list) or not said:
            raise _refusal("comparison", said)
        for each in said:
            self._one_of(each, COMPARISONS)

    def _context(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            self._one_of(said, CONTEXTS)
        elif len(said) != 4 or said[0] != "autocast" or not isinstance(said[3], bool):
            raise _refusal("context", said)
        else:
            self._device(said[1], depth)
            if said[2] is not None:
                self._one_of(said[2], table.DTYPES)

    def _exception(self, said: Any, depth: int) -> None:
        self._one_of(said, EXCEPTIONS)

    def _dtype(self, said: Any, depth: int) -> None:
        self._one_of(said, table.DTYPES)

    def _format(self, said: Any, depth: int) -> None:
        self._one_of(said, table.MEMORY_FORMATS)

    def _layout(self, said: Any, depth: int) -> None:
        self._one_of(said, ["strided"])

    def _device(self, said: Any, depth: int) -> None:
        if not isinstance(said, str) or len(said) > 30:
            raise _refusal("device", said)

    def _types(self, said: Any, depth: int) -> None:
        if not isinstance(said, list):
            raise _refusal("list of types", said)
        for each in said:
            self.type(each, depth)

    def _one_of(self, said: Any, allowed: Any) -> None:
        if not isinstance(said, str) or said not in allowed:
            raise _refusal("word", said)


def _parsed(forms: dict[str, str]) -> Forms:
    return {
        kind: tuple(getattr(_Check, f"_{part}") for part in parts.split()) for kind, parts in forms.items()
    }


_STATEMENTS, _EXPRESSIONS, _TARGETS = _parsed(STATEMENTS), _parsed(EXPRESSIONS), _parsed(TARGETS)
