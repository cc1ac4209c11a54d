"""Where the generators of GPUs stand, as functions that repeat a part of a model by hand keep it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distrt.core.tensor import Tensor
from distrt.cuda.random import get_rng_state, set_rng_state
from distrt.utils._pytree import tree_leaves

__all__ = ["get_device_states", "set_device_states"]


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The numbers of the GPUs that tensors among the arguments are on, and their generators' states."""
    numbers = [each.get_device() for each in tree_leaves(args) if isinstance(each, Tensor) and each.is_cuda]
    return numbers, [get_rng_state(number) for number in numbers]


def set_device_states(
    devices: Iterable[int], states: Iterable[Any], *, device_type: str | None = None
) -> None:
    """Puts the generators of GPUs back to their states; ``device_type`` is accepted."""
    for device, state in zip(devices, states, strict=False):
        set_rng_state(state, device)
