"""PyTorch's ``torch.distributed.checkpoint``: states to a folder, and from there into tensors that are there already.

What is written and read is what `Checkpoints` writes and reads; the folder is the caller's, and the manifest is
replaced as a whole.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from distrt.checkpoint.failures import agree
from distrt.checkpoint.loading import Loading
from distrt.checkpoint.manifest import read_manifest
from distrt.checkpoint.metadata import Metadata, metadata_of
from distrt.checkpoint.ranks import Ranks
from distrt.checkpoint.storage import FileSystemReader, FileSystemWriter
from distrt.checkpoint.writing import Save, Staging
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group, is_initialized
from distrt.core.errors import CheckpointError, UnsupportedError
from distrt.core.process.users_code import warn

__all__ = ["Stateful", "async_save", "load", "load_state_dict", "save", "save_state_dict"]

_TIMEOUT_S = 1800.0
Folder = str | os.PathLike[str] | None


@runtime_checkable
class Stateful(Protocol):
    """What has a state that is saved and loaded."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state."""


Stateful.__module__ = "distrt.distributed.checkpoint.stateful"


def save(
    state_dict: dict[str, Any],
    *,
    checkpoint_id: Folder = None,
    storage_writer: Any = None,
    planner: Any = None,
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
    use_collectives: bool = True,
) -> Metadata:
    """Saves a state to a folder; all ranks call.

    Args:
        state_dict: tensors and values, nested; objects that have a ``state_dict`` are asked for it.
        checkpoint_id: the folder.
        storage_writer: a ``FileSystemWriter``, in its place.
        planner: a ``DefaultSavePlanner``.
        process_group: the ranks; all where None.
        no_dist: this process alone.
        use_collectives: must be true.

    Raises:
        CheckpointException: on all ranks; a checkpoint that was there before is still there.
    """
    ranks = _ranks(process_group, no_dist, "save")
    writer = _writer(storage_writer, checkpoint_id, use_collectives)
    return _finished(_begun(_states(state_dict), writer, ranks, None))


def async_save(
    state_dict: dict[str, Any],
    *,
    checkpoint_id: Folder = None,
    storage_writer: Any = None,
    planner: Any = None,
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
    use_collectives: bool = True,
) -> Future[Metadata]:
    """Copies a state and writes it to a folder while the program goes on; all ranks call, and wait for the future.

    Raises:
        CheckpointException: on all ranks, where a state cannot be saved; what happens later is in the future.
    """
    ranks = Ranks(process_group, no_dist)
    writer = _writer(storage_writer, checkpoint_id, use_collectives)
    begun = _begun(_states(state_dict), writer, ranks, Staging())
    future: Future[Metadata] = Future()

    def finish() -> None:
        try:
            future.set_result(_finished_apart(begun))
        except BaseException as error:  # raised by whoever waits
            future.set_exception(error)

    threading.Thread(target=finish, name="distrt-checkpoint").start()
    return future


def load(
    state_dict: dict[str, Any],
    *,
    checkpoint_id: Folder = None,
    storage_reader: Any = None,
    planner: Any = None,
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
) -> None:
    """Loads a checkpoint into a state; all ranks call.

    Tensors are filled where they are; values are replaced; objects that have a ``state_dict`` are asked for it, and
    given it back. Nothing is changed unless all ranks can load all of it.

    Args:
        state_dict: names what is loaded.
        checkpoint_id: the folder.
        storage_reader: a ``FileSystemReader``, in its place.
        planner: a ``DefaultLoadPlanner``.
        process_group: the ranks; all where None.
        no_dist: this process alone.

    Raises:
        CheckpointException: on all ranks: something is missing, of another size, or damaged.
    """
    ranks = _ranks(process_group, no_dist, "load")
    folder = _folder(storage_reader, checkpoint_id, FileSystemReader)
    states = _states({key: state_dict[key] for key in sorted(state_dict)})
    _load(states, str(folder.path), planner, ranks)
    for key in states:
        if isinstance(state_dict[key], Stateful):
            state_dict[key].load_state_dict(states[key])
        else:
            state_dict[key] = states[key]


def save_state_dict(
    state_dict: dict[str, Any],
    storage_writer: Any,
    process_group: ProcessGroup | None = None,
    coordinator_rank: int = 0,
    no_dist: bool = False,
    planner: Any = None,
) -> Metadata:
    """Saves a state of tensors and values; deprecated, like PyTorch's."""
    _warn_of("save")
    writer = _writer(storage_writer, None, True)
    return _finished(_begun(state_dict, writer, _required_ranks(process_group, no_dist), None))


