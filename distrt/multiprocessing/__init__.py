"""Facade: the standard library's ``multiprocessing``, with PyTorch's ``spawn``, at the path that PyTorch users type.

    import distrt.multiprocessing as mp

    mp.spawn(train, args=(world_size,), nprocs=world_size)

A tensor in the arguments of a new process is moved to shared memory, and so are a module's parameters: each side sees
what the other writes. Through a queue or a pipe, memory that is shared already (``tensor.share_memory_()``) stays
shared, as long as the sender lives until the tensor is received; everything else is copied. Ranks share gradients and
buffers through ``distrt.distributed``.
"""

import multiprocessing
import sys
from multiprocessing import *  # noqa: F403 - PyTorch's module re-exports all of it, too

from distrt.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
__all__ += multiprocessing.__all__

if (
    _sharing := sys.modules.get("distrt.core.storage.sharing")
) is not None:  # else it sees for itself, when it is loaded
    _sharing.send_through_multiprocessing()

_STRATEGIES = frozenset({"file_descriptor", "file_system"})
_chosen = ["file_descriptor"]  # PyTorch's default on Linux


def set_sharing_strategy(new_strategy: str) -> None:
    """Remember how tensors should be shared; here it is by file descriptors, whatever it says.

    Raises:
        AssertionError: the strategy has no such name (the error that PyTorch raises).
    """
    if new_strategy not in _STRATEGIES:
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of {sorted(_STRATEGIES)}"
        )
    _chosen[:] = [new_strategy]


def get_sharing_strategy() -> str:
    """Return the strategy that was set last."""
    return _chosen[0]


def get_all_sharing_strategies() -> set[str]:
    """Return the names that ``set_sharing_strategy`` takes."""
    return set(_STRATEGIES)
