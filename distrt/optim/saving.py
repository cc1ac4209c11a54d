"""The layout of an optimizer's state in files: PyTorch's, so that each library continues what the other began."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from distrt.core.tensor import Tensor

Groups = list[dict[str, Any]]


def saved(state: dict[Any, Any], groups: Groups) -> dict[str, Any]:
    """State and groups with numbers in the place of parameters; a parameter keeps the first number it got."""
    numbers: dict[int, int] = {}
    packed: Groups = []
    start = 0
    for group in groups:
        for number, param in enumerate(group["params"], start):
            numbers.setdefault(id(param), number)
        start += len(group["params"])
        options = {key: value for key, value in group.items() if key != "params"}
        packed.append({**options, "params": [numbers[id(param)] for param in group["params"]]})
    by_number = {numbers[id(k)] if isinstance(k, Tensor) else k: v for k, v in state.items()}
    return {"state": by_number, "param_groups": packed}


def checked_groups(state_dict: dict[str, Any], mine: Groups) -> Groups:
    """A copy of the saved groups.

    Raises:
        ValueError: where their number or their sizes are not those of ``mine``.
    """
    groups: Groups = deepcopy(state_dict["param_groups"])
    if len(groups) != len(mine):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(len(ours["params"]) != len(theirs["params"]) for ours, theirs in zip(mine, groups, strict=True)):
        raise ValueError(
            "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
        )
    return groups


def loaded_state(state_dict: dict[str, Any], groups: Groups, mine: Groups) -> dict[Any, Any]:
    """The saved state by parameter; entries of no parameter come as they are."""
    numbers = chain.from_iterable(group["params"] for group in groups)
    params = chain.from_iterable(group["params"] for group in mine)
    by_number = dict(zip(numbers, params, strict=True))
    state: dict[Any, Any] = defaultdict(dict)
    for number, values in state_dict["state"].items():
        if number not in by_number:
            state[number] = values
            continue
        group: dict[str, Any] = next(
            (each for each in state_dict["param_groups"] if number in each["params"]), {}
        )
        state[by_number[number]] = _like(by_number[number], values, group)
    return state


def _like(param: Tensor, value: Any, group: dict[str, Any], key: Any = None) -> Any:
    """The value with its tensors in the parameter's dtype and place, inside dicts and lists too.

    A "step" stays as it is, for half precision cannot count far; the fused forms keep it in float32.
    """
    if isinstance(value, Tensor):
        if key == "step":
            is_float32 = group.get("capturable", False) or group.get("fused", False)
            return value.float() if is_float32 else value
        return value.to(param.device, param.dtype if param.is_floating_point() else value.dtype)
    if isinstance(value, dict):
        return {name: _like(param, each, group, name) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        kind: Any = type(value)
        return kind(_like(param, each, group) for each in value)
    return value
