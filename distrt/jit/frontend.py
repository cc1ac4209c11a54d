"""The source of a function, as a syntax tree, and errors that point into it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, NoReturn

from distrt.core.errors import ScriptError


class FrontendError(ScriptError):
    """A piece of source that is no part of the language."""


class NotSupportedError(FrontendError):
    """Something of Python's that programs do not have."""


class UnsupportedNodeError(NotSupportedError):
    """A kind of statement or expression that programs do not have."""


class Source:
    """The source of one Python function.

    Attributes:
        tree: its definition; line numbers are those of the file.
        file: the file's name.
    """

    tree: ast.FunctionDef

    def __init__(self, function: Any) -> None:
        try:
            lines, first = inspect.getsourcelines(function)
            self.file = inspect.getsourcefile(function) or ""
        except (OSError, TypeError) as fault:
            raise OSError(
                f"Can't get source for {function}. TorchScript requires source access in order to carry out "
                "compilation, make sure original .py files are available."
            ) from fault
        self._first = max(first, 1)
        self._lines = textwrap.dedent("".join(lines)).splitlines()
        found = _parsed("\n".join(self._lines))
        if len(found) != 1 or not isinstance(found[0], ast.FunctionDef):
            raise NotSupportedError(
                f"\nExpected a single top-level function: {self.file}:{self._first}\nThe source of "
                f"{getattr(function, '__name__', function)} is no single function definition; a lambda cannot be "
                "compiled"
            )
        self.tree = found[0]
        self.name = self.tree.name

    def line(self, node: ast.AST) -> int:
        """The node's line in the file."""
        return int(getattr(node, "lineno", 1)) + self._first - 1

    def refuse(self, node: ast.AST, message: str, kind: type[ScriptError] = ScriptError) -> NoReturn:
        """Raises an error that shows the line."""
        raise kind(f"\n{message}:\n{self.shown(node)}")

    def shown(self, node: ast.AST) -> str:
        """The line of a node with its neighbours, and a mark below the node."""
        number, column = int(getattr(node, "lineno", 1)) - 1, int(getattr(node, "col_offset", 0))
        end = int(getattr(node, "end_col_offset", column + 1) or column + 1)
        if getattr(node, "end_lineno", number + 1) != number + 1:
            end = len(self._lines[number])
        before = self._lines[max(0, number - 3) : number + 1]
        mark = " " * column + "~" * max(1, end - column) + " <--- HERE"
        after = self._lines[number + 1 : number + 2]
        return "\n".join([f'  File "{self.file}", line {self.line(node)}', *before, mark, *after])


def _parsed(text: str) -> list[ast.stmt]:
    """The statements of a text, with the types that its comments state where these make sense."""
    for type_comments in (True, False):
        try:
            return ast.parse(text, type_comments=type_comments).body
        except SyntaxError:  # a comment that is no type, or a lambda inside of an expression
            continue
    return []
