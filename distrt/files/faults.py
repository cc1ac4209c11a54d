"""What is raised about the inside of a file, and the numbers that every reader holds to."""

from __future__ import annotations

import contextlib
import pickle
import reprlib
import struct
import zlib
from collections.abc import Iterator

from distrt.core.errors import CheckpointError


class UnpicklingError(CheckpointError, pickle.UnpicklingError):
    """A pickle that is damaged, or asks for a class or a call that it must not have."""


class CallersFault(Exception):  # noqa: N818 - it carries an error, and is none
    """Carries what the caller's own code has raised past everything that takes it for damage of the file."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(fault)
        self.fault = fault


@contextlib.contextmanager
def callers_code() -> Iterator[None]:
    """Around code of the caller's own that runs while a file is read: ``map_location``, methods of classes."""
    try:
        yield
    except CallersFault:
        raise
    except Exception as fault:
        raise CallersFault(fault) from fault


#: What Python raises while it interprets bytes that make no sense. A reader turns it into a CheckpointError.
SENSELESS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,  # UnicodeDecodeError among them
    struct.error,
    zlib.error,
)

#: What repr makes of a tuple of two tuples of two tuples, and so on, may be longer than any memory.
_shown = reprlib.Repr()
_shown.maxlevel = 3
_shown.maxtuple = _shown.maxlist = _shown.maxdict = _shown.maxset = _shown.maxfrozenset = 30
_shown.maxstring = _shown.maxlong = _shown.maxother = 100
_NESTS = (tuple, list, dict, set, frozenset)

_CORRUPT = (
    "There is a high likelihood that your checkpoint file is corrupted: it was not saved to its end, was transferred "
    "incorrectly, or was modified after saving."
)


def damaged(what: str) -> CheckpointError:
    """The error for a file whose structure is broken, in words that PyTorch users know."""
    return CheckpointError(f"PytorchStreamReader failed reading {what}. {_CORRUPT}")


def quoted(value: object, limit: int = 80) -> str:
    """A value from a file as an error message shows it: never longer than this."""
    try:
        text = _shown.repr(value) if isinstance(value, _NESTS) else repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."
