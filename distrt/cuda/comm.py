"""Facade: ``broadcast``, ``scatter`` and the like at PyTorch's older path. The room is ``distrt.parallel``."""

from distrt.parallel.data_parallel.comm import (
    broadcast,
    broadcast_coalesced,
    gather,
    reduce_add,
    reduce_add_coalesced,
    scatter,
)

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "reduce_add_coalesced", "scatter"]
