"""Takes the functions of one program into another, so that the other may call them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from distrt.jit.program import Function, Program


def merged(
    program: Program, other: Program, function: Function, fresh: Callable[[str], str] | None = None
) -> str:
    """Takes a function with all that it calls into a program.

    Args:
        program: what grows.
        other: the program that the function is in, or calls into.
        function: the function.
        fresh: gives a name that is free in ``program``.

    Returns:
        The name that the function has in ``program``.
    """
    fresh = fresh or (lambda wanted: fresh_name(program, wanted))
    renamed: dict[str, str] = {}
    for name in other.functions:
        renamed[name] = fresh(name)
        program.functions[renamed[name]] = function  # takes the name; the function itself follows
    shift = len(program.constants)
    program.constants += other.constants
    renamed_all = dict(renamed)
    for name, kept in other.python.items():
        renamed_all[name] = fresh(name)
        program.python[renamed_all[name]] = kept  # at once, so that no other takes the name
    for old, new in renamed.items():
        program.functions[new] = _moved(other.functions[old], renamed_all, shift)
    own = next((new for old, new in renamed.items() if other.functions[old] is function), None)
    if own is None:
        own = fresh(function.name)
        program.functions[own] = _moved(function, renamed_all, shift)
    return own


def fresh_name(program: Program, wanted: str, taken: Collection[str] = ()) -> str:
    """A name that no function of the program has, nor is among ``taken``."""
    stem = wanted if wanted.isidentifier() else "function"
    name, number = stem, 1
    while name in program.functions or name in program.python or name in taken:
        name, number = f"{stem}_{number}", number + 1
    return name


def _moved(function: Function, renamed: dict[str, str], shift: int) -> Function:
    """A function of another program, for this one."""

    def moved(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: moved(each) for key, each in part.items()}
        if not isinstance(part, list):
            return part
        if len(part) == 2 and part[0] == "tensor" and isinstance(part[1], int):
            return ["tensor", part[1] + shift]
        if len(part) == 4 and part[0] in ("function", "python") and part[1] in renamed:
            return [part[0], renamed[part[1]], moved(part[2]), moved(part[3])]
        return part if part[:1] == ["const"] else [moved(each) for each in part]

    return Function(
        function.name, function.parameters, function.returns, moved(function.body), function.source
    )
