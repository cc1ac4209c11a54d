"""``autocast``: a block in which operations choose their own dtype; and what custom autograd functions need of it.

The casting itself is in ``core/autocast.py``. Semantics, warnings and errors are PyTorch's.
Source: https://docs.pytorch.org/docs/2.13/amp.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from distrt.core import autocast as casting
from distrt.core.autocast import is_autocast_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DeviceError
from distrt.core.gpu import library
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]

_SUPPORTED = (dt.bfloat16, dt.float16)


class autocast:  # noqa: N801 - PyTorch's own spelling
    """Inside the block (or the decorated function), each operation runs in the dtype that its class asks for.

    Matrix products and convolutions run in ``dtype``, losses and linear algebra in float32, and the rest as its inputs
    come. Parameters stay as they are, and their gradients have their dtype. It is meant for the forward pass and the
    loss; the backward pass runs outside of the block, in the dtypes of the forward pass.

    Args:
        device_type: "cpu", "cuda", …: the type of device that is meant. Without a GPU, "cuda" warns and does nothing.
        dtype: bfloat16 or float16; by default what ``get_autocast_dtype`` tells.
        enabled: False makes an island in which everything runs as it comes.
        cache_enabled: whether a parameter is cast once in the outermost block, or at each use.

    Raises:
        ValueError: for a ``device_type`` that is no string.
        RuntimeError: for one that there is no autocast for.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dt.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _require_type(device_type)
        self.fast_dtype = casting.get_autocast_dtype(device_type) if dtype is None else dtype
        self.device = device_type
        if not is_autocast_available(device_type):
            raise DeviceError(f"User specified an unsupported autocast device_type '{device_type}'")
        self._cache_enabled = casting.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._enabled = enabled and self._is_possible()

    def _is_possible(self) -> bool:
        """False, with a warning, for a device that is not there and for a dtype that it has no autocast for."""
        complaint = None
        if self.device == "cuda" and not library.device_count():
            complaint = "CUDA is not available or torch_xla is imported. Disabling autocast."
        elif self.fast_dtype not in _SUPPORTED:
            name = self.device.upper()
            complaint = (
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of {', '.join(map(str, _SUPPORTED))} currently."
            )
        if complaint:
            warn(complaint)
        return complaint is None

    def __enter__(self) -> autocast:
        self.prev_cache_enabled = casting.is_autocast_cache_enabled()
        self.prev = casting.is_autocast_enabled(self.device)
        self.prev_fastdtype = casting.get_autocast_dtype(self.device)
        casting.set_autocast_enabled(self.device, self._enabled)
        casting.set_autocast_dtype(self.device, self.fast_dtype)
        casting.autocast_increment_nesting()
        casting.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, *exception: object) -> None:
        if casting.autocast_decrement_nesting() == 0:
            casting.clear_autocast_cache()
        casting.set_autocast_enabled(self.device, self.prev)
        casting.set_autocast_dtype(self.device, self.prev_fastdtype)
        casting.set_autocast_cache_enabled(self.prev_cache_enabled)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function with this block around it."""
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. "
                f"Did you mean to use autocast as a context manager? For example:\n"
                f"    with torch.autocast(device_type=...):\n"
                f"        output = model(input)"
            )
        return autocast_decorator(self, func)


def autocast_decorator(autocast_instance: autocast, func: Callable[..., Any]) -> Callable[..., Any]:
    """``func`` with the block around it."""

    @functools.wraps(func)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorated


def _require_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


# Custom autograd functions


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dt.dtype | None = None
) -> Any:
    """For ``forward`` of an ``autograd.Function``: ``backward`` will run with the autocast state that it ran with.

    Args:
        fwd: the method; a decorator without it.
        device_type: which autocast is meant.
        cast_inputs: inside a block, casts the floating-point arguments to this dtype and runs ``forward`` with autocast
            off.
    """
    _require_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = casting.get_autocast_dtype(device_type)
        is_on = casting.is_autocast_enabled(device_type)
        context._fwd_used_autocast = is_on and cast_inputs is None
        if not is_on or cast_inputs is None:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs),
                **_cast(kwargs, device_type, cast_inputs),
            )

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """For ``backward`` of an ``autograd.Function`` whose ``forward`` has ``custom_fwd``: the same autocast state."""
    _require_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type=device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return decorated


def _cast(value: Any, device_type: str, dtype: dt.dtype) -> Any:
    """The tensors in a structure, in ``dtype`` where they are of a floating dtype other than float64."""
    if isinstance(value, Tensor):
        is_eligible = (
            value.is_floating_point() and value.device.type == device_type and value.dtype is not dt.float64
        )
        return value.to(dtype) if is_eligible else value
    if isinstance(value, str | bytes | np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, Iterable):
        cast = (_cast(each, device_type, dtype) for each in value)
        return type(value)(cast) if isinstance(value, list | tuple) else cast
    return value


def _enter_autocast(*args: Any) -> autocast:
    """PyTorch's way of entering a block without ``with``."""
    mode = autocast(*args)
    mode.__enter__()
    return mode


def _exit_autocast(mode: autocast) -> None:
    mode.__exit__(None, None, None)
