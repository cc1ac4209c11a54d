"""Copies of tensors on several GPUs of one process, and their sums.

Copies go from GPU to GPU as CuPy moves them; nothing is recorded for autograd (``functions`` does that). Between
processes, ``distrt.distributed`` has the same by other names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distrt.core import ops
from distrt.core.device import device
from distrt.core.gpu import library
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.parallel.data_parallel.devices import device_index, gpu_numbers, no_accelerator, on_gpu

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "reduce_add_coalesced", "scatter"]


def broadcast(
    tensor: Tensor, devices: Iterable[Any] | None = None, *, out: Sequence[Tensor] | None = None
) -> tuple[Tensor, ...]:
    """Copies of ``tensor`` on GPUs, named by ``devices`` or by the tensors in ``out``.

    Raises:
        RuntimeError: unless exactly one of the two is given; and without GPUs.
    """
    if (devices is None) == (out is None):
        raise RuntimeError(
            f"Exactly one of 'devices' and 'out' must be specified, but got devices={devices} and out={out}"
        )
    for each in devices or ():
        device_index(each)
    numbers = gpu_numbers("broadcast", devices or ())
    if out is not None:
        with no_grad():
            return tuple(each.copy_(tensor) for each in out)
    return tuple(on_gpu(tensor, each) for each in numbers)


def broadcast_coalesced(
    tensors: Sequence[Tensor], devices: Iterable[Any], buffer_size: int = 10485760
) -> list[list[Tensor]]:
    """Copies of several tensors on GPUs.

    Raises:
        RuntimeError: without GPUs.
    """
    numbers = gpu_numbers("broadcast_coalesced", devices)
    return [[on_gpu(each, number) for each in tensors] for number in numbers]


def reduce_add(inputs: Sequence[Tensor], destination: Any = None) -> Tensor:
    """The sum of tensors that lie on different GPUs.

    Raises:
        AssertionError: a tensor is on the CPU.
    """
    chosen = device_index(destination, optional=True)
    for position, each in enumerate(inputs):
        if each.device.type == "cpu":
            raise AssertionError(
                f"reduce_add expects all inputs to be on GPUs, but input {position} is on CPU"
            )
    number = gpu_numbers("reduce_add", [chosen])[0]
    first = next((each for each in inputs if each.get_device() == number), None)
    if first is None:
        raise RuntimeError("reduce_add expects destination to be on the same GPU with one of the tensors")
    for position, each in enumerate(inputs):
        if each.shape != first.shape:
            raise ValueError(
                f"input {position} has invalid size: got {list(each.shape)}, but expected {list(first.shape)}"
            )
    total: Tensor | None = None
    with no_grad():
        for each in inputs:
            here = on_gpu(each, number)
            total = here if total is None else total + here
    assert total is not None, "first is one of them"
    return total


def reduce_add_coalesced(
    inputs: Sequence[Sequence[Tensor]], destination: Any = None, buffer_size: int = 10485760
) -> tuple[Tensor, ...]:
    """The sums of several tensors that lie on different GPUs."""
    return tuple(reduce_add(each, destination) for each in zip(*inputs, strict=True))


def scatter(
    tensor: Tensor,
    devices: Iterable[Any] | None = None,
    chunk_sizes: Sequence[int] | None = None,
    dim: int = 0,
    streams: Any = None,
    *,
    out: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """Parts of ``tensor`` along ``dim`` on GPUs, named by ``devices`` or by the tensors in ``out``.

    Raises:
        RuntimeError: for contradicting arguments; and without GPUs.
    """
    if out is None:
        for each in devices:  # type: ignore[union-attr]  # None is a TypeError, as in PyTorch
            device_index(each)
    elif devices is not None:
        raise RuntimeError(
            f"'devices' must not be specified when 'out' is specified, but got devices={devices}"
        )
    elif chunk_sizes is not None:
        raise RuntimeError(
            f"'chunk_sizes' must not be specified when 'out' is specified, but got chunk_sizes={chunk_sizes}"
        )
    numbers = gpu_numbers("scatter", devices or ())
    with no_grad():
        if out is not None:
            sizes = [each.shape[dim] for each in out]
            parts = tensor.split(sizes, dim)
            return tuple(each.copy_(part) for each, part in zip(out, parts, strict=True))
        parts = (
            tensor.chunk(len(numbers), dim) if chunk_sizes is None else tensor.split(list(chunk_sizes), dim)
        )
        return tuple(on_gpu(part, number) for part, number in zip(parts, numbers, strict=False))


def gather(
    tensors: Iterable[Tensor], dim: int = 0, destination: Any = None, *, out: Tensor | None = None
) -> Tensor:
    """Tensors that lie on different GPUs, one after another along ``dim``.

    Raises:
        RuntimeError: for contradicting arguments; and without GPUs.
    """
    if out is not None and destination is not None:
        raise RuntimeError(
            f"'destination' must not be specified when 'out' is specified, but got destination={destination}"
        )
    if out is None and isinstance(destination, int) and destination == -1:
        warn(
            "Using -1 to represent CPU tensor is deprecated. Please use a "
            'device object or string instead, e.g., "cpu".',
            FutureWarning,
        )
    chosen = device_index(destination, optional=True, allow_cpu=True)
    if not library.device_count():
        no_accelerator("gather")
    with no_grad():
        place = out.device if out is not None else device("cpu") if chosen == -1 else None
        place = device("cuda", gpu_numbers("gather", [chosen])[0]) if place is None else place
        joined = ops.cat([each.to(place) for each in tensors], dim)
        return joined if out is None else out.copy_(joined)
