"""Which line of the user's program has led here: for messages, profiles and records. Standard library only."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from types import CodeType, FrameType

__all__ = ["OURS", "line_of", "place_text", "users_frame", "warn"]

#: How the names of our files begin: those of this package, and those of the functions that operations are made into.
OURS = (os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep, "<op ")

#: Ours, and what the standard library runs between a user's line and ours: context managers, dispatch by type.
_BETWEEN = (*OURS, contextlib.__file__, functools.__file__)


def users_frame(frame: FrameType | None, ours: tuple[str, ...] = OURS) -> FrameType | None:
    """The innermost frame that is none of ours, from ``frame`` outwards; None where all are."""
    while frame is not None and frame.f_code.co_filename.startswith(ours):
        frame = frame.f_back
    return frame


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """``warnings.warn`` of the user's line, however many of our functions, and decorators' frames, stand between."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        frame = frame.f_back
    names = frame.f_globals
    # Without the globals themselves: the loader of what "python -m" runs does not know the name "__main__".
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        names.get("__name__", "<string>"),
        names.setdefault("__warningregistry__", {}),
    )


def line_of(code: CodeType, instruction: int) -> int:
    """The line of an instruction, as ``f_lasti`` counts them; the function's first where it has none."""
    for begin, end, line in code.co_lines():
        if begin <= instruction < end and line is not None:
            return line
    return code.co_firstlineno


def place_text(code: CodeType, line: int) -> str:
    """``train.py:31 in main``."""
    return f"{os.path.basename(code.co_filename)}:{line} in {code.co_name}"
