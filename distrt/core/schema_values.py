"""What calls give for the parameters of a signature, as kernels get it: 3 for a ``float`` is 3.0, a tuple is a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor

_LARGEST = 2**63


def read(kind: str, value: Any) -> Any:
    """The value of a parameter of this type: ``float``, ``Tensor(a!)``, ``int[2]``, ``SymInt[]?``.

    Raises:
        TypeError: for a value of another type.
    """
    if kind.endswith("?"):
        return None if value is None else read(kind[:-1], value)
    if kind.endswith("]"):
        inner, _, count = kind[:-1].rpartition("[")
        given = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(given, list | tuple):
            return [read(inner, each) for each in given]
        if not count:
            raise TypeError(kind)
        return [read(inner, given)] * int(count)
    reader = _READERS.get(kind.partition("(")[0])
    return value if reader is None else reader(value)


def described(kind: str) -> str:
    """A type as PyTorch's errors name it: ``Optional[List[int]]``."""
    if kind.endswith("?"):
        return f"Optional[{described(kind[:-1])}]"
    if kind.endswith("]"):
        return f"List[{described(kind[:-1].rpartition('[')[0])}]"
    plain = kind.partition("(")[0]
    return {"SymInt": "int", "ScalarType": "int", "Scalar": "number"}.get(plain, plain)


def default(kind: str, value: Any) -> Any:
    """What a default stands for that a signature has as text: a dtype's name."""
    if kind.startswith("ScalarType") and isinstance(value, str):
        return dt.PUBLIC_NAMES.get(value.removeprefix("torch."), value)
    return value


def _one_of(*types: type) -> Callable[[Any], Any]:
    def reader(value: Any) -> Any:
        if not isinstance(value, types):
            raise TypeError(value)
        return value

    return reader


def _number(value: Any, *types: type) -> Any:
    """A number of one of these types, which a tensor of one element, or NumPy, may hold."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.detach().item()
    elif isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, types):
        raise TypeError(value)
    return value


def _integer(value: Any) -> int:
    if isinstance(value, Tensor):
        return int(_number(value, int, float))
    found = int(_number(value, int))
    if not -_LARGEST <= found < _LARGEST:
        raise TypeError(value)
    return found


def _scalar(value: Any) -> Any:
    if isinstance(value, Tensor):
        raise TypeError(value)
    return _number(value, int, float, complex)


def _device(value: Any) -> device:
    return device(_one_of(str, device)(value))


_READERS: dict[str, Callable[[Any], Any]] = {
    "Device": _device,
    "Scalar": _scalar,
    "ScalarType": _one_of(dt.dtype),
    "SymInt": _integer,
    "Tensor": _one_of(Tensor),
    "bool": lambda value: bool(value is not None and _number(value, int, float)),
    "float": lambda value: float(_number(value, int, float)),
    "int": _integer,
    "str": _one_of(str),
}
