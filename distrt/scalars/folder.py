"""``Folder``: what all writers have in common, whatever their files are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

__all__ = ["Folder"]


class Folder(ABC):
    """Writes to a folder until it is closed.

    Attributes:
        log_dir: the folder.
    """

    log_dir: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    @abstractmethod
    def flush(self) -> None:
        """Brings everything to the files."""

    @abstractmethod
    def close(self) -> None:
        """Does so, and closes them; a second call does nothing."""
