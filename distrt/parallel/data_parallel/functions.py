"""The operations under ``scatter``, ``gather`` and ``replicate``, by the names that public scripts import.

Each one's gradient is another one: copies are added up, parts are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.autograd.function import Function
from distrt.core.device import device
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.parallel.data_parallel import comm
from distrt.parallel.data_parallel.devices import device_index, gpu_numbers

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
        if not inputs:
            return ()
        indices = gpu_numbers("Broadcast", target_gpus)
        ctx.source, ctx.count = inputs[0].get_device(), len(inputs)
        copies = comm.broadcast_coalesced(inputs, indices)
        return tuple(each.view_as(each) for of_device in copies for each in of_device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """The sums, where the tensors came from."""
        return (None, *ReduceAddCoalesced.apply(ctx.source, ctx.count, *grads))


class ReduceAddCoalesced(Function):
    """The sums of tensors on several GPUs."""

    @staticmethod
    def forward(ctx: Any, destination: Any, num_inputs: int, *grads: Tensor) -> tuple[Tensor, ...]:
        """``grads`` are ``num_inputs`` tensors for each GPU."""
        of_devices = [grads[start : start + num_inputs] for start in range(0, len(grads), num_inputs)]
        ctx.sources = [each[0].get_device() for each in of_devices]
        return comm.reduce_add_coalesced(of_devices, destination)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Copies for each GPU."""
        return (None, None, *Broadcast.apply(ctx.sources, *grads))


class Gather(Function):
    """Tensors of several GPUs on one of them, one after another.

    Raises:
        AssertionError: a tensor on the CPU.
    """

    @staticmethod
    def forward(ctx: Any, target_device: Any, dim: int, *inputs: Tensor) -> Tensor:
        """Along ``dim``."""
        _refuse_cpu("Gather", inputs)
        ctx.sources, ctx.dim, ctx.sizes = [each.get_device() for each in inputs], dim, None
        ctx.are_numbers = dim == 0 and all(not each.dim() for each in inputs)
        if ctx.are_numbers:
            inputs = tuple(each.view(1) for each in inputs)
            warn(
                "Was asked to gather along dimension 0, but all "
                "input tensors were scalars; will instead unsqueeze "
                "and return a vector."
            )
        ctx.sizes = [each.shape[dim] for each in inputs]
        return comm.gather(inputs, dim, target_device)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The parts, where the tensors came from."""
        parts = Scatter.apply(ctx.sources, ctx.sizes, ctx.dim, grad)
        return (None, None, *(each[0] if ctx.are_numbers else each for each in parts))


class Scatter(Function):
    """The parts of a tensor on several GPUs."""

    @staticmethod
    def forward(
        ctx: Any, target_gpus: Sequence[Any], chunk_sizes: Sequence[int] | None, dim: int, input: Tensor
    ) -> tuple[Tensor, ...]:
        """Along ``dim``, of equal sizes if no others are given."""
        indices = [device_index(each, optional=True) for each in target_gpus]
        ctx.source, ctx.dim = input.get_device() if input.is_cuda else -1, dim
        return tuple(each.view_as(each) for each in comm.scatter(input, indices, chunk_sizes, dim))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Put together, where the tensor came from."""
        place = device("cpu") if ctx.source == -1 else ctx.source
        return None, None, None, Gather.apply(place, ctx.dim, *grads)


def _refuse_cpu(what: str, inputs: Sequence[Tensor]) -> None:
    if any(each.device.type == "cpu" for each in inputs):
        raise AssertionError(f"{what} function not implemented for CPU tensors")
