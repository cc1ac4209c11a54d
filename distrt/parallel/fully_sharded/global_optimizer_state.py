"""States of optimizers by parameters' names, whole or in parts.

See ``global_state.py``. Optimizers see parts, and keep state like parts, as `DTensor` s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distrt.comm.world import default_group
from distrt.core.creation import tensor, zeros_like
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.modules.state import _IncompatibleKeys
from distrt.optim.optimizer import Optimizer
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed
from distrt.parallel.fully_sharded.global_state import (
    StateDictOptions,
    get_model_state_dict,
    listed,
    name_of,
    received,
    set_model_state_dict,
    verified,
    without_parts,
)
from distrt.parallel.fully_sharded.state import states_of

__all__ = [
    "get_optimizer_state_dict",
    "get_state_dict",
    "numbered_for",
    "set_optimizer_state_dict",
    "set_state_dict",
]

Optimizers = Optimizer | Iterable[Optimizer]


@no_grad()
def get_optimizer_state_dict(
    model: Module,
    optimizers: Optimizers,
    *,
    submodules: set[Module] | None = None,
    options: StateDictOptions | None = None,
) -> dict[str, Any]:
    """``{"state": {name: ...}, "param_groups": [...]}`` of one optimizer or several; all ranks call."""
    options = verified(options, submodules)
    names = _names(model)
    found: dict[str, Any] = {"state": {}, "param_groups": []}
    for optimizer in listed(optimizers):
        start(optimizer)
        for group in optimizer.param_groups:
            found["param_groups"].append(
                {
                    **{key: value for key, value in group.items() if key != "params"},
                    "params": [names[id(parameter)] for parameter in group["params"]],
                }
            )
            for parameter in group["params"]:
                if parameter in optimizer.state:
                    found["state"][names[id(parameter)]] = {
                        key: _as_part(value, parameter) for key, value in optimizer.state[parameter].items()
                    }
    if options.flatten_optimizer_state_dict:
        found = _flattened(found)
    return without_parts(found, options)  # type: ignore[no-any-return]


@no_grad()
def set_optimizer_state_dict(
    model: Module,
    optimizers: Optimizers,
    optim_state_dict: dict[str, Any],
    *,
    options: StateDictOptions | None = None,
) -> None:
    """Give one optimizer or several the state of what ``get_optimizer_state_dict`` gave; all ranks call.

    Raises:
        RuntimeError: a trained parameter has no state there, unless ``strict=False``.
    """
    options = verified(options)
    names, part = _names(model), _parts_of(model)
    given = optim_state_dict
    if options.broadcast_from_rank0:
        if options.flatten_optimizer_state_dict and given:
            given = _unflattened(given, optimizers, names)
        given = received(given, default_group(), part)
    elif options.flatten_optimizer_state_dict:
        given = _unflattened(given, optimizers, names)
    if not given:
        return
    for optimizer in listed(optimizers):
        optimizer.load_state_dict(_numbered(optimizer, given, names, part, options))


def numbered_for(model: Module, optimizer: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
    """The state of one optimizer by parameters' names, as its own ``load_state_dict`` takes it."""
    return _numbered(optimizer, given, _names(model), _parts_of(model), StateDictOptions(strict=False))


def _parts_of(model: Module) -> Any:
    names = _names(model)
    layouts = {names[id(each)]: each for each in model.parameters() if isinstance(each, DTensor)}

    def part(path: tuple[Any, ...], whole: Tensor) -> Any:
        """This rank's part, of what has the size of a parameter."""
        if isinstance(whole, DTensor):
            return whole
        name = path[1] if len(path) > 1 and path[0] == "state" else None
        like = None if name is None else layouts.get(name)
        if like is None or tuple(whole.shape) != tuple(like.shape):
            return whole
        return distributed(like._layout.mine(whole._array).copy(), like._layout)

    return part


