"""Modules of the meta device get memory and values before they are split: `FullyShardedDataParallel` sees to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from distrt.nn.modules.module import Module

__all__ = ["materialize"]


def materialize(
    module: Module, init: Callable[[Module], object] | None, wrapper: type[Module], ignored: set[int]
) -> None:
    """Give each module with tensors on the meta device of its own memory on the CPU, and initial values.

    Args:
        module: the root.
        init: called with each module; when not given, ``to_empty(recurse=False)`` and ``reset_parameters()`` are.
        wrapper: what is inside one of these is done already.
        ignored: the ids of parameters that do not count.

    Raises:
        AttributeError: without ``init``, for a module that has no ``reset_parameters``.

    Source: https://docs.pytorch.org/docs/stable/fsdp.html (param_init_fn)
    """
    modules = list(_open(module, wrapper))
    if not any(
        each.is_meta for one in modules for each in one.parameters(recurse=False) if id(each) not in ignored
    ):
        return
    for one in modules:
        if init is not None:
            init(one)
            continue
        own = list(itertools.chain(one.parameters(recurse=False), one.buffers(recurse=False)))
        if not any(each.is_meta for each in own):
            continue
        if not hasattr(one, "reset_parameters"):
            raise AttributeError(
                f"Unable to call `reset_parameters()` for module on meta device: {type(one).__name__} has no such "
                "method. Give it one that initializes its own parameters and buffers, or give param_init_fn="
            )
        one.to_empty(device="cpu", recurse=False)
        one.reset_parameters()


def _open(module: Module, wrapper: type[Module]) -> Iterator[Module]:
    if isinstance(module, wrapper):
        return
    yield module
    for child in module.children():
        yield from _open(child, wrapper)
