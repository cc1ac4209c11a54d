"""An error on its way from where it was raised, a worker process or thread, to whoever waits for the result."""

from __future__ import annotations

import pickle
import sys
import traceback
from typing import Any, NoReturn

__all__ = ["ExceptionWrapper"]


class KeyErrorMessage(str):
    """A text that a KeyError, which shows the repr of its argument, shows line by line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The class of an error and its traceback as text. ``distrt._utils`` has it under PyTorch's path.

    Args:
        exc_info: what ``sys.exc_info()`` gives; by default that of the error being handled.
        where: "in DataLoader worker process 0" and the like.
    """

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        kind, error, trace = sys.exc_info() if exc_info is None else exc_info
        self.exc_type: Any = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raises an error of the same class, whose message has the traceback.

        Raises:
            RuntimeError: for a StopIteration, and where the class cannot be made of one text, or is not known here.
        """
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if issubclass(self.exc_type, StopIteration):  # it would end the loop of whoever asked for a batch
            raise RuntimeError(message)
        if self.exc_type is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)  # such classes take it by name
        try:
            error = self.exc_type(message)
        except Exception:
            raise RuntimeError(message) from None
        raise error

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            kind = pickle.dumps(self.exc_type)
        except Exception:  # a class inside a function has no path
            kind = b""
        return _received, (kind, self.exc_type.__name__, self.exc_msg, self.where)


def _received(kind: bytes, name: str, message: str, where: str) -> ExceptionWrapper:
    made = object.__new__(ExceptionWrapper)
    try:
        made.exc_type = pickle.loads(kind)
    except Exception:  # it is known over there only
        made.exc_type = type(name, (RuntimeError,), {})
    made.exc_msg, made.where = message, where
    return made
