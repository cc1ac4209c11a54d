"""States of models and optimizers by parameters' names, whole or in parts, whatever wraps the model.

What ``distrt.distributed.checkpoint.state_dict`` gives. A whole state is that of one process without any wrapper: it is
saved by one rank, and loaded by any number of them.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distrt.comm.functions.objects import broadcast_object_list
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group, is_initialized
from distrt.core.arrays import on_host
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap
from distrt.nn.modules.module import Module
from distrt.nn.modules.state import _IncompatibleKeys
from distrt.parallel.ddp import DistributedDataParallel
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed

__all__ = [
    "StateDictOptions",
    "get_model_state_dict",
    "name_of",
    "on_cpu",
    "received",
    "set_model_state_dict",
    "verified",
    "without_parts",
]

#: What wrappers put into names.
_WRAPPED = frozenset({"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"})


@dataclass
class StateDictOptions:
    """How a state is given or taken.

    Attributes:
        full_state_dict: tensors are whole, and not parts.
        cpu_offload: with ``full_state_dict``, rank 0 alone gets the state, and the others an empty one.
        ignore_frozen_params: leave out parameters that are not trained.
        keep_submodule_prefixes: names begin at the model, where ``submodules`` were asked for.
        strict: a key on one side only is an error.
        broadcast_from_rank0: rank 0 alone has the state, whole; the others take their parts from it.
        flatten_optimizer_state_dict: an optimizer's state is one dict, "state.<parameter>.<name>".
    """

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"


StateDictOptions.__module__ = "distrt.distributed.checkpoint.state_dict"


def verified(options: StateDictOptions | None, submodules: Any = None) -> StateDictOptions:
    """The options, if they go together.

    Raises:
        ValueError: what comes from rank 0 must be whole.
    """
    if submodules:
        warn(
            "Getting submodules only model/optim state_dict is deprecated and will be removed in 2.5. This feature can "
            "be achieved by manually filtering out the state_dict returned from get_state_dict.",
            FutureWarning,
        )
    options = options or StateDictOptions()
    if options.broadcast_from_rank0 and not options.full_state_dict:
        raise ValueError("full_state_dict must be True when broadcast_from_rank0 is True.")
    return options


@no_grad()
def get_model_state_dict(
    model: Module, *, submodules: set[Module] | None = None, options: StateDictOptions | None = None
) -> dict[str, Any]:
    """The parameters and buffers of a model by name, without what wrappers put into names; all ranks call.

    Args:
        model: sharded, wrapped, or neither.
        submodules: give those of these modules only (deprecated).
        options: parts or whole tensors, for example.
    """
    options = verified(options, submodules)
    found = {name_of(model, key): value for key, value in model.state_dict().items()}
    if submodules:
        prefixes = [
            f"{name_of(model, name)}." for name, module in model.named_modules() if module in submodules
        ]
        found = {
            key if options.keep_submodule_prefixes else key[len(prefix) :]: value
            for key, value in found.items()
            for prefix in prefixes
            if key.startswith(prefix)
        }
    if options.ignore_frozen_params:
        for key, parameter in model.named_parameters():
            if not parameter.requires_grad:
                found.pop(name_of(model, key), None)
    state: dict[str, Any] = without_parts(found, options)
    return state


@no_grad()
def set_model_state_dict(
    model: Module, model_state_dict: dict[str, Any], *, options: StateDictOptions | None = None
) -> _IncompatibleKeys:
    """Give a model the values of a state, whole or in parts; all ranks call.

    Raises:
        RuntimeError: names or sizes that do not fit.
    """
    options = verified(options)
    own = model.state_dict()
    given = dict(model_state_dict)
    if options.broadcast_from_rank0:
        parts = {name_of(model, key): value for key, value in own.items()}

        def part(path: tuple[Any, ...], whole: Tensor) -> Tensor:
            like = parts.get(path[0])
            if isinstance(like, DTensor) and tuple(whole.shape) == tuple(like.shape):
                return distributed(like._layout.mine(whole._array).copy(), like._layout)  # type: ignore[no-any-return]
            return whole

        given = received(given, default_group(), part)
    if not given:
        return _IncompatibleKeys([], [])
    names = {name_of(model, key): key for key in own}
    return model.load_state_dict(
        {names.get(key, key): value for key, value in given.items()}, strict=options.strict
    )


def name_of(model: Module, key: str) -> str:
    """A parameter's name without what wrappers have put into it."""
    found, module = [], model
    for part in key.split("."):
        is_wrapper = isinstance(module, DistributedDataParallel) and part == "module"
        if not is_wrapper and part not in _WRAPPED:
            found.append(part)
        module = getattr(module, "_modules", {}).get(part)  # type: ignore[assignment]
    return ".".join(found)


