"""Mixed precision, as operations see it: which dtype their inputs are cast to inside an ``autocast`` block.

``distrt.amp.autocast`` switches it on with the functions here, which are PyTorch's low-level ones. What is on stands in
``modes.autocast``: the narrow NumPy dtype, or None, so that an operation has to look at one attribute only. There are
PyTorch's four classes, with the members that its CPU backend has:

* ``lower``: matrix products, convolutions, attention: inputs are cast to the narrow dtype;
* ``full``: losses, Fourier transforms, linear algebra and the like: inputs are cast to float32;
* ``widest``: ``cat``, ``stack``, ``index_copy``: inputs are cast to the widest dtype among them;
* all others take their inputs as they come, and promote as usual.

An operation names its class in ``@op``; a function that is composed of operations has ``@autocasts`` on it, and what it
calls runs as it comes. float64, integers and complex numbers are never cast.

Source: https://docs.pytorch.org/docs/2.13/amp.html
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.gpu import library
from distrt.core.layouts import seen
from distrt.core.modes import modes, used
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "clear_autocast_cache",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "get_autocast_gpu_dtype",
    "get_autocast_ipu_dtype",
    "get_autocast_xla_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
    "is_autocast_ipu_enabled",
    "is_autocast_xla_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_autocast_gpu_dtype",
    "set_autocast_ipu_dtype",
    "set_autocast_ipu_enabled",
    "set_autocast_xla_dtype",
    "set_autocast_xla_enabled",
]

Class = Literal["lower", "full", "widest", "none"]
Function = TypeVar("Function", bound=Callable[..., Any])

#: The device types that PyTorch knows autocast for, each with its own narrow dtype.
_NARROW = {
    "cpu": dt.bfloat16,
    "xla": dt.bfloat16,
    "hpu": dt.bfloat16,
    **dict.fromkeys("cuda hip ipu mps mtia maia privateuseone xpu".split(), dt.float16),
}
_UNAVAILABLE = frozenset(("hip",))  # has a dtype, but no autocast of its own

_F32 = dt.float32.numpy
_CASTABLE = frozenset((_F32, dt.float16.numpy, dt.bfloat16.numpy))


class _State(threading.local):
    """What one thread has set: PyTorch keeps it per thread, too."""

    def __init__(self) -> None:
        self.enabled: set[str] = set()
        self.narrow: dict[str, Any] = {}  # NumPy's dtype for each kind of device whose block is on
        self.dtypes = dict(_NARROW)
        self.nesting = 0
        self.cache_enabled = True
        self.casts: dict[tuple[int, bool], tuple[weakref.ref[Tensor], int, Tensor]] = {}


_state = _State()


# What operations call


def lowered(value: Any) -> Any:
    """A tensor in the narrow dtype; anything else as it is."""
    target = modes.autocast if not used.gpu else _narrow_of(value)
    return value if target is None else _cast(value, target)


def raised(value: Any) -> Any:
    """A tensor in float32; anything else as it is."""
    return value if used.gpu and _narrow_of(value) is None else _cast(value, _F32)


def _narrow_of(value: Any) -> Any:
    """The narrow dtype of the device that a tensor is on; None where its block is off for that device."""
    if not isinstance(value, Tensor):
        return None
    return _state.narrow.get(value.device.type)


def widened(*values: Any) -> tuple[Any, ...]:
    """Tensors in the widest dtype among them and the narrow one: float32 where there is one.

    Raises:
        DtypeError: where the other half-precision dtype is among them, which is neither.
    """
    narrow = modes.autocast
    if used.gpu:
        narrow = next((_narrow_of(each) for each in values if isinstance(each, Tensor)), None)
        if narrow is None:
            return values
    widest = narrow
    for value in values:
        if not isinstance(value, Tensor):
            continue
        found = seen(value).dtype
        if found not in _CASTABLE:
            continue
        if widest == _F32 or found == _F32:
            widest = _F32
        elif found != narrow:
            raise DtypeError("Unexpected floating ScalarType in at::autocast::prioritize")
    return tuple([_cast(value, widest) for value in values])


def _cast(value: Any, target: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    found = seen(value).dtype
    if found == target or found not in _CASTABLE:
        return value
    if _is_cached(value, target):
        return _cast_once(value, target)
    return _to(value, target)


def _to(tensor: Tensor, target: Any) -> Tensor:
    from distrt.core import ops

    return ops.to_dtype(tensor, target)  # type: ignore[no-any-return]


def _is_cached(tensor: Tensor, target: Any) -> bool:
    """PyTorch's rule for a weight: a float32 leaf that requires grad, cast to the narrow dtype."""
    return (
        target == (_narrow_of(tensor) if used.gpu else modes.autocast)
        and tensor._array.dtype == _F32
        and tensor._edge is not None
        and tensor.is_leaf
        and tensor._base is None
        and _state.cache_enabled
    )


