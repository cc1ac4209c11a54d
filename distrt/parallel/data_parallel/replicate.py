"""One copy of a model for each GPU, whose parameters are copies of the model's."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from distrt.nn.modules.module import Module
from distrt.parallel.data_parallel import comm
from distrt.parallel.data_parallel.devices import device_index
from distrt.parallel.data_parallel.functions import Broadcast

__all__ = ["replicate"]

T = TypeVar("T", bound=Module)


def replicate(network: T, devices: Sequence[Any], detach: bool = False) -> list[T]:
    """Copies of ``network``, one for each GPU.

    Only a model without parameters and buffers can be copied where there is no GPU.

    Raises:
        ValueError: a CPU among the GPUs.
        AssertionError: a model whose parameters are on the CPU.
        RuntimeError: one with buffers.
    """
    if not devices:
        return []
    indices = [device_index(each, optional=True) for each in devices]
    parameters = list(network.parameters())
    if parameters and not detach:
        Broadcast.apply(indices, *parameters)
    if tensors := [*parameters, *network.buffers()]:
        comm.broadcast_coalesced(tensors, indices)
    return [_without_tensors(network) for _ in indices]


def _without_tensors(network: T) -> T:
    """The same modules, new ones, in the same tree."""
    copies: dict[Module, Module] = {}
    for module in network.modules():
        copied = copies[module] = copy.copy(module)
        copied._parameters, copied._buffers = {}, {}
    for module, copied in copies.items():
        copied._modules = {
            name: None if child is None else copies[child] for name, child in module._modules.items()
        }
    return copies[network]  # type: ignore[return-value]  # of the type of network
