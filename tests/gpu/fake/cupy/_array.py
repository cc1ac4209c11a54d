"""The array: NumPy's, held and not inherited, so that nothing takes it for one."""

from __future__ import annotations

import functools
import operator
import warnings
from typing import Any

import numpy as np

from . import _recording, cuda
from ._surface import SURFACE
from .cuda.queued import copied_later, settle

_LIKE_NUMPY = (  # methods that take and give what NumPy's do, once arrays are unwrapped
    "all any argmax argmin argpartition argsort clip compress conj conjugate cumprod cumsum diagonal dot flatten max "
    "mean min nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var"
).split()
_VIEWS = {"diagonal", "reshape", "squeeze", "swapaxes", "transpose"}
_BINARY = "add sub mul truediv floordiv mod pow and or xor lshift rshift lt le gt ge eq ne matmul".split()
_UFUNC_OF = dict(
    zip(
        _BINARY,
        "add subtract multiply true_divide floor_divide remainder power bitwise_and bitwise_or bitwise_xor left_shift "
        "right_shift less less_equal greater greater_equal equal not_equal matmul".split(),
        strict=True,
    )
)


class ndarray:
    """An array on a fake device."""

    __array_priority__ = 100
    __slots__ = ("__weakref__", "_host", "_memory", "base", "device")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ):
        if memptr is None:
            self._host = np.empty(shape, dtype, order=order)
            self.base = None
            cuda.memory.count(self)
        else:
            self._host = np.ndarray(shape, dtype, memptr.buffer, memptr.offset, strides, order)
            self.base = None  # CuPy keeps the memory alive otherwise
        self.device = cuda.current()

    # -- what CuPy refuses

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")

    # -- the protocols by which NumPy's functions become CuPy's

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        import cupy

        if "out" in kwargs:
            out = kwargs["out"]
            kwargs["out"] = out[0] if len(out) == 1 else out
        found = getattr(cupy, ufunc.__name__, None)
        if found is None or any(isinstance(each, str | bytes) for each in inputs):
            return NotImplemented
        return (found if method == "__call__" else getattr(found, method))(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        import cupy

        try:
            module = functools.reduce(getattr, func.__module__.split(".")[1:], cupy)
            found = getattr(module, func.__name__)
        except AttributeError:
            return NotImplemented
        if any(each not in (ndarray, np.ndarray) for each in types):
            return NotImplemented
        return found(*args, **kwargs)

    # -- attributes

    @property
    def shape(self) -> Any:
        return self._host.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._host = np.reshape(self._host, shape, copy=False)

    @property
    def data(self) -> Any:
        owner = self if self.base is None else self.base
        return cuda.memory.PlaceOfArray(self, memory=getattr(owner, "_memory", None))

    @property
    def flags(self) -> Any:
        return Flags(self._host, self.base is None)

    @property
    def T(self) -> ndarray:
        return self if self.ndim < 2 else self.transpose()

    @property
    def real(self) -> ndarray:
        return self if self.dtype.kind != "c" else view(self, self._host.real)

    @real.setter
    def real(self, value: Any) -> None:
        self._host.real = host(value)

    @property
    def imag(self) -> ndarray:
        return (
            made(np.zeros(self.shape, self.dtype)) if self.dtype.kind != "c" else view(self, self._host.imag)
        )

    @imag.setter
    def imag(self, value: Any) -> None:
        self._host.imag = host(value)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = dict(self._host.__array_interface__)
        return {**interface, "data": (self.data.ptr, False), "version": 3, "stream": 1}

    # -- crossing to the host, by name only

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        _recording.refuse_waiting()
        cuda.traffic.to_host += self._host.nbytes
        if out is None:
            return settle(self._host).copy(order if order in "CF" else "C")
        out[...] = settle(self._host)
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError(f"{arr.dtype}{arr.shape} array cannot be set to {self.dtype}{self.shape} array")
        cuda.traffic.to_device += arr.nbytes
        settle(self._host)[...] = arr

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self.get().tobytes(order)

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __reduce__(self) -> Any:
        return _restored, (self.get(),)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[number] for number in range(len(self)))

    # -- methods

    @_recording.recorded
    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        if not copy and self.dtype == np.dtype(dtype):
            return self
        with np.errstate(all="ignore"):
            return made(settle(self._host).astype(dtype, order))

    @_recording.recorded
    def copy(self, order: str = "C") -> ndarray:
        return made(settle(self._host).copy(order))

    def view(self, dtype: Any = None) -> ndarray:
        return view(self, self._host.view() if dtype is None else self._host.view(dtype))

    @_recording.recorded
    def fill(self, value: Any) -> None:
        host(self).fill(host(value))

    @_recording.recorded
    def sort(self, axis: int = -1, *, kind: Any = None) -> None:
        _recording.refuse_waiting()
        settle(self._host).sort(axis, kind=None if kind is None else "stable")

    @_recording.recorded
    def partition(self, kth: Any, axis: int = -1) -> None:
        _recording.refuse_waiting()
        settle(self._host).sort(axis)

    @_recording.recorded
    def put(self, indices: Any, values: Any, mode: str = "wrap") -> None:
        settle(self._host).put(host(indices), host(values), mode)

    @_recording.recorded
    def scatter_add(self, slices: Any, value: Any) -> None:
        np.add.at(settle(self._host), _key(slices), host(value))

    def scatter_max(self, slices: Any, value: Any) -> None:
        np.maximum.at(settle(self._host), _key(slices), host(value))

    def scatter_min(self, slices: Any, value: Any) -> None:
        np.minimum.at(settle(self._host), _key(slices), host(value))

    @_recording.recorded
    def __getitem__(self, key: Any) -> ndarray:
        chosen = _wrapped(_key(key), self.shape)
        found = self._host[chosen]
        if not isinstance(found, np.ndarray):  # CuPy's numbers are views, too
            found = self._host[(*chosen, ...) if isinstance(chosen, tuple) else (chosen, ...)]
        elif found.size and not np.may_share_memory(found, self._host):
            found = settle(self._host)[chosen]
        return _part(self, found)

    @_recording.recorded
    def __setitem__(self, key: Any, value: Any) -> None:
        with np.errstate(all="ignore"):
            if isinstance(value, ndarray) and copied_later(self._host, _key(key), value._host):
                return
            host(self)[_wrapped(_key(key), self.shape)] = host(value)


