"""What `sys.getrefcount` counts beside the references that somebody keeps. Standard library only.

Whether a gradient's memory may be taken over, or written again, is decided by who else refers to it. Up to Python 3.13
each variable on the way to ``getrefcount`` has a reference of its own; from 3.14 on the interpreter borrows where it
can, and a fixed number would take an array that somebody keeps for one that nobody does.
"""

from __future__ import annotations

from sys import getrefcount

__all__ = ["ARGUMENT", "PARAMETER"]


def _of_variable() -> int:
    value = object()
    return getrefcount(value)


def _of_parameter(value: object) -> int:
    return getrefcount(value)


def _of_passed() -> int:
    value = object()
    return _of_parameter(value)


#: The reference of getrefcount's argument, where that is a variable: 1, or 0 where it is borrowed.
ARGUMENT = _of_variable() - 1

#: The reference of a function's parameter, where its caller passes a variable.
PARAMETER = _of_passed() - _of_variable()
