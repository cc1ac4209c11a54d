"""`Board`: what those who meet need of the job's store. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

__all__ = ["Board"]


class Board(Protocol):
    """What is needed of the job's key-value store (``distrt.comm.stores.client.Store`` has it)."""

    def set(self, key: str, value: bytes) -> None: ...  # noqa: D102

    def get(self, key: str, *, ranks: Iterable[int] = ()) -> bytes: ...  # noqa: D102

    def add(self, key: str, amount: int) -> int: ...  # noqa: D102
