"""What kernels found wrong first: they write it to the host's memory, and who next waits for a GPU raises it.

So an index out of range costs no wait. As in PyTorch the error comes late, and what was computed from it is worthless.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrt.core.errors import DimensionError
from distrt.core.gpu import library

__all__ = ["cell", "kind_of", "raise_found"]

_kinds: list[tuple[str, type[Exception]]] = []


def kind_of(message: str, error: type[Exception] = DimensionError) -> int:
    """A number for a kind of fault, from 1 on; ``{0}`` in the message is the number found, ``{1}`` the bound."""
    if (message, error) not in _kinds:
        _kinds.append((message, error))
    return _kinds.index((message, error)) + 1


@functools.cache
def cell() -> Any:
    """Page-locked memory, which GPUs write to by its own address: the kind, the number, the bound."""
    room = np.frombuffer(library.find().cuda.alloc_pinned_memory(24), np.int64, 3)
    room[...] = 0
    return room


def raise_found() -> None:
    """Raises what kernels have found, once; called whenever the host has waited for a GPU.

    Raises:
        DimensionError, ShapeError: for an index that was out of range, what its operation raises on the CPU.
    """
    if not cell.cache_info().currsize:
        return
    kind, number, bound = cell().tolist()
    if kind:
        cell()[0] = 0
        message, error = _kinds[kind - 1]
        raise error(
            f"{message.format(number, bound)} (a kernel on the GPU found this after its operation had returned; to see "
            "the line, run it on the CPU)"
        )
