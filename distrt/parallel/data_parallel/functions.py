"""The operations under ``scatter``, ``gather`` and ``replicate``, by the names that public scripts import.

On a machine without GPUs none of them gets as far as a result, so there is nothing to differentiate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.autograd.function import Function
from distrt.core.tensor import Tensor
from distrt.parallel.data_parallel import comm
from distrt.parallel.data_parallel.devices import device_index

__all__ = ["Broadcast", "Gather", "ReduceAddCoalesced", "Scatter"]


class Broadcast(Function):
    """Copies of tensors on several GPUs.

    Raises:
        AssertionError: a tensor on the CPU.
    """

    @staticmethod
    def forward(ctx: Any, target_gpus: Sequence[Any], *inputs: Tensor) -> tuple[Tensor, ...]:
        """All copies for the first GPU, then those for the second, and so on."""
        _refuse_cpu("Broadcast", inputs)
        indices = [device_index(each, optional=True) for each in target_gpus]
        copies = comm.broadcast_coalesced(inputs, indices) if inputs else []
        return tuple(each for of_device in copies for each in of_device)


class ReduceAddCoalesced(Function):
    """The sums of tensors on several GPUs."""

    @staticmethod
    def forward(ctx: Any, destination: Any, num_inputs: int, *grads: Tensor) -> tuple[Tensor, ...]:
        """``grads`` are ``num_inputs`` tensors for each GPU."""
        of_devices = [grads[start : start + num_inputs] for start in range(0, len(grads), num_inputs)]
        return comm.reduce_add_coalesced(of_devices, destination)


class Gather(Function):
    """Tensors of several GPUs on one of them, one after another.

    Raises:
        AssertionError: a tensor on the CPU.
    """

    @staticmethod
    def forward(ctx: Any, target_device: Any, dim: int, *inputs: Tensor) -> Tensor:
        """Along ``dim``."""
        _refuse_cpu("Gather", inputs)
        return comm.gather(inputs, dim, target_device)


class Scatter(Function):
    """The parts of a tensor on several GPUs."""

    @staticmethod
    def forward(
        ctx: Any, target_gpus: Sequence[Any], chunk_sizes: Sequence[int] | None, dim: int, input: Tensor
    ) -> tuple[Tensor, ...]:
        """Along ``dim``, of equal sizes if no others are given."""
        return comm.scatter(
            input, [device_index(each, optional=True) for each in target_gpus], chunk_sizes, dim
        )


def _refuse_cpu(what: str, inputs: Sequence[Tensor]) -> None:
    if any(each.device.type == "cpu" for each in inputs):
        raise AssertionError(f"{what} function not implemented for CPU tensors")
