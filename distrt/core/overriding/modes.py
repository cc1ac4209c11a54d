"""Modes that take functions over for a block: ``with MyMode(): ...`` sees every public call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from distrt.core.modes import used
from distrt.core.overriding import doors
from distrt.core.overriding.dispatch import thread


class TorchFunctionMode:
    """Sees the calls of public functions in a block; a subclass writes ``__torch_function__``.

    While that runs, the mode itself is off, so it may call what it likes. Of nested ones the innermost is asked first,
    and its calls are seen by the others.
    """

    def __init__(self) -> None:
        """Nothing to prepare."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """What a call is to give; NotImplemented asks the next one."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        used.modes = True
        doors.open_all(attributes=True)
        thread.modes.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        thread.modes.pop()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Self:
        """The older way to make one for a ``with`` statement."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that lets every call go on as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """The call itself."""
        return func(*args, **(kwargs or {}))
