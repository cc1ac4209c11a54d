"""Facade: collectives with gradients, at the path that PyTorch users type. The room is ``distrt.comm``."""

from distrt.comm.functions.differentiable import (
    all_gather,
    all_reduce,
    all_to_all,
    all_to_all_single,
    broadcast,
    gather,
    reduce,
    reduce_scatter,
    scatter,
)
from distrt.comm.functions.differentiable import all_gather_base as _all_gather_base  # noqa: F401 - PyTorch has it here

__all__ = [
    "all_gather",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]