def without_parts(tree: Any, options: StateDictOptions) -> Any:
    """A state with whole tensors, where that is asked for; empty on ranks that are not to have it."""
    if not options.full_state_dict:
        return on_cpu(tree) if options.cpu_offload else tree
    is_kept = not options.cpu_offload or not is_initialized() or default_group().rank() == 0

    def whole(_: tuple[Any, ...], tensor: Tensor) -> Any:
        if not isinstance(tensor, DTensor):
            return tensor.cpu() if options.cpu_offload else tensor
        gathered = tensor.full_tensor()  # all ranks take part, one tensor at a time
        return (gathered.cpu() if options.cpu_offload else gathered) if is_kept else None

    found = _mapped(whole, tree)
    return found if is_kept else {}


def on_cpu(tree: Any) -> Any:
    """The same with its tensors on the CPU."""
    return _mapped(lambda _, tensor: tensor.cpu(), tree)


def received(tree: Any, group: ProcessGroup, part: Callable[[tuple[Any, ...], Tensor], Any]) -> Any:
    """Rank 0's ``tree``, of which every rank keeps ``part(path, tensor)`` of each tensor; all ranks call.

    Tensors travel one after another, so that no rank but rank 0 has more than one of them whole.
    """
    tensors: dict[tuple[Any, ...], Tensor] = {}

    def described(path: tuple[Any, ...], tensor: Tensor) -> Any:
        tensors[path] = tensor
        return {_MARK: [list(tensor.shape), str(tensor._array.dtype)]}

    is_first = group.rank() == 0
    listed = [_mapped(described, tree) if is_first else None]
    broadcast_object_list(listed, src=group.ranks[0], group=group)

    def take(path: tuple[Any, ...], shape: tuple[int, ...], dtype: str) -> Any:
        if is_first:
            whole = np.ascontiguousarray(on_host(tensors[path]._array))
        else:
            whole = np.empty(shape, np.dtype(dtype))
        group.broadcast(whole, src=0).wait()
        return part(path, wrap(whole.reshape(shape)))

    return _restored(take, listed[0], ())


_MARK = "__tensor__"  # the key of what stands for a tensor: its shape and dtype


def _mapped(fn: Callable[[tuple[Any, ...], Tensor], Any], value: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, Tensor):
        return fn(path, value)
    if isinstance(value, dict):
        return {key: _mapped(fn, each, (*path, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(fn, each, (*path, n)) for n, each in enumerate(value))
    return value


def _restored(
    take: Callable[[tuple[Any, ...], tuple[int, ...], str], Any], value: Any, path: tuple[Any, ...]
) -> Any:
    if isinstance(value, dict) and set(value) == {_MARK}:
        shape, dtype = value[_MARK]
        return take(path, tuple(shape), dtype)
    if isinstance(value, dict):
        return {key: _restored(take, each, (*path, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_restored(take, each, (*path, n)) for n, each in enumerate(value))
    return value


def listed(value: Any) -> list[Any]:
    """One or several, as a list."""
    return list(value) if isinstance(value, Iterable) else [value]