def _cast_once(tensor: Tensor, target: Any) -> Tensor:
    """The weight's cast, which all its uses in the outermost block share.

    PyTorch goes on using the cast of a weight that has changed, so that a step inside of the block has no effect there;
    here it is cast again. What was cast without recording does not serve where gradients are recorded.
    """
    key = (id(tensor), bool(modes.grad))
    version = tensor._counter[0]
    found = _state.casts.get(key)
    if found is not None and found[0]() is tensor and found[1] == version and found[2]._array.dtype == target:
        return found[2]
    made = _to(tensor, target)
    _state.casts[key] = (weakref.ref(tensor), version, made)
    return made


def autocasts(kind: Class) -> Callable[[Function], Function]:
    """For functions that are composed of operations: casts their tensors as a whole; inside, autocast is off.

    With ``out=``, a function is another one in PyTorch, which takes its inputs as they come.

    Args:
        kind: the class; "none" casts nothing, and keeps the operations inside from casting.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if not used.autocast or modes.autocast is None:
                return function(*args, **kwargs)
            if kind != "none" and kwargs.get("out") is None:
                args, kwargs = _cast_all(kind, args, kwargs)
            return as_it_comes(function, *args, **kwargs)

        return run  # type: ignore[return-value]

    return decorate


def as_it_comes(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function's result, with autocast off inside."""
    outer, modes.autocast = modes.autocast, None
    try:
        return function(*args, **kwargs)
    finally:
        modes.autocast = outer


