"""Functions: those that were recorded, with the arguments that were recorded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from . import cuda
from ._array import host, made, ndarray, wrapped
from ._recording import is_capturing, recorded, refuse_waiting
from ._surface import SURFACE
from .cuda.queued import settle

_FROM_HOST = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}
_TO_HOST = {"asnumpy"}
_WITHOUT_KERNEL = {"empty", "empty_like"}
_ALONG = {"take_along_axis": 2, "put_along_axis": 3}  # where the axis is among the arguments
# They wait for the device: to learn a size, or because Thrust does.
_WAITING = {
    "argwhere",
    "nonzero",
    "flatnonzero",
    "unique",
    "sort",
    "argsort",
    "partition",
    "argpartition",
    "median",
}


def _parameters(text: str | None) -> inspect.Signature | None:
    """The signature, without annotations and with defaults that stand for themselves."""
    if text is None:
        return None
    text = re.sub(r"\s*->.*$", "", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", "None", text)
    scope: dict[str, Any] = {"numpy": np}
    try:
        exec(
            f"from __future__ import annotations\ndef recorded{text}: ...", scope
        )  # a file of this repository
    except (SyntaxError, NameError):
        return None
    return inspect.signature(scope["recorded"])


def _as_it_is(value: Any) -> Any:
    return value


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(each, ndarray | np.ndarray) for each in value):
        return type(value)(host(each) for each in value)
    return host(value)


def function(
    name: str, numpy: Callable[..., Any], text: str | None, module: str = "cupy"
) -> Callable[..., Any]:
    """One function as CuPy has it."""
    signature = _parameters(text)
    known = None if signature is None else set(signature.parameters)

    def call(*args: Any, **kwargs: Any) -> Any:
        if signature is not None:
            signature.bind(*args, **kwargs)
        if name in _WAITING:
            refuse_waiting()
        out = kwargs.pop("out", None)
        sources = [*args, *kwargs.values()]
        if name in _FROM_HOST:
            for each in sources[:1]:
                if isinstance(each, np.ndarray):
                    if is_capturing():
                        cuda.memory.pinned(each.nbytes)
                    cuda.traffic.to_device += each.nbytes
                    each = made(each.copy())
                elif isinstance(each, ndarray):
                    _require_one_piece(each)
                args = (each, *args[1:])
        elif name not in _TO_HOST:
            args = tuple(map(_unwrapped, args))
        take = settle if name == "array" else _as_it_is
        args = tuple(take(each._host) if isinstance(each, ndarray) else each for each in args)
        kwargs = {key: _unwrapped(value) for key, value in kwargs.items()}
        if name in _ALONG:
            axis = args[_ALONG[name]] if len(args) > _ALONG[name] else kwargs["axis"]
            size = args[0].size if axis is None else args[0].shape[axis]
            args = (args[0], args[1] % max(size, 1), *args[2:])  # as CuPy's indexing, which begins again
        for gone in ("blocking", "stream"):
            kwargs.pop(gone, None)
        with np.errstate(all="ignore"):
            result = numpy(*args, **kwargs)
        if out is not None:
            out[...] = made(result)
            return out
        flat = [
            each for source in sources for each in (source if isinstance(source, list | tuple) else [source])
        ]
        return wrapped(result, *flat)

    call.__name__, call.__module__ = name, module
    noted = call if name in _WITHOUT_KERNEL else recorded(call)
    noted.known = known  # type: ignore[attr-defined]
    return noted


def _require_one_piece(source: ndarray) -> None:
    """Raises NotImplementedError for what CuPy does not copy from one GPU to another."""
    flags = source._host.flags
    here = source.device.id == cuda.runtime.getDevice()
    if not (here or flags.c_contiguous or flags.f_contiguous):
        raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """A copy on the host."""
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function(name, getattr(np, name), text)
    for name, text in SURFACE["functions"].items()
    if hasattr(np, name)
}
FUNCTIONS["asnumpy"] = asnumpy


def lexsort(keys: Any) -> Any:
    """CuPy takes a device array of one or two dims, and no tuple."""
    if not isinstance(keys, ndarray):
        raise TypeError("need a cupy.ndarray of keys in lexsort")
    if keys.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return made(np.lexsort(keys._host))


FUNCTIONS["lexsort"] = lexsort


def module_functions(room: str, module: Any) -> dict[str, Callable[..., Any]]:
    """The functions of a part such as ``linalg``."""
    return {
        name: function(name, getattr(module, name), text, f"cupy.{room}")
        for name, text in SURFACE[room].items()
        if hasattr(module, name)
    }
