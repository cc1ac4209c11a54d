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

    Parameters of the copies are no leaves: their gradients are added up in those of ``network``, unless they are
    detached. Buffers of the copy on the network's own GPU are the network's own.

    Raises:
        ValueError: a CPU among the GPUs.
        AssertionError: a model whose parameters are on the CPU.
        RuntimeError: one with buffers.
    """
    if not devices:
        return []
    indices = [device_index(each, optional=True) for each in devices]
    parameters, buffers = list(network.parameters()), list(network.buffers())
    copies = _copies(parameters, indices, detach)
    of_buffers = comm.broadcast_coalesced(buffers, indices) if buffers else [[] for _ in indices]
    return [
        _with_tensors(network, dict(zip(map(id, [*parameters, *buffers]), [*own, *others], strict=True)))
        for own, others in zip(copies, of_buffers, strict=True)
    ]


def _copies(parameters: list[Any], indices: Sequence[Any], detach: bool) -> list[Sequence[Any]]:
    """For each GPU, those of the parameters, in their order."""
    if not parameters:
        return [[] for _ in indices]
    if detach:
        return [*comm.broadcast_coalesced(parameters, indices)]
    flat, count = Broadcast.apply(indices, *parameters), len(parameters)
    return [flat[start : start + count] for start in range(0, len(flat), count)]


def _with_tensors(network: T, tensors: dict[int, Any]) -> T:
    """The same modules, new ones, in the same tree, with other tensors, which are found by the old ones' ids."""
    copies: dict[Module, Module] = {}
    for module in network.modules():
        copied = copies[module] = copy.copy(module)
        copied._parameters = {}
        copied._buffers = {
            name: None if each is None else tensors[id(each)] for name, each in module._buffers.items()
        }
        for name, each in module._parameters.items():  # as plain attributes: they are no leaves
            object.__setattr__(copied, name, None if each is None else tensors[id(each)])
    for module, copied in copies.items():
        copied._modules = {
            name: None if child is None else copies[child] for name, child in module._modules.items()
        }
    return copies[network]  # type: ignore[return-value]  # of the type of network
