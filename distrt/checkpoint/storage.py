"""PyTorch's ``FileSystemReader`` and ``FileSystemWriter``, and the planners: where a state goes, and a few options."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from distrt.checkpoint import distcp_metadata
from distrt.checkpoint.manifest import NAME
from distrt.checkpoint.metadata import Metadata, metadata_of
from distrt.checkpoint.opening import opened
from distrt.core.errors import CheckpointError, UnsupportedError

__all__ = ["DefaultLoadPlanner", "DefaultSavePlanner", "FileSystemReader", "FileSystemWriter"]


class _InFolder:
    """What reads or writes a folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Goes to another folder, where one is given."""
        if checkpoint_id:
            self.path = pathlib.Path(checkpoint_id)

    @property
    def checkpoint_id(self) -> str | os.PathLike[str]:
        """The folder."""
        return self.path

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Whether that can be a folder."""
        return isinstance(checkpoint_id, os.PathLike) or "://" not in str(checkpoint_id)


class FileSystemReader(_InFolder):
    """Reads a checkpoint out of a folder.

    Args:
        path: the folder.
    """

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """What the checkpoint holds.

        Raises:
            CheckpointError: where there is none, or it is damaged.
        """
        return metadata_of(opened(str(self.path)).manifest, self.path)


class FileSystemWriter(_InFolder):
    """Writes a checkpoint to a folder: a file for each rank, and a manifest, all synced.

    Args:
        path: the folder.
        single_file_per_rank: of no effect, like all that is not named below.
        overwrite: whether a checkpoint that is there is replaced; where that fails, it stays.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        single_file_per_rank: bool = True,
        sync_files: bool = True,
        thread_count: int = 1,
        per_thread_copy_ahead: int = 10_000_000,
        cache_staged_state_dict: bool = False,
        overwrite: bool = True,
    ) -> None:
        super().__init__(path)
        self.single_file_per_rank, self.sync_files = single_file_per_rank, sync_files
        self.thread_count, self.per_thread_copy_ahead = thread_count, per_thread_copy_ahead
        self.cache_staged_state_dict, self.overwrite = cache_staged_state_dict, overwrite

    def has_checkpoint(self) -> bool:
        """Whether there is one of distrt's already.

        Raises:
            CheckpointError: where there is one of PyTorch's: it would not go with the new one's coming.
        """
        if (self.path / distcp_metadata.NAME).exists():
            raise CheckpointError(f"{self.path} has a checkpoint of PyTorch's: save to another folder")
        return (self.path / NAME).exists()


class DefaultSavePlanner:
    """Options of saving; those of PyTorch that change nothing here are taken.

    Raises:
        UnsupportedError: for ``flatten_state_dict=False``.
    """

    def __init__(
        self,
        flatten_state_dict: bool = True,
        flatten_sharded_tensors: bool = True,
        dedup_replicated_tensors: bool | None = None,
        dedup_save_to_lowest_rank: bool = False,
        enable_plan_caching: bool = False,
    ) -> None:
        _require_flat(flatten_state_dict)
        self.flatten_state_dict, self.flatten_sharded_tensors = flatten_state_dict, flatten_sharded_tensors
        self.dedup_save_to_lowest_rank = dedup_save_to_lowest_rank


class DefaultLoadPlanner:
    """Options of loading.

    Args:
        flatten_state_dict: must be true.
        flatten_sharded_tensors: changes nothing.
        allow_partial_load: what the checkpoint does not have stays as it is.

    Raises:
        UnsupportedError: for ``flatten_state_dict=False``.
    """

    def __init__(
        self,
        flatten_state_dict: bool = True,
        flatten_sharded_tensors: bool = True,
        allow_partial_load: bool = False,
    ) -> None:
        _require_flat(flatten_state_dict)
        self.flatten_state_dict, self.flatten_sharded_tensors = flatten_state_dict, flatten_sharded_tensors
        self.allow_partial_load = allow_partial_load


def _require_flat(flatten_state_dict: bool) -> None:
    if not flatten_state_dict:
        raise UnsupportedError("flatten_state_dict=False: checkpoints hold nested states under flat names")


for _class in (FileSystemReader, FileSystemWriter):
    _class.__module__ = "distrt.distributed.checkpoint.filesystem"
for _planner in (DefaultSavePlanner, DefaultLoadPlanner):
    _planner.__module__ = "distrt.distributed.checkpoint.default_planner"
