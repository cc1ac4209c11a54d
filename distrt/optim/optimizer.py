"""``Optimizer``: parameter groups, state, and what every update rule shares."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import UnsupportedError
from distrt.core.modes import enable_grad, no_grad
from distrt.core.tensor import Tensor, wrap


class Optimizer:
    """The base of all optimizers; a subclass writes ``update``.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with "params" and the group's own options.
        defaults: the options of groups that do not set them.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}"
            )
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in (
            groups
            if isinstance(groups[0], dict)
            else [{"params": params if isinstance(params, set) else groups}]
        ):
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own.

        Raises:
            TypeError: for what is no tensor.
            ValueError: for a computed tensor, a parameter given twice, or a required option that is missing.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = _with_names(param_group["params"])
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}"
                )
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        ids = {id(param) for param in params}
        if len(ids) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each is updated every time",
                stacklevel=3,
            )
        group = {**self.defaults, **param_group, "params": params}
        if names:
            group["param_names"] = names
        for known in self.param_groups:
            if ("param_names" in known) != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with' if names else 'without'} names to the optimizer"
                )
            if ids & {id(param) for param in known["params"]}:
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or with ``set_to_none=False`` overwrites them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; ``closure`` computes the loss anew and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update_in_order(param, param.grad._array, group)
                        param._counter[0] += 1
        return loss

    def _update_in_order(self, param: Tensor, grad: Array, group: dict[str, Any]) -> None:
        """Calls ``update`` with memory in row-major order; a parameter of other strides gets its values back."""
        state = self.state[param]
        if param._array.flags.c_contiguous:
            self.update(param, np.ascontiguousarray(grad), state, group)
            return
        ordered = wrap(np.ascontiguousarray(param._array))
        self.update(ordered, np.ascontiguousarray(grad), state, group)
        param._array[...] = ordered._array

    def update(self, param: Tensor, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Changes ``param`` in place by its gradient; ``state`` is the parameter's own, empty at first.

        Both arrays are in row-major order, so that flat pieces of them line up.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update()")

    # -- state, in PyTorch's layout: parameters are numbers in order of the groups

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {number: …}, "param_groups": […]}``; the tensors are the live ones."""
        numbers = {
            id(param): n for n, param in enumerate(chain(*(group["params"] for group in self.param_groups)))
        }
        groups = [
            {
                **{k: v for k, v in group.items() if k != "params"},
                "params": [numbers[id(p)] for p in group["params"]],
            }
            for group in self.param_groups
        ]
        return {
            "state": {numbers[id(p)]: dict(state) for p, state in self.state.items() if state},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over state and options; state tensors are copied and converted to their parameter's dtype.

        Raises:
            ValueError: where groups or their sizes differ; then nothing was changed.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for mine, theirs in zip(self.param_groups, saved, strict=True):
            if len(mine["params"]) != len(theirs["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
        numbers = chain(*(group["params"] for group in saved))
        params = chain(*(group["params"] for group in self.param_groups))
        by_number = dict(zip(numbers, params, strict=True))
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            param = by_number[number]
            state[param] = {name: _taken_over(name, value, param) for name, value in values.items()}
        self.state = state
        for mine, theirs in zip(self.param_groups, saved, strict=True):
            mine.update({k: deepcopy(v) for k, v in theirs.items() if k != "params"})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines += [*([""] if number else []), f"Parameter Group {number}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _with_names(given: Any) -> tuple[list[Any], list[str]]:
    """The parameters of a group, and their names where they came as (name, parameter) pairs."""
    if isinstance(given, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )
    listed = [given] if isinstance(given, Tensor) else list(given)
    names = [each[0] for each in listed if isinstance(each, tuple)]
    if names and len(names) != len(listed):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    return [each[1] if isinstance(each, tuple) else each for each in listed], names


def _taken_over(name: str, value: Any, param: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return deepcopy(value)
    dtype = value._array.dtype if name == "step" or not param.is_floating_point() else param._array.dtype
    return wrap(value._array.astype(dtype, copy=True))


def refuse(**options: bool) -> None:
    """Raises UnsupportedError for the first option that is on."""
    for name, is_on in options.items():
        if is_on:
            raise UnsupportedError(f"{name}=True is not available in distrt's optimizers; leave it out")


def require_not_negative(**values: float) -> None:
    """Raises ValueError for the first option that is negative."""
    for name, value in values.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {name}: {value}")


#: Elements per block of a fused pass: a block of each operand fits into the second-level cache together.
BLOCK = 16384


def blocks(*arrays: Array) -> Any:
    """The arrays, all of one shape and row-major, cut into flat pieces of at most ``BLOCK`` elements."""
    flat = [array.reshape(-1) for array in arrays]
    size = flat[0].size
    if size <= BLOCK:
        yield flat
        return
    for start in range(0, size, BLOCK):
        yield [array[start : start + BLOCK] for array in flat]
