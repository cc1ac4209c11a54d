"""Modules whose activations are computed again, or kept elsewhere: wrappers around them, as large models are set up.

A wrapper stands in its module's place and has its attributes; state dicts and parameters have the module's own names.
Source: torch.distributed.algorithms._checkpoint.checkpoint_wrapper, by the way FSDP's tutorials and recipes use it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

from distrt.autograd.graph import save_on_cpu
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter
from distrt.parallel.fully_sharded.wrapping import CustomPolicy, lambda_auto_wrap_policy, wrap_below
from distrt.utils.checkpoint import checkpoint

__all__ = [
    "ActivationWrapper",
    "CheckpointImpl",
    "CheckpointWrapper",
    "OffloadWrapper",
    "apply_activation_checkpointing",
    "checkpoint_wrapper",
    "offload_wrapper",
]

_NAME = "_checkpoint_wrapped_module"
_PREFIX = f"{_NAME}."


class CheckpointImpl(Enum):
    """Which of the two ways of ``utils.checkpoint.checkpoint`` is meant, by its ``use_reentrant``."""

    REENTRANT = auto()
    NO_REENTRANT = auto()


class ActivationWrapper(Module):
    """A module around another: attributes, items, parameters' names and state dicts are those of the inner one."""

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._checkpoint_wrapped_module = mod
        self._register_state_dict_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__(_NAME), name)

    def __getitem__(self, key: Any) -> Any:
        return self._checkpoint_wrapped_module[key]  # type: ignore[index]

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Parameter]]:
        """The inner module's parameters, by its own names."""
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield name.replace(_PREFIX, ""), parameter


class CheckpointWrapper(ActivationWrapper):
    """Computes the module's activations again in the backward pass; made by :func:`checkpoint_wrapper`."""

    def __init__(
        self,
        mod: Module,
        checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT,
        checkpoint_fn: Callable[..., Any] | None = None,
        **checkpoint_fn_kwargs: Any,
    ) -> None:
        super().__init__(mod)
        self.checkpoint_impl = checkpoint_impl
        own = {"use_reentrant": checkpoint_impl is CheckpointImpl.REENTRANT} if checkpoint_fn is None else {}
        self.checkpoint_fn = functools.partial(checkpoint_fn or checkpoint, **own | checkpoint_fn_kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        module = self._checkpoint_wrapped_module
        if not kwargs or self.checkpoint_impl is not CheckpointImpl.REENTRANT:
            return self.checkpoint_fn(module, *args, **kwargs)

        def call(
            *given: Any,
        ) -> Any:  # of positional arguments alone, which are all that the reentrant way takes
            return module(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))

        return self.checkpoint_fn(call, *args, *kwargs.values())


class OffloadWrapper(ActivationWrapper):
    """Keeps the module's activations in the CPU's memory; made by :func:`offload_wrapper`."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        with save_on_cpu(pin_memory=True):
            return self._checkpoint_wrapped_module(*args, **kwargs)


def checkpoint_wrapper(
    module: Module,
    checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT,
    checkpoint_fn: Callable[..., Any] | None = None,
    **checkpoint_fn_kwargs: Any,
) -> Module:
    """A module like ``module`` that keeps only its inputs for the backward pass.

    Args:
        module: what to wrap.
        checkpoint_impl: which way, where ``checkpoint_fn`` is not given.
        checkpoint_fn: called as ``checkpoint_fn(module, *args, **kwargs)``; by default ``utils.checkpoint.checkpoint``.
        checkpoint_fn_kwargs: more keyword arguments for that call.
    """
    return CheckpointWrapper(module, checkpoint_impl, checkpoint_fn, **checkpoint_fn_kwargs)


def offload_wrapper(module: Module) -> Module:
    """A module like ``module`` that keeps its activations in the CPU's memory."""
    return OffloadWrapper(module)


def apply_activation_checkpointing(
    model: Module,
    checkpoint_wrapper_fn: Callable[..., Module] = checkpoint_wrapper,
    check_fn: Callable[[Module], bool] = lambda _: True,
    auto_wrap_policy: Any = None,
) -> None:
    """Wraps the modules below ``model`` that ``check_fn`` or a policy names, in place and the innermost first.

    Args:
        model: its submodules are replaced; it stays itself.
        checkpoint_wrapper_fn: makes the wrapper.
        check_fn: tells which modules are wrapped.
        auto_wrap_policy: a policy of ``distributed.fsdp.wrap``, instead of ``check_fn``.

    Raises:
        ValueError: for a policy that cannot be called.
    """
    policy = auto_wrap_policy or functools.partial(lambda_auto_wrap_policy, lambda_fn=check_fn)
    if not callable(policy) and not isinstance(policy, CustomPolicy):
        raise ValueError(f"Expected {policy} to be callable or be a pre-defined wrap policy")
    wrap_below(model, policy, checkpoint_wrapper_fn, set())


def _without_prefix(module: Module, state_dict: dict[str, Any], prefix: str, *args: Any) -> dict[str, Any]:
    return _renamed(state_dict, prefix + _PREFIX, prefix)


def _with_prefix(module: Module, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    _renamed(state_dict, prefix, prefix + _PREFIX)


def _renamed(state_dict: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    for name in [each for each in state_dict if each.startswith(old)]:
        state_dict[new + name.removeprefix(old)] = state_dict.pop(name)
    return state_dict
