"""``Optimizer``: parameter groups, hooks around a step, and state in PyTorch's layout.

Users' own optimizers derive from it as they do in PyTorch: they override ``step`` and read ``param_groups`` and
``state``. The optimizers of this package share ``elementwise.ElementwiseOptimizer`` on top of it.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

from distrt.core.autograd.node import RemovableHandle
from distrt.core.modes import modes
from distrt.core.process import steps
from distrt.core.process.activity import OPTIMIZER, doing
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors.questions import typename
from distrt.optim.saving import checked_groups, loaded_state, saved
from distrt.optim.updating import updaters_of

__all__ = [
    "Optimizer",
    "ParamsT",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
StateDict: TypeAlias = dict[str, Any]
Hook: TypeAlias = Callable[..., Any]
Hooks: TypeAlias = OrderedDict[float, Hook]


class _RequiredParameter:
    """The default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

_global_optimizer_pre_hooks: Hooks = OrderedDict()
_global_optimizer_post_hooks: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return RemovableHandle(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return RemovableHandle(_global_optimizer_post_hooks, hook)


#: Where an optimizer keeps its hooks: they are neither pickled nor copied, and made anew when missing.
_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class Optimizer:
    """The base of all optimizers; a subclass writes ``step``.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with "params" and the group's own options.
        defaults: the options of groups that do not set them.
    """

    _leaves_to_updaters: ClassVar[bool] = False  # see `distrt.optim.updating`
    _steps_taken = 0
    state: dict[Any, Any]
    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]
    _optimizer_step_pre_hooks: Hooks
    _optimizer_step_post_hooks: Hooks
    _optimizer_state_dict_pre_hooks: Hooks
    _optimizer_state_dict_post_hooks: Hooks
    _optimizer_load_state_dict_pre_hooks: Hooks
    _optimizer_load_state_dict_post_hooks: Hooks

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        self._patch_step_function()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + typename(params)
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        given: list[Any] = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # -- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own; the dict itself becomes the group.

        Raises:
            TypeError: for what is no tensor, or a set of tensors.
            ValueError: for a computed tensor, a parameter given twice, or a required option that is missing.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _separate_names(param_group)
        self._require_leaves(param_group["params"])
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        ids = {id(param) for param in param_group["params"]}
        if len(ids) != len(param_group["params"]):
            warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information"
            )
        self._require_apart(param_group, ids)
        self.param_groups.append(param_group)

    def _require_leaves(self, params: list[Any]) -> None:
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {typename(param)}"
                )
            if not (self.defaults.get("differentiable") or param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")

    def _require_apart(self, group: dict[str, Any], ids: set[int]) -> None:
        for known in self.param_groups:
            if ("param_names" in group) != ("param_names" in known):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with names' if 'param_names' in group else 'without names'} to the optimizer"
                )
        if not ids.isdisjoint(id(param) for known in self.param_groups for param in known["params"]):
            raise ValueError("some parameters appear in more than one parameter group")

    # -- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates the parameters by their gradients; ``closure`` computes the loss anew and is returned."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or with ``set_to_none=False`` overwrites them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    def _patch_step_function(self) -> None:
        """Puts the hooks around the class's ``step``, once per class that defines one."""
        cls: Any = type(self)
        step = cls.step
        if not getattr(step, "hooked", False):
            hooked: Any = self.profile_hook_step(step)
            hooked.hooked = True  # before the class has it: ranks may be threads, and one wrapping is enough
            cls.step = hooked

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """The step function with the hooks of all optimizers and of this one around it."""

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self: Optimizer = args[0]
            if not self._leaves_to_updaters:
                for updater in updaters_of(self.param_groups):
                    updater.refuse(self)
            hooks = (*_global_optimizer_pre_hooks.values(), *self._optimizer_step_pre_hooks.values())
            for hook in hooks:
                result = hook(self, args, kwargs)
                if result is None:
                    continue
                if not isinstance(result, tuple) or len(result) != 2:
                    raise RuntimeError(
                        f"{func} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                    )
                args, kwargs = result
            with doing(OPTIMIZER):
                out = func(*args, **kwargs)
            hooks = (*self._optimizer_step_post_hooks.values(), *_global_optimizer_post_hooks.values())
            for hook in hooks:
                hook(self, args, kwargs)
            self._steps_taken += 1
            steps.taken(self._steps_taken)
            return out

        return wrapper

    # -- hooks

    def _make_hooks(self) -> None:
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before a step; it may return a new (args, kwargs)."""
        return RemovableHandle(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after a step."""
        return RemovableHandle(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before ``state_dict`` runs."""
        return _registered(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` on what ``state_dict`` made; it may return another."""
        return _registered(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` on a shallow copy of what is loaded; it may return another."""
        return _registered(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after a state was loaded."""
        return _registered(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # -- state

    def state_dict(self) -> StateDict:
        """``{"state": {number: …}, "param_groups": […]}``: parameters are numbers, and the tensors are live."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        state_dict = saved(self.state, self.param_groups)
        for hook in self._optimizer_state_dict_post_hooks.values():
            result = hook(self, state_dict)
            if result is not None:
                state_dict = result
        return state_dict

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over state and options; tensors become of their parameter's dtype, and are shared where they are.

        Raises:
            ValueError: where groups or their sizes differ; then nothing was changed.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            result = hook(self, state_dict)
            if result is not None:
                state_dict = result
        groups = checked_groups(state_dict, self.param_groups)
        state = loaded_state(state_dict, groups, self.param_groups)
        for mine, group in zip(self.param_groups, groups, strict=True):
            group["params"] = mine["params"]
            if "param_names" in mine:
                group.setdefault("param_names", mine["param_names"])
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines += [*([""] if number else []), f"Parameter Group {number}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _registered(hooks: Hooks, hook: Hook, prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _separate_names(group: dict[str, Any]) -> None:
    """Makes a list of the group's parameters, and one of their names where they came as (name, parameter) pairs."""
    given = group["params"]
    if isinstance(given, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )
    listed = [given] if isinstance(given, Tensor) else list(given)
    names = [each[0] for each in listed if isinstance(each, tuple)]
    group["params"] = [each[1] if isinstance(each, tuple) else each for each in listed]
    if names and len(names) != len(listed):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    if names:
        group["param_names"] = names


def _use_grad_for_differentiable(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step that records exactly where its optimizer was made with ``differentiable=True``."""

    @functools.wraps(step)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        outer = bool(modes.grad)
        try:
            modes.record(args[0].defaults["differentiable"])
            return step(*args, **kwargs)
        finally:
            modes.record(outer)

    return recorded
