"""An operation runs where its arrays are, and only if they are in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distrt.core.errors import DeviceError
from distrt.core.gpu import library
from distrt.core.gpu.places import device_of


def run(name: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a forward function with the GPU of its arrays as the current one.

    Raises:
        DeviceError: where one array is on another device. A number on the CPU (a 0-d array) goes with any.
    """
    place = next((each.device for each in _arrays((*args, *kwargs.values())) if _is_on_gpu(each)), None)
    if place is None:
        return forward(*args, **kwargs)
    args = tuple(_beside(name, each, place) for each in args)
    kwargs = {key: _beside(name, each, place) for key, each in kwargs.items()}
    if place.id == library.current():
        return forward(*args, **kwargs)
    with place:
        return forward(*args, **kwargs)


def _is_on_gpu(value: Any) -> bool:
    return value.__class__ is not np.ndarray and hasattr(value, "__cuda_array_interface__")


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
    if value.__class__ is np.ndarray:
        if value.ndim:
            raise _apart(name, value, place)
        with place:
            return library.find().asarray(value)
    if _is_on_gpu(value) and value.device != place:
        if value.ndim:
            raise _apart(name, value, place)
        with place:
            return library.find().array(value)
    return value


def _apart(name: str, value: Any, place: Any) -> DeviceError:
    return DeviceError(
        f"Expected all tensors to be on the same device, but found at least two devices, cuda:{place.id} and "
        f"{device_of(value)}! (when checking arguments for {name.strip('_')})"
    )
