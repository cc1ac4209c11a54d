"""What the ranks that save or load together tell one another, so that all go on or all raise."""

from __future__ import annotations

from typing import Any

from distrt.comm.functions.objects import all_gather_object
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group, is_initialized
from distrt.core.errors import CheckpointError

__all__ = ["Ranks"]


class Ranks:
    """The ranks of a group; one alone where there is none.

    Args:
        group: the ranks; the default group where None.
        is_alone: True for this process by itself, whatever groups there are.
    """

    def __init__(self, group: ProcessGroup | None = None, is_alone: bool = False) -> None:
        if group is None and not is_alone and is_initialized():
            group = default_group()
        self._group = None if is_alone or (group is not None and group.size() == 1) else group
        self.rank = 0 if self._group is None else self._group.rank()
        self.size = 1 if self._group is None else self._group.size()

    def gathered(self, value: Any) -> list[Any]:
        """Every rank's value, on every rank; a collective."""
        if self._group is None:
            return [value]
        found = [None] * self.size
        all_gather_object(found, value, self._group)
        return found

    def from_first(self, value: Any) -> Any:
        """Rank 0's value, on every rank; a collective."""
        return self.gathered(value if self.rank == 0 else None)[0]

    def failures(self, error: BaseException | None) -> dict[int, str]:
        """What every rank's error says, by rank; a collective."""
        said = self.gathered(None if error is None else str(error) or type(error).__name__)
        return {rank: each for rank, each in enumerate(said) if each is not None}

    def agree(self, error: Exception | None) -> None:
        """Raises on all ranks what one has met with; a collective.

        Raises:
            CheckpointError: naming the ranks.
        """
        failures = self.failures(error)
        if not failures:
            return
        if self.size == 1:
            raise error if isinstance(error, CheckpointError) else CheckpointError(str(error)) from error
        raise CheckpointError("; ".join(f"rank {rank}: {each}" for rank, each in failures.items())) from error
