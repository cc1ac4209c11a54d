"""Facade: collectives that return what they compute, at PyTorch's path. The room is ``distrt.comm``."""

from distrt.comm.functions.functional import (
    all_gather_single,
    all_gather_single_autograd,
    all_gather_tensor,
    all_gather_tensor_autograd,
    all_reduce,
    all_to_all_single,
    all_to_all_single_autograd,
    broadcast,
    reduce_scatter_single,
    reduce_scatter_single_autograd,
    reduce_scatter_tensor,
    reduce_scatter_tensor_autograd,
    wait_tensor,
)

__all__ = [
    "all_gather_single",
    "all_gather_single_autograd",
    "all_gather_tensor",
    "all_gather_tensor_autograd",
    "all_reduce",
    "all_to_all_single",
    "all_to_all_single_autograd",
    "broadcast",
    "reduce_scatter_single",
    "reduce_scatter_single_autograd",
    "reduce_scatter_tensor",
    "reduce_scatter_tensor_autograd",
    "wait_tensor",
]
