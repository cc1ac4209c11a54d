"""Facade: ``broadcast``, ``scatter`` and the like at the path of PyTorch's module. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.comm import (
    broadcast,
    broadcast_coalesced,
    gather,
    reduce_add,
    reduce_add_coalesced,
    scatter,
)

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "reduce_add_coalesced", "scatter"]
