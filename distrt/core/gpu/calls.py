"""An operation runs where its arrays are, and only if they are in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distrt.core.arrays import is_array, is_on_gpu
from distrt.core.errors import CaptureError
from distrt.core.gpu import library
from distrt.core.gpu.capturing import capturing
from distrt.core.gpu.places import apart, device_of, of_number
from distrt.core.modes import used


def run(name: str, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Calls a forward function with the GPU of its arrays as the current one.

    Raises:
        DeviceError: where one array is on another device. A number on the CPU (a 0-d array) goes with any.
    """
    if capturing.now is None and _one_gpu((*args, *kwargs.values())) == library.current():
        return forward(*args, **kwargs)
    place = next((each.device for each in _arrays((*args, *kwargs.values())) if is_on_gpu(each)), None)
    if place is None:
        return forward(*args, **kwargs)
    args = tuple(_beside(name, each, place) for each in args)
    kwargs = {key: _beside(name, each, place) for key, each in kwargs.items()}
    if capturing.now is not None:
        return _captured(name, forward, *args, **kwargs)
    if place.id == library.current():
        return forward(*args, **kwargs)
    with place:
        return forward(*args, **kwargs)


def there(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Calls what is composed of operations with the GPU of its tensors as the current one: it may compute itself."""
    if _one_gpu((*args, *kwargs.values())) == library.current():
        return function(*args, **kwargs)
    for each in _arrays((*args, *kwargs.values())):
        array = getattr(each, "_array", each)
        if is_on_gpu(array):
            if array.device.id == library.current():
                break
            with array.device:
                return function(*args, **kwargs)
    return function(*args, **kwargs)


#: What says nothing of where an operation runs.
_PLAIN = frozenset((int, float, bool, complex, str, type(None)))


def _one_gpu(values: tuple[Any, ...]) -> int | None:
    """The number of the GPU that all arrays and tensors are on; None where a closer look has to say.

    Nearly all calls end here, so it looks at classes alone.
    """
    kind, found = used.gpu_array, None
    for each in values:
        if each.__class__ in _PLAIN:
            continue
        array: Any = each if each.__class__ is kind else getattr(each, "_array", None)
        if array.__class__ is kind:
            number = array.data.device_id
            if found is not None and found != number:
                return None
            found = number
        elif not _is_plain(each):
            return None
    return found


def _is_plain(value: Any) -> bool:
    """Whether sizes and dtypes are all that this is."""
    if value.__class__ is tuple or value.__class__ is list:
        return all(each.__class__ in _PLAIN for each in value)
    return isinstance(value, np.dtype)


def _captured(name: str, forward: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """As ``forward``, which may do nothing but launch kernels.

    Raises:
        CaptureError: with the operation's name, where it waits for the GPU or copies from the CPU.
    """
    try:
        return forward(*args, **kwargs)
    except RuntimeError as fault:
        if isinstance(fault, CaptureError):
            raise CaptureError(f"{name.strip('_')}: {fault}") from fault
        if "aptur" in str(fault):  # cudaErrorStreamCaptureUnsupported and its kin
            raise CaptureError(f"{name.strip('_')} cannot be captured in a CUDA graph: {fault}") from fault
        raise


def _arrays(values: tuple[Any, ...]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, list | tuple):
            yield from each
        else:
            yield each


def _beside(name: str, value: Any, place: Any) -> Any:
    """An argument as it can meet arrays on ``place``."""
    if isinstance(value, list | tuple):
        return (
            type(value)(_beside(name, each, place) for each in value)
            if type(value) in (list, tuple)
            else value
        )
    if not is_array(value) or device_of(value) == of_number(place.id):
        return value
    if value.ndim:
        raise apart(name, of_number(place.id), device_of(value))
    with place:
        return _number(value) if isinstance(value, np.ndarray) else library.find().array(value)


def _number(value: Any) -> Any:
    """A number of the CPU's on the current GPU: as a kernel's argument, since a copy could not be captured."""
    is_half = value.dtype.kind == "V"  # bfloat16, which has no number of Python's own
    made = library.find().empty((), np.float32 if is_half else value.dtype)
    made.fill(float(value) if is_half else value.item())
    return made.astype(value.dtype, copy=False)
