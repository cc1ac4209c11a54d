"""Hooks: the handle that registering one returns, and the hooks that are called for every module.

The registries below are process-wide, as PyTorch's are: they serve debuggers and profilers.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again.

    It refers to the registries weakly, so that a handle keeps no module alive.

    Args:
        hooks_dict: the registry, in which the caller puts the hook under ``id``.
        extra_dict: a registry or a list of registries of what is noted about hooks, cleared with the hook.
    """

    id: int
    #: The number of handles made so far; a process that has made none has no hooks, and calls modules faster.
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref: Any = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = [extra_dict] if isinstance(extra_dict, dict) else extra_dict or []
        self.extra_dict_ref: tuple[Any, ...] = tuple(weakref.ref(each) for each in extra)

    def remove(self) -> None:
        """Takes the hook away; once is enough, twice does no harm."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            registry = reference()
            if registry is not None:
                registry.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks, self.id, extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(each) for each in extra if each is not None)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add(hooks: Hooks, hook: Hook, *notes: dict[int, bool] | None, prepend: bool = False) -> RemovableHandle:
    """Puts a hook into its registry, behind or before those that are there; ``notes`` are set for it.

    A note that is None does not hold for this hook.
    """
    kept = [note for note in notes if note is not None]
    handle = RemovableHandle(hooks, extra_dict=kept)
    hooks[handle.id] = hook
    for note in kept:
        note[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


_global_buffer_registration_hooks: Hooks = OrderedDict()
_global_module_registration_hooks: Hooks = OrderedDict()
_global_parameter_registration_hooks: Hooks = OrderedDict()
_global_backward_pre_hooks: Hooks = OrderedDict()
_global_backward_hooks: Hooks = OrderedDict()
_global_forward_pre_hooks: Hooks = OrderedDict()
_global_forward_hooks: Hooks = OrderedDict()
_global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()


class BackwardKind:
    """Whether the global backward hooks are full ones; None before the first. The two kinds do not mix."""

    is_full: bool | None = None

    @classmethod
    def choose(cls, is_full: bool) -> None:
        """Settles the kind.

        Raises:
            RuntimeError: where it is the other one already.
        """
        if cls.is_full is (not is_full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use "
                "only one of them."
            )
        cls.is_full = is_full


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, buffer)`` where any module registers a buffer; what it returns replaces it."""
    return add(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, submodule)`` where any module gets a child; what it returns replaces it."""
    return add(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, param)`` where any module registers a parameter; what it returns replaces it."""
    return add(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, args)`` before any module's forward; what it returns replaces the arguments."""
    return add(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, args, output)`` after any module's forward; what it returns replaces the output.

    Args:
        hook: the function.
        with_kwargs: call ``hook(module, args, kwargs, output)``.
        always_call: call it also where forward raises.
    """
    return add(
        _global_forward_hooks,
        hook,
        _global_forward_hooks_with_kwargs if with_kwargs else None,
        _global_forward_hooks_always_called if always_call else None,
    )


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """The deprecated kind of :func:`register_module_full_backward_hook`: it sees the last operation alone."""
    BackwardKind.choose(is_full=False)
    return add(_global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_output)`` before the backward pass of any module."""
    return add(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` when the gradients of any module's inputs are known."""
    BackwardKind.choose(is_full=True)
    return add(_global_backward_hooks, hook)
