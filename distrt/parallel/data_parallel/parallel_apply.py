"""Models on several GPUs, each called with its own inputs in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.device import device
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.data_parallel.devices import no_accelerator

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj: Any) -> Tensor | None:
    """The first tensor in a structure of lists, tuples and dicts; None without one."""
    if isinstance(obj, Tensor):
        return obj
    values = obj.items() if isinstance(obj, dict) else obj if isinstance(obj, (list, tuple)) else ()
    return next((found for found in map(get_a_var, values) if found is not None), None)


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """What each model gives for its inputs, on its GPU.

    Raises:
        AssertionError: different numbers of models, inputs, keyword arguments or GPUs.
        ValueError: a CPU among the GPUs.
        RuntimeError: on a machine without GPUs.
    """
    for what, given in (("inputs", inputs), ("kwargs_tup", kwargs_tup), ("devices", devices)):
        if given is not None and len(given) != len(modules):
            raise AssertionError(
                f"The number of modules {len(modules)} is not equal to the number of {what} {len(given)}"
            )
    for each in devices or ():
        if isinstance(each, (str, device)) and device(each).type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {each}")
    no_accelerator("parallel_apply")
