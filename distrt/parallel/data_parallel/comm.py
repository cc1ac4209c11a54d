"""Copies of tensors on several GPUs of one process, and their sums.

Arguments are checked as in PyTorch. Tensors are on the CPU, and there is no GPU to put them on: what asks for one is
refused. Between processes, ``distrt.distributed`` has the same by other names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from distrt.core.tensor import Tensor
from distrt.parallel.data_parallel.devices import device_index, no_accelerator

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
    no_accelerator("broadcast")


def broadcast_coalesced(
    tensors: Sequence[Tensor], devices: Iterable[Any], buffer_size: int = 10485760
) -> list[list[Tensor]]:
    """Copies of several tensors on GPUs.

    Raises:
        RuntimeError: without GPUs.
    """
    for each in devices:
        device_index(each)
    no_accelerator("broadcast_coalesced")


def reduce_add(inputs: Sequence[Tensor], destination: Any = None) -> Tensor:
    """The sum of tensors that lie on different GPUs.

    Raises:
        AssertionError: a tensor is on the CPU.
    """
    device_index(destination, optional=True)
    for position, each in enumerate(inputs):
        if each.device.type == "cpu":
            raise AssertionError(
                f"reduce_add expects all inputs to be on GPUs, but input {position} is on CPU"
            )
    no_accelerator("reduce_add")


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
    no_accelerator("scatter")


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
        warnings.warn(
            "Using -1 to represent CPU tensor is deprecated. Please use a "
            'device object or string instead, e.g., "cpu".',
            FutureWarning,
            stacklevel=2,
        )
    device_index(destination, optional=True, allow_cpu=True)
    no_accelerator("gather")
