"""Which modules of a model get a wrapper of their own: policies, and the walk that asks them.

Source: https://docs.pytorch.org/docs/stable/fsdp.html (auto_wrap_policy)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from distrt.nn.modules.activation import MultiheadAttention
from distrt.nn.modules.container import ModuleDict, ModuleList
from distrt.nn.modules.module import Module

__all__ = [
    "CustomPolicy",
    "ModuleWrapPolicy",
    "always_wrap_policy",
    "enable_wrap",
    "lambda_auto_wrap_policy",
    "or_policy",
    "size_based_auto_wrap_policy",
    "transformer_auto_wrap_policy",
    "wrap",
    "wrap_below",
]


def always_wrap_policy(*args: Any, **kwargs: Any) -> bool:
    """Every module."""
    return True


def lambda_auto_wrap_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, lambda_fn: Callable[[Module], bool]
) -> bool:
    """The modules for which a function says so."""
    return recurse or lambda_fn(module)


def transformer_auto_wrap_policy(
    module: Module, recurse: bool, nonwrapped_numel: int, transformer_layer_cls: Iterable[type[Module]]
) -> bool:
    """The modules of some classes."""
    return recurse or isinstance(module, tuple(transformer_layer_cls))


def or_policy(module: Module, recurse: bool, nonwrapped_numel: int, policies: Iterable[Any]) -> bool:
    """The modules that one of several policies names."""
    return any(
        policy(module=module, recurse=recurse, nonwrapped_numel=nonwrapped_numel) for policy in policies
    )


def size_based_auto_wrap_policy(
    module: Module,
    recurse: bool,
    nonwrapped_numel: int,
    min_num_params: int = int(1e8),
    force_leaf_modules: set[type[Module]] | None = None,
    exclude_wrap_modules: set[type[Module]] | None = None,
) -> bool:
    """The modules with that many elements that no module below them has taken.

    Args:
        module, recurse, nonwrapped_numel: what the walk asks about.
        min_num_params: elements.
        force_leaf_modules: classes whose modules are taken whole; attention by default.
        exclude_wrap_modules: classes whose modules are not taken; lists and dicts of modules by default.
    """
    leaves = (
        size_based_auto_wrap_policy.FORCE_LEAF_MODULES  # type: ignore[attr-defined]
        if force_leaf_modules is None
        else force_leaf_modules
    )
    excluded = (
        size_based_auto_wrap_policy.EXCLUDE_WRAP_MODULES  # type: ignore[attr-defined]
        if exclude_wrap_modules is None
        else exclude_wrap_modules
    )
    is_large = nonwrapped_numel >= min_num_params
    return is_large and not isinstance(module, tuple(leaves if recurse else excluded))


size_based_auto_wrap_policy.EXCLUDE_WRAP_MODULES = {ModuleList, ModuleDict}  # type: ignore[attr-defined]
size_based_auto_wrap_policy.FORCE_LEAF_MODULES = {MultiheadAttention}  # type: ignore[attr-defined]


class ModuleWrapPolicy:
    """The modules of some classes."""

    def __init__(self, module_classes: Iterable[type[Module]]) -> None:
        self._module_classes = set(module_classes)

    def __call__(self, module: Module, recurse: bool, *args: Any, **kwargs: Any) -> bool:
        """Whether to go on below a module, or to wrap it."""
        return recurse or isinstance(module, tuple(self._module_classes))

    def __repr__(self) -> str:
        return f"{super().__repr__()}({self._module_classes})"


class CustomPolicy:
    """The modules for which a function gives True, or the wrapper's arguments."""

    def __init__(self, lambda_fn: Callable[[Module], bool | dict[str, Any]]) -> None:
        self._lambda_fn = lambda_fn

    def choice(self, module: Module) -> bool | dict[str, Any]:
        """What the function gives.

        Raises:
            ValueError: neither a bool nor a dict.
        """
        found = self._lambda_fn(module)
        if not isinstance(found, dict | bool):
            raise ValueError(
                f"The lambda_fn passed to CustomPolicy should return False/True or a kwarg dict, but it returned "
                f"{found}"
            )
        return found


def wrap_below(
    module: Module, policy: Any, wrapper: Callable[..., Module], ignored: set[int], **options: Any
) -> None:
    """Wrap the modules below ``module`` that a policy names, the innermost first."""
    done: dict[int, Module] = {}  # a module that several have is wrapped once

    def visit(each: Module, is_root: bool) -> tuple[Module, int]:
        """The module or its wrapper, and how many elements are wrapped."""
        count = sum(parameter.numel() for parameter in each.parameters() if id(parameter) not in ignored)
        if not isinstance(policy, CustomPolicy) and not policy(
            module=each, recurse=True, nonwrapped_numel=count
        ):
            return each, 0
        wrapped = 0
        for name, child in list(each.named_children()):
            if isinstance(child, wrapper) if isinstance(wrapper, type) else False:
                continue
            if id(child) not in done:
                done[id(child)], below = visit(child, False)
                wrapped += below
            each._modules[name] = done[id(child)]
        if is_root:
            return each, wrapped
        if isinstance(policy, CustomPolicy):
            chosen = policy.choice(each)
        else:
            chosen = policy(module=each, recurse=False, nonwrapped_numel=count - wrapped)
        if chosen is False:
            return each, wrapped
        return wrapper(each, **{**options, **(chosen if isinstance(chosen, dict) else {})}), count

    visit(module, True)


_wrapping: ContextVar[tuple[Any, dict[str, Any]] | None] = ContextVar("what wrap() wraps in", default=None)


@contextmanager
def enable_wrap(*, wrapper_cls: Any, **wrapper_kwargs: Any) -> Iterator[None]:
    """Inside, ``wrap`` wraps in this class, with these arguments."""
    token = _wrapping.set((wrapper_cls, wrapper_kwargs))
    try:
        yield
    finally:
        _wrapping.reset(token)


def wrap(module: Module, **wrap_overrides: Any) -> Module:
    """The module in the wrapper of ``enable_wrap``; itself outside of that."""
    found = _wrapping.get()
    if found is None:
        return module
    wrapper, options = found
    wrapped: Module = wrapper(module, **{**options, **wrap_overrides})
    return wrapped


for _public in (always_wrap_policy, lambda_auto_wrap_policy, transformer_auto_wrap_policy, ModuleWrapPolicy):
    _public.__module__ = "distrt.distributed.fsdp.wrap"