class Flags:
    """Three flags, as CuPy has them."""

    def __init__(self, array: Any, owndata: bool) -> None:
        self.c_contiguous, self.f_contiguous = array.flags.c_contiguous, array.flags.f_contiguous
        self.owndata = owndata
        self.fnc, self.forc = array.flags.fnc, array.flags.forc

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, name.lower()))


def _restored(array: Any) -> ndarray:
    return made(array)


def made(array: Any) -> ndarray:
    """A device array of memory of its own."""
    result = object.__new__(ndarray)
    array = np.asarray(array)
    result._host = array.copy() if (0 in array.strides or not array.flags.writeable) else array
    result.base = None
    result.device = cuda.current()
    cuda.memory.count(result)
    return result


def view(base: ndarray, array: Any) -> ndarray:
    """A device array of another one's memory."""
    result = object.__new__(ndarray)
    result._host = array
    result.base = base if base.base is None else base.base
    result.device = base.device
    return result


def _part(base: ndarray, array: Any) -> ndarray:
    array = np.asarray(array)
    return view(base, array) if np.may_share_memory(base._host, array) else made(array)


def host(value: Any, scalars_only: bool = False) -> Any:
    """The NumPy array inside; refuses one that comes from the host."""
    if isinstance(value, ndarray):
        if value.device != cuda.current():
            raise ValueError(
                f"Array device must be same as the current device: {value.device} != {cuda.current()}"
            )
        return settle(value._host)
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_key, key))
    return key._host if isinstance(key, ndarray) else key


def _wrapped(key: Any, shape: Any) -> Any:
    """A key as CuPy takes it: numbers in arrays begin again behind the last one."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(part is Ellipsis or part is None for part in parts):
        return key
    dim, taken = 0, []
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        is_number = is_array and part.dtype.kind in "iu" and dim < len(shape)
        taken.append(part % max(shape[dim], 1) if is_number else part)
        dim += part.ndim if is_array and part.dtype == np.bool_ else 1
    return tuple(taken) if isinstance(key, tuple) else taken[0]


def wrapped(result: Any, *sources: Any) -> Any:
    """What a NumPy function gave, as CuPy would give it: arrays on the device, views as views."""
    if isinstance(result, tuple):
        parts = [wrapped(each, *sources) for each in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if isinstance(result, list):
        return [wrapped(each, *sources) for each in result]
    if not isinstance(result, np.ndarray | np.generic):
        return result
    array = np.asarray(result)
    for source in sources:
        if isinstance(source, ndarray):
            if array is source._host:
                return source
            if array.size and np.may_share_memory(array, source._host):
                if all(array.strides):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", FutureWarning)
                        array.flags.writeable = (
                            source._host.flags.writeable
                        )  # CuPy's views can all be written to
                return view(source, array)
    return made(array)


def _method(name: str) -> Any:
    function = getattr(np.ndarray, name)

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if name == "nonzero":
            _recording.refuse_waiting()
        out = kwargs.get("out")
        args = tuple(host(each) for each in args)
        kwargs = {key: host(value) for key, value in kwargs.items()}
        if name == "take":
            kwargs["mode"] = "wrap"  # CuPy's only one
        with np.errstate(all="ignore"):
            result = function(self._host if name in _VIEWS else settle(self._host), *args, **kwargs)
        return out if out is not None else wrapped(result, self)

    method.__name__ = name
    return method


def _operator(name: str, reflected: bool = False, in_place: bool = False) -> Any:
    def apply(self: ndarray, other: Any) -> Any:
        import cupy

        if isinstance(other, np.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        if not isinstance(other, ndarray | np.generic | bool | int | float | complex):
            return NotImplemented
        function = getattr(cupy, _UFUNC_OF[name])
        if in_place:
            return function(self, other, out=self)
        return function(other, self) if reflected else function(self, other)

    return apply


for _name in _LIKE_NUMPY:
    setattr(ndarray, _name, _recording.recorded(_method(_name)))
for _name in _BINARY:
    setattr(ndarray, f"__{_name}__", _operator(_name))
    if hasattr(operator, f"i{_name}") and _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _operator(_name, in_place=True))
        setattr(ndarray, f"__r{_name}__", _operator(_name, reflected=True))
ndarray.__rmatmul__ = _operator("matmul", reflected=True)  # type: ignore[attr-defined]
for _name, _ufunc in (("neg", "negative"), ("pos", "positive"), ("abs", "absolute"), ("invert", "invert")):

    def _unary(self: ndarray, _ufunc: str = _ufunc) -> Any:
        import cupy

        return getattr(cupy, _ufunc)(self)

    setattr(ndarray, f"__{_name}__", _unary)
for _name in ("strides", "ndim", "size", "itemsize", "nbytes", "dtype", "flat"):
    setattr(ndarray, _name, property(lambda self, _name=_name: getattr(self._host, _name)))

_extra = {name for name in vars(ndarray) if not name.startswith("_")} - set(SURFACE["ndarray"])
assert not _extra, f"CuPy's arrays have no {_extra}"
