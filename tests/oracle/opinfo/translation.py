"""From PyTorch's functions and values to distrt's: what a sample of the table says, said to the other library."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any

import numpy as np
import torch

import distrt

#: Where a function of PyTorch has a public name.
NAMESPACES = (
    "",
    "nn.functional",
    "linalg",
    "special",
    "fft",
    "signal.windows",
    "masked",
    "Tensor",
)

#: Second names, under which PyTorch keeps functions for its own purposes.
NOT_ITS_NAME = frozenset(("_threshold", "dsmm", "hsmm"))


class MissingNameError(Exception):
    """distrt has no such name."""


class UntranslatableError(Exception):
    """A value that distrt has no kind for, such as a sparse tensor."""


def function(found: Any) -> Any:
    """distrt's function for one of PyTorch's: by its public name, or with distrt in PyTorch's place in its code."""
    if getattr(found, "__module__", None) in ("_operator", "operator"):
        return found
    if isinstance(found, functools.partial):
        return functools.partial(function(found.func), *value(found.args), **value(found.keywords))
    if isinstance(found, types.FunctionType) and (found.__module__ or "").startswith("torch.testing"):
        return _with_distrt(found)
    name = _public_names().get(found if _is_hashable(found) else None)
    if name is None:
        raise UntranslatableError(f"no public name: {found}")
    return named(name)


def named(name: str) -> Any:
    """``distrt.NAME``, along its dots."""
    owner: Any = distrt
    for part in name.split("."):
        try:
            owner = getattr(owner, part)
        except (AttributeError, NotImplementedError):
            raise MissingNameError(name) from None
    return owner


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@functools.cache
def _public_names() -> dict[Any, str]:
    found: dict[Any, str] = {}
    for space in NAMESPACES:
        owner: Any = torch
        for part in filter(None, space.split(".")):
            owner = getattr(owner, part)
        for name in dir(owner):
            value = getattr(owner, name, None)
            if callable(value) and _is_hashable(value) and name not in NOT_ITS_NAME:
                found.setdefault(value, f"{space}.{name}".lstrip("."))
    return found


def _with_distrt(found: types.FunctionType) -> Any:
    """A function of PyTorch's tests, whose code says ``torch``, with distrt under that name."""
    space = dict(found.__globals__)
    space.update(
        torch=distrt, wrapper_set_seed=lambda run, *args, **kwargs: function_or_own(run)(*args, **kwargs)
    )
    cells = tuple(types.CellType(value(cell.cell_contents)) for cell in found.__closure__ or ())
    made = types.FunctionType(found.__code__, space, found.__name__, value(found.__defaults__), cells)
    made.__kwdefaults__ = value(found.__kwdefaults__)
    return made


def function_or_own(found: Any) -> Any:
    """distrt's function, where it is not distrt's already."""
    try:
        return function(found)
    except UntranslatableError:
        return found


def value(given: Any, memo: dict[int, Any] | None = None) -> Any:
    """The value as distrt's: tensors with their strides, dtypes, devices, and what is made of them."""
    memo = {} if memo is None else memo
    each = functools.partial(value, memo=memo)
    if isinstance(given, torch.Tensor):
        if id(given) not in memo:
            memo[id(given)] = tensor(given)
        return memo[id(given)]
    if isinstance(given, torch.dtype | torch.memory_format | torch.layout):
        name = str(given).removeprefix("torch.")
        if not hasattr(distrt, name):
            raise UntranslatableError(f"{given}")
        return getattr(distrt, name)
    if isinstance(given, torch.device):
        return distrt.device(str(given))
    if isinstance(given, torch.Size):
        return distrt.Size(given)
    if isinstance(given, torch.Generator):
        return distrt.Generator()
    if isinstance(given, torch.nn.Module):
        return getattr(distrt.nn, type(given).__name__)()
    if isinstance(given, list | tuple) and type(given) in (list, tuple):
        return type(given)(each(item) for item in given)
    if isinstance(given, dict):
        return {key: each(item) for key, item in given.items()}
    if isinstance(given, slice):
        return slice(each(given.start), each(given.stop), each(given.step))
    if dataclasses.is_dataclass(given) and type(given).__module__.startswith("torch.nn"):
        fields = {field.name: each(getattr(given, field.name)) for field in dataclasses.fields(given)}
        return getattr(distrt.nn, type(given).__name__)(**fields)
    if callable(given) and not isinstance(given, type):
        return function_or_own(given)
    return given


def tensor(given: torch.Tensor) -> Any:
    """The same values with the same strides in memory of their own, and the same wish for a gradient."""
    if given.layout is not torch.strided or given.is_nested or given.is_quantized or given.is_meta:
        raise UntranslatableError("a tensor that is sparse, nested, quantised or without values")
    overlaps = 0 in given.stride() and given.numel() > 1
    if overlaps:  # as a program would have made it: by expanding
        narrow = given.detach()[tuple(slice(0, 1) if step == 0 else slice(None) for step in given.stride())]
        made = distrt.from_numpy(array(narrow)).expand(tuple(given.shape))
    else:
        made = distrt.from_numpy(array(given))
    return made.requires_grad_(True) if given.requires_grad else made


def array(given: torch.Tensor) -> np.ndarray[Any, Any]:
    """The tensor's values in memory of their own, with its strides."""
    plain = copied(given.detach().resolve_conj().resolve_neg())
    if plain.dtype is torch.bfloat16:
        import ml_dtypes

        return np.asarray(plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    try:
        return np.asarray(plain.numpy(force=True))
    except (TypeError, ValueError) as reason:  # a dtype, or more dims than NumPy has
        raise UntranslatableError(f"{reason}") from None


def copied(given: torch.Tensor) -> torch.Tensor:
    """A copy with the same strides, where they overlap, too; it has the same wish for a gradient."""
    with torch.no_grad():
        plain = given.detach()
        if plain.layout is not torch.strided or plain.numel() == 0:
            made = plain.clone()
        else:
            extent = 1 + sum(
                (size - 1) * stride for size, stride in zip(plain.shape, plain.stride(), strict=True)
            )
            held = plain.as_strided((extent,), (1,), plain.storage_offset()).clone()
            made = held.as_strided(plain.shape, plain.stride())
    return made.requires_grad_(given.requires_grad)


def fresh(given: Any, memo: dict[int, Any] | None = None) -> Any:
    """The value with a copy of each of its tensors."""
    memo = {} if memo is None else memo
    if isinstance(given, torch.Tensor):
        return memo.setdefault(id(given), copied(given))
    if isinstance(given, list | tuple) and type(given) in (list, tuple):
        return type(given)(fresh(item, memo) for item in given)
    if isinstance(given, dict):
        return {key: fresh(item, memo) for key, item in given.items()}
    if isinstance(given, slice):
        return slice(fresh(given.start, memo), fresh(given.stop, memo), fresh(given.step, memo))
    return given