def _cast_all(kind: Class, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    if kind == "widest":
        cast = widened(*args, *kwargs.values())
        return cast[: len(args)], dict(zip(kwargs, cast[len(args) :], strict=True))
    one = lowered if kind == "lower" else raised

    def each(value: Any) -> Any:
        return type(value)(map(each, value)) if type(value) in (list, tuple) else one(value)

    return tuple(map(each, args)), {name: each(value) for name, value in kwargs.items()}


# PyTorch's functions


def is_autocast_available(device_type: str) -> bool:
    """True for the types of devices that PyTorch has autocast for, whether or not there is such a device."""
    found = _type("_is_autocast_available", device_type)
    return found in _NARROW and found not in _UNAVAILABLE


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """True in a block that is on for a device type; for ``"cuda"`` where none is named."""
    return ("cuda" if device_type is None else _type("is_autocast_enabled", device_type)) in _state.enabled


def set_autocast_enabled(device_type: Any, enabled: Any = None) -> None:
    """Switches autocast on or off for a device type; with one bool only, for ``"cuda"``."""
    if enabled is None and isinstance(device_type, bool):
        device_type, enabled = "cuda", device_type
    found = _type("set_autocast_enabled", device_type)
    _require("set_autocast_enabled", "enabled", 2, enabled, bool)
    (_state.enabled.add if enabled else _state.enabled.discard)(found)
    _settle()


def get_autocast_dtype(device_type: str) -> dt.dtype:
    """The narrow dtype of a device type: bfloat16 on the CPU, float16 on a GPU, unless something else has been set."""
    found = _type("get_autocast_dtype", device_type)
    if found not in _state.dtypes:
        raise DtypeError("unsupported scalarType")
    return _state.dtypes[found]


def set_autocast_dtype(device_type: str, dtype: dt.dtype) -> None:
    """Sets the narrow dtype of a device type."""
    found = _type("set_autocast_dtype", device_type)
    _require("set_autocast_dtype", "dtype", 2, dtype, dt.dtype)
    _state.dtypes[found] = dtype
    _settle()


def is_autocast_cache_enabled() -> bool:
    """True where a weight is cast once in a block, not at each use."""
    return _state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Says whether a weight is cast once in a block."""
    _require("set_autocast_cache_enabled", "enabled", 1, enabled, bool)
    _state.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forgets the casts of weights: done at the end of the outermost block."""
    _state.casts.clear()


def autocast_increment_nesting() -> int:
    """Notes that a block begins; returns how many there are around here."""
    _state.nesting += 1
    return _state.nesting


def autocast_decrement_nesting() -> int:
    """Notes that a block ends; returns how many are left."""
    _state.nesting -= 1
    return _state.nesting


def snapshot() -> tuple[bool, dt.dtype, bool]:
    """What holds on the CPU: whether it is on, its narrow dtype, whether weights are cached; ``restored`` takes it."""
    return "cpu" in _state.enabled, _state.dtypes["cpu"], _state.cache_enabled


class restored:  # noqa: N801 - a context manager
    """For a block: what ``snapshot`` has told. Checkpointing repeats a forward pass with it."""

    def __init__(self, taken: tuple[bool, dt.dtype, bool]) -> None:
        self._taken = taken

    def __enter__(self) -> None:
        self._outer = snapshot()
        self._set(self._taken)
        autocast_increment_nesting()

    def __exit__(self, *exception: object) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        self._set(self._outer)

    def _set(self, taken: tuple[bool, dt.dtype, bool]) -> None:
        enabled, dtype, cache_enabled = taken
        set_autocast_enabled("cpu", enabled)
        set_autocast_dtype("cpu", dtype)
        set_autocast_cache_enabled(cache_enabled)


def _settle() -> None:
    """What operations look at follows what has been set."""
    _state.narrow = {each: _state.dtypes[each].numpy for each in ("cpu", "cuda") if each in _state.enabled}
    if "cuda" in _state.narrow and not library.device_count():
        del _state.narrow["cuda"]
    modes.autocast = next(iter(_state.narrow.values()), None)
    used.autocast = used.autocast or modes.autocast is not None


def _type(function: str, device_type: Any) -> str:
    _require(function, "device_type", 1, device_type, str)
    return device(device_type).type


def _require(function: str, name: str, position: int, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        expected = "torch.dtype" if kind is dt.dtype else kind.__name__
        raise TypeError(
            f"{function}(): argument '{name}' (position {position}) must be {expected}, not {type(value).__name__}"
        )


# The older functions, one for each type of device


def _deprecated(called: str, instead: str) -> None:
    warn(f"torch.{called} is deprecated. Please use torch.{instead} instead.", DeprecationWarning)


def get_autocast_gpu_dtype() -> dt.dtype:
    """Deprecated: ``get_autocast_dtype("cuda")``."""
    _deprecated("get_autocast_gpu_dtype()", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: dt.dtype) -> None:
    """Deprecated: ``set_autocast_dtype("cuda", dtype)``."""
    _deprecated("set_autocast_gpu_dtype(dtype)", "set_autocast_dtype('cuda', dtype)")
    set_autocast_dtype("cuda", dtype)


def _older(device_type: str) -> tuple[Callable[..., Any], ...]:
    def is_enabled() -> bool:
        _deprecated(f"is_autocast_{device_type}_enabled()", f"is_autocast_enabled('{device_type}')")
        return is_autocast_enabled(device_type)

    def set_enabled(enabled: bool) -> None:
        _deprecated(
            f"set_autocast_{device_type}_enabled(enabled)", f"set_autocast_enabled('{device_type}', enabled)"
        )
        set_autocast_enabled(device_type, enabled)

    def get_dtype() -> dt.dtype:
        _deprecated(f"get_autocast_{device_type}_dtype()", f"get_autocast_dtype('{device_type}')")
        return get_autocast_dtype(device_type)

    def set_dtype(dtype: dt.dtype) -> None:
        _deprecated(f"set_autocast_{device_type}_dtype(dtype)", f"set_autocast_dtype('{device_type}', dtype)")
        set_autocast_dtype(device_type, dtype)

    for function, name, today in (
        (is_enabled, f"is_autocast_{device_type}_enabled", f'is_autocast_enabled("{device_type}")'),
        (
            set_enabled,
            f"set_autocast_{device_type}_enabled",
            f'set_autocast_enabled("{device_type}", enabled)',
        ),
        (get_dtype, f"get_autocast_{device_type}_dtype", f'get_autocast_dtype("{device_type}")'),
        (set_dtype, f"set_autocast_{device_type}_dtype", f'set_autocast_dtype("{device_type}", dtype)'),
    ):
        function.__name__ = function.__qualname__ = name
        function.__doc__ = f"Deprecated: ``{today}``."
    return is_enabled, set_enabled, get_dtype, set_dtype


is_autocast_cpu_enabled, set_autocast_cpu_enabled, get_autocast_cpu_dtype, set_autocast_cpu_dtype = _older(
    "cpu"
)
is_autocast_ipu_enabled, set_autocast_ipu_enabled, get_autocast_ipu_dtype, set_autocast_ipu_dtype = _older(
    "ipu"
)
is_autocast_xla_enabled, set_autocast_xla_enabled, get_autocast_xla_dtype, set_autocast_xla_dtype = _older(
    "xla"
)
