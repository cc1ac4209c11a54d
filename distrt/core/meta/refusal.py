"""What is said where the data of a meta tensor would be needed."""

from __future__ import annotations

import sys
from typing import Any

from distrt.core.errors import NoDataError

__all__ = ["no_copy", "no_data", "no_item", "running_operation"]


def no_copy() -> NoDataError:
    """The error for a copy to where data is."""
    return NoDataError("Cannot copy out of meta tensor; no data!")


def no_item() -> NoDataError:
    """The error for a number of Python's."""
    return NoDataError("Tensor.item() cannot be called on meta tensors")


def no_data(what: str) -> NoDataError:
    """The error for an operation whose result, or whose size, follows from the data."""
    name = running_operation() or what
    return NoDataError(
        f"{name}: attempted to run this operator with meta tensors, and it needs their data: {what}"
    )


def running_operation() -> str:
    """The operation that is being run, read off the stack: only errors ask."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file.startswith("<op "):
            return str(file[4:-1].removeprefix("distrt.").strip("_"))
        if ("/core/ops/" in file or "/functional/" in file) and name[0] not in "_<":
            return str(name)
        frame = frame.f_back
    return ""
