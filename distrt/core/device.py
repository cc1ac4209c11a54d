"""Where a tensor's memory is: ``cpu``, ``cuda:N`` where a GPU is found, ``meta`` for none; and the default device."""

from __future__ import annotations

import re
import threading
from typing import Any

from distrt.core.errors import DeviceError, DeviceMissing

#: Every type that PyTorch knows: programs name them before they ask whether they are there.
_TYPES = (
    "cpu cuda ipu xpu mkldnn opengl opencl ideep hip ve fpga maia xla lazy vulkan mps meta hpu mtia privateuseone"
).split()


class device:  # noqa: N801 - PyTorch's own spelling
    """A device: ``device("cpu")``, ``device("cuda:0")``, ``device("cuda", 1)``.

    In a ``with`` statement, the device that functions use when none is given.

    Raises:
        DeviceError: for a type that is not known, or an index that is negative or no number.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
        elif isinstance(type, str):
            self.type, self.index = _parse(type, index)
        elif isinstance(type, int) and not isinstance(type, bool) and index is None:
            self.type, self.index = "cuda", _not_negative(type)
        else:
            raise TypeError(
                "device(): expected a string such as 'cuda:0', or a type and an index, got "
                f"{', '.join(repr(each) for each in (type, index) if each is not None) or repr(type)}"
            )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        _default.devices.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _default.devices.pop()


def _parse(text: str, index: Any) -> tuple[str, int | None]:
    if not text:
        raise DeviceError("Device string must not be empty")
    name, colon, number = text.partition(":")
    if name not in _TYPES:
        raise DeviceError(
            f"Expected one of {', '.join(_TYPES)} device type at start of device string: {text}"
        )
    if colon and not re.fullmatch(r"0|[1-9][0-9]*", number):
        raise DeviceError(f"Invalid device string: {text!r}")
    if index is None:
        return name, int(number) if colon else None
    if not isinstance(index, int) or isinstance(index, bool):
        raise TypeError(f"device(): argument 'index' (position 2) must be int, not {type(index).__name__}")
    if colon:
        raise DeviceError(
            f"type (string) must not include an index because index was passed explicitly: {text}"
        )
    return name, _not_negative(index)


def _not_negative(index: int) -> int:
    if index < 0:
        raise DeviceError(f"Device index must not be negative, got {index}")
    return index


CPU = device("cpu")
META = device("meta")


class _Default(threading.local):
    """The devices of one thread that are meant by default: the innermost last."""

    def __init__(self) -> None:
        self.devices = [CPU]


_default = _Default()


def get_default_device() -> device:
    """The device that functions use when none is given."""
    return _default.devices[-1]


def set_default_device(device: Any) -> None:
    """Sets the device that functions use when none is given; None is the CPU again."""
    _default.devices[-1] = CPU if device is None else _device(device)


_device = device


def require_available(wanted: Any) -> device:
    """``wanted`` as a device of this machine; None is the default one.

    Raises:
        DeviceMissing: for a device that this machine does not have.
    """
    chosen = get_default_device() if wanted is None else device(wanted)
    if chosen.type == "cpu":
        return CPU  # there is one, whatever its number
    if chosen.type == "meta":
        return META
    if chosen.type != "cuda":
        raise missing(str(chosen))
    return _gpu(chosen)


def _gpu(chosen: device) -> device:
    """The same with the number of a GPU that is there; the current one's where none was named."""
    from distrt.core.gpu import library

    count = library.device_count()
    if not count:
        raise missing(str(chosen))
    if chosen.index is None:
        return _device("cuda", library.current())
    if chosen.index >= count:
        raise DeviceMissing(
            f"CUDA error: invalid device ordinal: {chosen} was asked for, and there "
            f"{'is one GPU' if count == 1 else f'are {count} GPUs'} here"
        )
    return chosen


def missing(wanted: str) -> DeviceMissing:
    """The error for a device that this machine does not have, in words that PyTorch users know."""
    if wanted.startswith("cuda"):
        return DeviceMissing(
            f"Torch not compiled with CUDA enabled: device {wanted} was asked for, and distrt finds no GPU here. Use "
            "device('cpu'), or ask distrt.cuda.is_available() first"
        )
    return DeviceMissing(
        f"device {wanted} is not supported; tensors live on the CPU, on CUDA GPUs or on meta"
    )


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device: ``distrt.cpu`` or ``distrt.cuda``; without one, that of this machine's.

    Raises:
        DeviceError: for a kind that has no module.
    """
    import importlib

    kind = "cpu" if device is None else _device(device).type
    if kind not in ("cpu", "cuda"):
        raise DeviceError(f"get_device_module: there is no module for device {kind!r}")
    return importlib.import_module(f"distrt.{kind}")
