"""``CheckpointException``: what has failed on which ranks, raised on all of them, as PyTorch does."""

from __future__ import annotations

import builtins
import traceback
from typing import Any

from distrt.checkpoint.ranks import Ranks
from distrt.core.errors import CheckpointError

__all__ = ["CheckpointException", "agree"]

Failure = tuple[BaseException, traceback.StackSummary | None]


class CheckpointException(BaseException):
    """What has failed, by rank."""

    def __init__(self, msg: str, failures: dict[int, Failure]) -> None:
        super().__init__(msg, failures)
        self._failures = failures

    @property
    def failures(self) -> dict[int, Failure]:
        """The error of each rank that met with one, and where; other ranks' errors are told, and have no place."""
        return self._failures

    def __str__(self) -> str:
        said = [f"CheckpointException ranks:{self._failures.keys()}\n"]
        for rank, (error, where) in self._failures.items():
            said.append(f"Traceback (most recent call last): (RANK {rank})\n")
            said += traceback.format_list(where) if where is not None else []
            said += traceback.format_exception_only(type(error), error)
        return "".join(said)


CheckpointException.__module__ = "distrt.distributed.checkpoint.api"


def agree(ranks: Ranks, what: str, error: Exception | None) -> None:
    """Raises on all ranks what one has met with; a collective.

    Args:
        ranks: who.
        what: the step that was taken.
        error: this rank's.

    Raises:
        CheckpointException: with the errors of all ranks.
    """
    mine = None if error is None else [type(error).__name__, str(error)]
    told = {rank: each for rank, each in enumerate(ranks.gathered(mine)) if each is not None}
    if not told:
        return
    failures: dict[int, Failure] = {}
    for rank, (kind, text) in told.items():
        if rank == ranks.rank and error is not None:
            failures[rank] = (error, traceback.extract_tb(error.__traceback__))
        else:
            failures[rank] = (_told(kind, text), None)
    raise CheckpointException(what, failures) from error


def _told(kind: str, text: str) -> BaseException:
    """An error that another rank tells of."""
    found: Any = getattr(builtins, kind, None)
    is_error = isinstance(found, type) and issubclass(found, Exception) and found is not UnicodeDecodeError
    return found(text) if is_error else CheckpointError(f"{kind}: {text}")
