"""Inputs cut into one part for each GPU, and outputs put together, whatever structure the tensors lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.parallel.data_parallel.functions import Gather, Scatter

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Tensors are cut along ``dim``, one part for each GPU; other values are handed to each.

    Returns:
        One structure like ``inputs`` for each GPU.

    Raises:
        ValueError: a CPU among the GPUs.
        RuntimeError: a tensor, on a machine without GPUs.
    """
    if isinstance(inputs, Tensor):
        return Scatter.apply(target_gpus, None, dim, inputs)
    if _is_namedtuple(inputs):
        kind = type(inputs)
        return [kind(*each) for each in _each(inputs, target_gpus, dim)]
    if isinstance(inputs, tuple) and inputs:
        return list(_each(inputs, target_gpus, dim))
    if isinstance(inputs, list) and inputs:
        return [list(each) for each in _each(inputs, target_gpus, dim)]
    if isinstance(inputs, dict) and inputs:
        return [type(inputs)(each) for each in _each(inputs.items(), target_gpus, dim)]
    return [inputs for _ in target_gpus]


def _each(values: Any, target_gpus: Sequence[Any], dim: int) -> Any:
    """For each GPU, what is for it of all ``values``."""
    return zip(*[scatter(value, target_gpus, dim) for value in values], strict=False)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_asdict") and hasattr(value, "_fields")


def is_namedtuple(obj: Any) -> bool:
    """Whether ``obj`` is a named tuple; deprecated, as in PyTorch."""
    warn("`is_namedtuple` is deprecated, please use the python checks instead", FutureWarning)
    return _is_namedtuple(obj)


def scatter_kwargs(
    inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """Positional and keyword arguments for each GPU, equally many of both."""
    positional = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    if len(positional) < len(named):
        positional.extend(() for _ in range(len(named) - len(positional)))
    elif len(named) < len(inputs):
        named.extend({} for _ in range(len(positional) - len(named)))
    return tuple(positional), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Puts the tensors of one structure for each GPU together along ``dim``, on one device.

    Raises:
        AssertionError: a tensor on the CPU.
        ValueError: dicts with different numbers of keys.
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        return Gather.apply(target_device, dim, *outputs)
    if first is None:
        return None
    if isinstance(first, dict):
        if not all(len(first) == len(each) for each in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)(
            (key, gather([each[key] for each in outputs], target_device, dim)) for key in first
        )
    parts = [gather(each, target_device, dim) for each in zip(*outputs, strict=True)]
    return type(first)._make(parts) if _is_namedtuple(first) else type(first)(parts)
