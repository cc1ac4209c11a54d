"""Where a tensor's memory is: ``cpu``, or ``cuda:N`` where CuPy finds a GPU."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import DeviceError

_TYPES = ("cpu", "cuda")


class device:  # noqa: N801 - PyTorch's own spelling
    """A device: ``device("cpu")``, ``device("cuda:0")``, ``device("cuda", 1)``, ``device(0)``.

    Raises:
        RuntimeError: for a type other than cpu and cuda, or an index that is no number.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type: str = type.type
            self.index: int | None = type.index
            return
        if isinstance(type, int):
            type, index = f"cuda:{type}", None
        name, _, number = type.partition(":")
        if name not in _TYPES:
            raise DeviceError(
                f"expected one of {', '.join(_TYPES)} device type at start of device string: {type}"
            )
        if number:
            if not number.isdigit():
                raise DeviceError(f"invalid device string: {type!r}")
            index = int(number)
        self.type = name
        self.index = index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})"
            if self.index is None
            else f"device(type={self.type!r}, index={self.index})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


CPU = device("cpu")


def require_available(wanted: str | int | device | None) -> device:
    """``wanted`` as a device of this machine; None is the CPU.

    Raises:
        DeviceError: for a CUDA device on a machine without one.
    """
    chosen = CPU if wanted is None else device(wanted)
    if chosen.type == "cuda":
        raise DeviceError(
            f"device {chosen}: no CUDA device is available; use device('cpu'), or ask distrt.cuda.is_available() first"
        )
    return chosen