def _numbered(
    optimizer: Optimizer, given: dict[str, Any], names: dict[int, str], part: Any, options: StateDictOptions
) -> dict[str, Any]:
    """The state of one optimizer, as its own ``load_state_dict`` takes it."""
    state: dict[int, Any] = {}
    groups = []
    number = 0
    for group in optimizer.param_groups:
        members = [names[id(parameter)] for parameter in group["params"]]
        saved = next((each for each in given["param_groups"] if set(members) & set(each["params"])), group)
        numbers = range(number, number + len(members))
        groups.append({**saved, "params": list(numbers)})
        number += len(members)
        for own, name, parameter in zip(numbers, members, group["params"], strict=True):
            if name in given["state"]:
                state[own] = {
                    key: part(("state", name, key), value) if isinstance(value, Tensor) else value
                    for key, value in given["state"][name].items()
                }
            elif parameter.requires_grad and options.strict and given["state"]:
                raise RuntimeError(
                    f"Missing optimizer state for parameter '{name}' in checkpoint. The parameter requires gradients "
                    "but has no saved optimizer state. To load anyway, use StateDictOptions(strict=False)."
                )
    return {"state": state, "param_groups": groups}


def get_state_dict(
    model: Module,
    optimizers: Optimizers,
    *,
    submodules: set[Module] | None = None,
    options: StateDictOptions | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The states of a model and of its optimizers; all ranks call."""
    return (
        get_model_state_dict(model, submodules=submodules, options=options),
        get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options),
    )


def set_state_dict(
    model: Module,
    optimizers: Optimizers,
    *,
    model_state_dict: dict[str, Any],
    optim_state_dict: dict[str, Any],
    options: StateDictOptions | None = None,
) -> _IncompatibleKeys:
    """Give a model and its optimizers their states; all ranks call."""
    found: _IncompatibleKeys = set_model_state_dict(model, model_state_dict, options=options)
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return found


def _names(model: Module) -> dict[int, str]:
    for state in states_of(model):
        if state.unit is not None:
            state.unit.give_back()  # optimizers know the parts
    return {id(parameter): name_of(model, key) for key, parameter in model.named_parameters()}


def _as_part(value: Any, parameter: Tensor) -> Any:
    """State like a part becomes one; counters, which steps change in place, are copied."""
    if not isinstance(value, Tensor) or not value.dim():
        return value.clone() if isinstance(value, Tensor) else value
    if isinstance(parameter, DTensor) and value._array.shape == parameter._array.shape:
        return distributed(value._array, parameter._layout)
    return value


def start(optimizer: Optimizer) -> None:
    """Have an optimizer that has not begun make its state, by a step that changes nothing."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    if optimizer.state or any(each.grad is not None for each in parameters):
        return
    for each in parameters:
        if each.requires_grad:
            each.grad = zeros_like(each)
    rates = [(group, group["lr"]) for group in optimizer.param_groups if "lr" in group]
    for group, rate in rates:
        group["lr"] = tensor(0.0) if isinstance(rate, Tensor) else 0.0
    try:
        optimizer.step()
    finally:
        for group, rate in rates:
            group["lr"] = rate
        optimizer.zero_grad()


def _flattened(tree: dict[str, Any]) -> dict[str, Any]:
    """One dict: "state.<parameter>.<name>" and "param_groups.<parameter>.<option>"."""
    flat: dict[str, Any] = {}

    def put(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                put(f"{prefix}.{key}", each)
        elif isinstance(value, Tensor | int | float):
            flat[prefix] = value
        else:
            raise NotImplementedError(
                "Flattening optimizer state_dict only supports tensor, int, float, dict states now. Type is "
                f"{type(value)}."
            )

    for name, state in tree["state"].items():
        put(f"state.{name}", state)
    for group in tree["param_groups"]:
        for name in group["params"]:
            for key, value in group.items():
                if key != "params":
                    flat[f"param_groups.{name}.{key}"] = value
    return flat


def _unflattened(flat: dict[str, Any], optimizers: Optimizers, names: dict[int, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {"state": {}, "param_groups": []}
    for optimizer in listed(optimizers):
        for group in optimizer.param_groups:
            members = [names[id(parameter)] for parameter in group["params"]]
            made: dict[str, Any] = {"params": members}
            for name in members:
                prefix = f"state.{name}."
                state = {key[len(prefix) :]: each for key, each in flat.items() if key.startswith(prefix)}
                if state:
                    tree["state"][name] = state
                for key in group:
                    if key != "params":
                        _put_alike(made, key, flat[f"param_groups.{name}.{key}"], name)
            tree["param_groups"].append(made)
    return tree


def _put_alike(group: dict[str, Any], key: str, value: Any, name: str) -> None:
    if group.setdefault(key, value) != value:
        raise RuntimeError(
            "All the parameters in the same parameter group should have the same saved param_group value. But "
            f"{name}.{key} is {value} while other(s) is {group[key]}."
        )
