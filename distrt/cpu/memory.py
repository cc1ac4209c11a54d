"""What holds memory: the process's own figures, and the arrays that distrt's objects hold, by what they are for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from distrt.core.arrays import Array, address_of, memory_of
from distrt.core.autograd.node import FREED, Node
from distrt.core.layouts import seen
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.optim.optimizer import Optimizer

__all__ = ["memory_stats", "memory_summary"]

#: What an array may be for. One that is for several things counts for the first of these.
_PURPOSES = {
    "parameters": "parameters of modules and optimizers",
    "gradients": "their gradients, and those of other leaves",
    "buffers": "buffers of modules",
    "optimizer_state": "what optimizers keep",
    "saved_for_backward": "what graphs keep for their backward passes",
    "other_tensors": "all other tensors",
}
_PROCESS = {
    "resident": ("VmRSS", "the process has in memory"),
    "resident_peak": ("VmHWM", "the most it has had"),
    "shared": ("RssShmem", "of what it has, shared with other processes"),
}


def memory_stats(device: Any = None) -> dict[str, int]:
    """What holds memory in this process, in bytes.

    Memory that several arrays lie in (views, gradients in a bucket) counts once, and whole. Arrays that are no tensors,
    such as a caller's own, are not looked for. Takes some 0.1 s: it goes through all objects of the process.

    Args:
        device: the CPU; there for symmetry with ``distrt.cuda``.

    Returns:
        ``"resident_bytes"``, ``"resident_peak_bytes"`` and ``"shared_bytes"`` of the process, and what lies in tensors
        and graphs: ``"parameters_bytes"``, ``"gradients_bytes"``, ``"buffers_bytes"``, ``"optimizer_state_bytes"``,
        ``"saved_for_backward_bytes"``, ``"other_tensors_bytes"``.
    """
    return {f"{name}_bytes": size for name, size in {**_of_process(), **_by_purpose()}.items()}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """``memory_stats`` as a table; without what is 0 where ``abbreviated``."""
    stats = memory_stats(device)
    meanings = {name: meaning for name, (_, meaning) in _PROCESS.items()} | _PURPOSES
    rows = [
        f"{stats[f'{name}_bytes'] / 2**20:10.1f} MiB  {meaning}"
        for name, meaning in meanings.items()
        if stats[f"{name}_bytes"] or not abbreviated
    ]
    return "\n".join(rows)


def _of_process() -> dict[str, int]:
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(told[key].split()[0]) * 1024 for name, (key, _) in _PROCESS.items()}


def _by_purpose() -> dict[str, int]:
    found: dict[str, list[Array]] = {name: [] for name in _PURPOSES}
    for each in gc.get_objects():
        kind = type(each)
        if issubclass(kind, Tensor):
            if _is_whole(each):
                found["other_tensors"].append(seen(each))
                if each._grad is not None:
                    found["gradients"].append(each._grad._array)
        elif issubclass(kind, Node):
            found["saved_for_backward"].extend(_saved(each))
        elif issubclass(kind, Module):
            found["parameters"].extend(_arrays(each.__dict__.get("_parameters")))
            found["buffers"].extend(_arrays(each.__dict__.get("_buffers")))
        elif issubclass(kind, Optimizer):
            found["parameters"].extend(_arrays(each.__dict__.get("param_groups")))
            state = each.__dict__.get("state") or {}
            found["optimizer_state"].extend(_arrays(list(state.values())))
    counted: set[tuple[int, int]] = set()
    sizes = dict.fromkeys(_PURPOSES, 0)
    for name, arrays in found.items():
        for array in arrays:
            memory = memory_of(array)
            key = address_of(memory), memory.nbytes
            if key not in counted:
                counted.add(key)
                sizes[name] += memory.nbytes
    return sizes


def _is_whole(tensor: Tensor) -> bool:
    """False for one that is being made."""
    return "_array" in tensor.__dict__ or tensor._inner is not None


def _saved(node: Node) -> Iterator[Array]:
    saved = getattr(node, "saved", None)
    if saved is not None and saved is not FREED:
        yield from _arrays(saved)


def _arrays(value: Any) -> Iterator[Array]:
    """The arrays in nested containers of tensors and arrays."""
    if isinstance(value, Tensor):
        yield seen(value)
    elif isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for each in list(value.values()):
            yield from _arrays(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)
