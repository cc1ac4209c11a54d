"""What the names in a function mean, where it was written; and the types that its annotations name.

Annotations are read from the syntax tree, never evaluated as text.
"""

from __future__ import annotations

import ast
import builtins
import types
import typing
from typing import Any

from distrt.core.tensor import Tensor
from distrt.jit import types as kinds
from distrt.jit.frontend import Source

MISSING = object()
#: Names that comments on types may use without an import.
_TYPES = {
    "Tensor": Tensor,
    **{name: getattr(typing, name) for name in "Any Dict List Optional Tuple Union".split()},
}


class Names:
    """The names that a Python function sees besides its own: those around it, its module's, and Python's."""

    def __init__(self, function: types.FunctionType) -> None:
        self._globals = function.__globals__
        self._around: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._around[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue

    def find(self, name: str) -> Any:
        """The object of a name, or MISSING."""
        for space in (self._around, self._globals, vars(builtins)):
            if name in space:
                return space[name]
        return MISSING


class Annotations:
    """Reads annotations of one function."""

    def __init__(self, source: Source, names: Names) -> None:
        self._source, self._names = source, names

    def type_of(self, node: ast.AST | None) -> Any:
        """The type that an annotation names; None without one."""
        if node is None:
            return None
        found = self._object(node)
        try:
            return kinds.of_annotation(found)
        except TypeError as fault:
            self._source.refuse(node, str(fault))

    def in_comment(self, text: str) -> Any:
        """The type that a comment states."""
        try:
            return self.type_of(ast.parse(text, mode="eval").body)
        except SyntaxError:
            return None

    def signature(self, text: str | None, count: int) -> tuple[list[Any], Any]:
        """The types of parameters and result in a comment such as ``(Tensor, int) -> Tensor``; None without one."""
        if text is None:
            return [None] * count, None
        stated = ast.parse(text, mode="func_type")
        kinds_stated = [self.type_of(each) for each in stated.argtypes]
        if len(kinds_stated) != count:
            self._source.refuse(
                self._source.tree,
                f"The number of type annotations for function parameters ({len(kinds_stated)}) does not match the "
                f"number of parameters on the function ({count})!",
            )
        return kinds_stated, self.type_of(stated.returns)

    def class_of(self, node: ast.AST) -> list[Any]:
        """The types in the second argument of ``isinstance``."""
        nodes = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
        return [self.type_or_bare(each) for each in nodes]

    def type_or_bare(self, node: ast.AST) -> Any:
        """As ``type_of``; ``list``, ``dict`` and ``tuple`` stand for those of anything."""
        found = self._object(node)
        bare = {list: "List", dict: "Dict", tuple: "Tuple"}
        return bare[found] if found in bare else self.type_of(node)

    def _object(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                return self._object(ast.parse(node.value, mode="eval").body)
            return node.value
        if isinstance(node, ast.Name):
            found = self._names.find(node.id)
            if found is MISSING:
                found = _TYPES.get(node.id, MISSING)
            if found is MISSING:
                self._source.refuse(node, f"Unknown type name '{node.id}'")
            return found
        if isinstance(node, ast.Attribute):
            return getattr(self._object(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            return self._object(node.value)[self._object(node.slice)]
        if isinstance(node, ast.Tuple):
            return tuple(self._object(each) for each in node.elts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return typing.Union[self._object(node.left), self._object(node.right)]  # noqa: UP007 - None among them
        if isinstance(node, ast.List):
            return [self._object(each) for each in node.elts]
        self._source.refuse(
            node, "Expression of type " + type(node).__name__ + " cannot be used in a type expression"
        )
