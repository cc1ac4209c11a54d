"""Which GPU is meant, for those that distribute tensors over several; and what they say where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from distrt.core.device import device as device_type
from distrt.core.errors import DeviceMissing
from distrt.core.gpu import library
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor

__all__ = ["device_index", "gpu_numbers", "no_accelerator", "on_gpu"]


def device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int | None:
    """The number of a GPU that was named by itself, by a device or by a text; -1 for an allowed CPU.

    Args:
        device: what was given.
        optional: None stands for the current GPU, which on a machine without GPUs is None.
        allow_cpu: see above.

    Raises:
        ValueError: for a CPU, and for None, unless they are allowed.
    """
    if isinstance(device, str):
        device = device_type(device)
    index: int | None = None
    if isinstance(device, device_type):
        if device.type == "cpu" and not allow_cpu:
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        index = -1 if device.type == "cpu" else device.index
    elif isinstance(device, int):
        index = device
    if index is None and not optional:
        raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
    return index


def gpu_numbers(what: str, devices: Iterable[Any]) -> list[int]:
    """The numbers of GPUs, of which there must be some.

    Raises:
        DeviceMissing: without GPUs, for the name of ``what`` was asked for.
        ValueError: for a CPU among them.
    """
    numbers = [device_index(each, optional=True) for each in devices]
    if not library.device_count():
        no_accelerator(what)
    return [library.current() if each is None else each for each in numbers]


def on_gpu(tensor: Tensor, number: int) -> Tensor:
    """The tensor on a GPU: itself, or a copy. Nothing is recorded."""
    with no_grad():
        return tensor.to(device_type("cuda", number))


def no_accelerator(what: str) -> NoReturn:
    """Refuses what is about GPUs.

    Raises:
        DeviceMissing: always.
    """
    raise DeviceMissing(f"{what}: Cannot access accelerator device when none is available.")
