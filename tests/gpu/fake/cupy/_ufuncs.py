"""Ufuncs: for the dtypes that were recorded, on arrays of the device and plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._array import host, made, ndarray, wrapped
from ._recording import recorded
from ._surface import SURFACE

_NUMPY_NAMES = {"cbrt": "cbrt"}


class ufunc:
    """One element by element function."""

    def __init__(self, name: str, types: list[str] | None) -> None:
        self.name = self.__name__ = name
        self.types = types
        self.numpy: Any = getattr(np, name)

    def _require_kernel(self, inputs: Any, dtype: Any) -> None:
        if self.types is None:
            return
        chars = []
        for each in inputs:
            if isinstance(each, np.ndarray | np.generic):
                chars.append("e" if each.dtype.kind == "V" or each.dtype.char == "E" else each.dtype.char)
            else:
                chars.append(np.result_type(each).char if isinstance(each, complex) else "?")
        known = [kinds.partition("->")[0] for kinds in self.types]
        if not any(
            len(each) == len(chars)
            and all(np.can_cast(char, kind) for char, kind in zip(chars, each, strict=True))
            for each in known
        ):
            dtypes = ", ".join(str(np.dtype(char)) for char in chars)
            raise TypeError(f"Wrong type (({dtypes})) of arguments for cupy_{self.name}")

    @recorded
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        unknown = set(kwargs) - {"out", "where", "dtype", "casting", "axes"}
        if unknown:
            raise TypeError(f"Wrong arguments {dict.fromkeys(unknown)}")
        out = kwargs.get("out")
        count = self.numpy.nin
        if len(args) > count:
            out = args[count] if len(args) == count + 1 else tuple(args[count:])
        inputs = [host(each) for each in args[:count]]
        self._require_kernel(inputs, kwargs.get("dtype"))
        named = {key: host(value) for key, value in kwargs.items() if key != "out"}
        if out is not None:
            named["out"] = tuple(host(each) for each in out) if isinstance(out, tuple) else host(out)
        with np.errstate(all="ignore"):
            result = self.numpy(*inputs, **named)
        if out is not None:
            return out
        return tuple(map(made, result)) if isinstance(result, tuple) else made(result)

    @recorded
    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> ndarray:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        result = self.numpy.reduce(host(array), axis, dtype, None if out is None else host(out), keepdims)
        return out if out is not None else made(result)

    @recorded
    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> ndarray:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        result = self.numpy.accumulate(host(array), axis, dtype, None if out is None else host(out))
        return out if out is not None else made(result)

    @recorded
    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        if self.name not in (
            "add",
            "maximum",
            "minimum",
            "subtract",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
        ):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        key = tuple(map(host, indices)) if isinstance(indices, tuple) else host(indices)
        self.numpy.at(host(a), key, host(b))

    @recorded
    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:  # noqa: N803
        return wrapped(self.numpy.outer(host(A), host(B), **kwargs))


UFUNCS = {name: ufunc(name, types) for name, types in SURFACE["ufuncs"].items() if hasattr(np, name)}
UFUNCS.update((name, ufunc(name, None)) for name in SURFACE["gufuncs"])