def load_state_dict(
    state_dict: dict[str, Any],
    storage_reader: Any,
    process_group: ProcessGroup | None = None,
    coordinator_rank: int = 0,
    no_dist: bool = False,
    planner: Any = None,
) -> None:
    """Loads a checkpoint into a state of tensors and values; deprecated, like PyTorch's."""
    _warn_of("load")
    folder = _folder(storage_reader, None, FileSystemReader)
    _load(state_dict, str(folder.path), planner, _required_ranks(process_group, no_dist))


def _begun(state: Mapping[str, Any], writer: FileSystemWriter, ranks: Ranks, staging: Staging | None) -> Save:
    error: Exception | None = None
    if ranks.rank == 0:
        try:
            os.makedirs(writer.path, exist_ok=True)
            if writer.has_checkpoint():
                _allow_overwriting(writer)
        except Exception as caught:  # told to the others, then raised
            error = caught
    agree(ranks, "plan", error)
    about = {"world_size": ranks.size}
    return Save(state, str(writer.path), ranks, about, staging, agree=agree)


def _allow_overwriting(writer: FileSystemWriter) -> None:
    if not writer.overwrite:
        raise RuntimeError("Checkpoint already exists and self.overwrite=False.")
    warn(
        f"Detected an existing checkpoint in {writer.path}, overwriting since self.overwrite=True. Past version 2.5 of "
        "PyTorch, `overwrite` will default to False. Set this variable to True to maintain this functionality or False "
        "to raise when an existing checkpoint is found."
    )


def _finished(save: Save) -> Metadata:
    """Writes and completes a save while all ranks wait."""
    save.finish(lambda: save.complete(_TIMEOUT_S))
    return metadata_of(read_manifest(save.folder), save.folder)


def _finished_apart(save: Save) -> Metadata:
    """The same in a thread, without a word to the other ranks."""
    save.finish_apart(lambda: save.complete(_TIMEOUT_S), _TIMEOUT_S, copied=lambda: None)
    manifest = read_manifest(save.folder)
    if manifest.about.get("attempt") != save.attempt:
        raise CheckpointError(f"rank 0 has not completed {save.folder}; its own error says why")
    return metadata_of(manifest, save.folder)


def _load(states: dict[str, Any], folder: str, planner: Any, ranks: Ranks) -> None:
    loading = Loading(states, folder, getattr(planner, "allow_partial_load", False))
    for what, work in (("plan", loading.plan), ("read", loading.verify)):
        error: Exception | None = None
        try:
            work()
        except Exception as caught:  # told to the others, then raised
            error = caught
        agree(ranks, what, error)
    loading.fill()


def _states(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: each.state_dict() if isinstance(each, Stateful) else each for key, each in state_dict.items()
    }


def _ranks(group: ProcessGroup | None, no_dist: bool, verb: str) -> Ranks:
    if no_dist or not is_initialized():
        warn(
            "torch.distributed is disabled, unavailable or uninitialized, assuming the intent is to "
            f"{verb} in a single process."
        )
        return Ranks(is_alone=True)
    return Ranks(group)


def _required_ranks(group: ProcessGroup | None, no_dist: bool) -> Ranks:
    return Ranks(is_alone=True) if no_dist else Ranks(group or default_group())


def _writer(writer: Any, checkpoint_id: Folder, use_collectives: bool) -> FileSystemWriter:
    if not use_collectives:
        raise UnsupportedError("use_collectives=False: the ranks of a checkpoint agree on who writes what")
    found: FileSystemWriter = _folder(writer, checkpoint_id, FileSystemWriter)
    return found


def _folder(given: Any, checkpoint_id: Folder, kind: Any) -> Any:
    if given is None:
        if not checkpoint_id:
            raise RuntimeError("`checkpoint_id` must be specified if storage_reader/storage_writer is None.")
        if not kind.validate_checkpoint_id(checkpoint_id):
            raise RuntimeError(
                "Cannot detect which StorageReader or StorageWriter to use. Please specify the "
                "storage_reader/storage_writer."
            )
        return kind(checkpoint_id)
    if not isinstance(given, kind):
        raise UnsupportedError(
            f"distrt saves to folders: give a {kind.__name__}, not a {type(given).__name__}"
        )
    given.reset(checkpoint_id)
    return given


def _warn_of(verb: str) -> None:
    warn(
        f"`{verb}_state_dict` is deprecated and will be removed in future versions."
        f"{' ' if verb == 'load' else ''}Please use `{verb}` instead.",
        FutureWarning,
    )
