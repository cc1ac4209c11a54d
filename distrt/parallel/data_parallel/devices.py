"""Which GPU is meant, for those that distribute tensors over several; and what they say where there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.device import device as device_type
from distrt.core.errors import DeviceMissing

__all__ = ["device_index", "no_accelerator"]


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


def no_accelerator(what: str) -> NoReturn:
    """Refuses what is about GPUs.

    Raises:
        DeviceMissing: always.
    """
    raise DeviceMissing(f"{what}: Cannot access accelerator device when none is available.")
