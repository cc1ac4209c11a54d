"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module

__all__ = ["functional_call"]

_MISSING: Any = object()


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The deprecated name of ``distrt.func.functional_call``."""
    warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
    )
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)


def call_with(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls the module with tensors in the place of its own, by dotted name; afterwards it has its own again.

    Args:
        module: what to call.
        parameters_and_buffers: the tensors; one that the call replaces, as an in-place change of a buffer's
            attribute does, is replaced here, too.
        args: a tuple of arguments, or one argument.
        kwargs: keyword arguments.
        tie_weights: give what is one tensor in the module under several names the same tensor under all of them.
        strict: every name must be there, and no other.

    Raises:
        RuntimeError: with ``strict``, for names that are missing or not known.
        ValueError: for different tensors where the module has the same one.
    """
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced_tensors(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*given, **(kwargs or {}))


@contextmanager
def replaced_tensors(
    module: Module, tensors: dict[str, Tensor], *, tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    """While entered, the module has these tensors."""
    wanted = _with_tied_names(module, tensors) if tie_weights else tensors
    if strict:
        _require_all_names(module, wanted)
    originals: dict[str, Any] = {}
    try:
        for name, tensor in wanted.items():
            originals[name] = _swap(module, name, tensor)
        yield
    finally:
        for name, original in reversed(originals.items()):
            used = _swap(module, name, original)
            if name in tensors:
                tensors[name] = used


def _with_tied_names(module: Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with all names that the module has for what they replace."""
    names_of: dict[Any, set[str]] = {}
    for named in (module.named_parameters, module.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            names_of.setdefault(tensor, set()).add(name)
    wanted = dict(tensors)
    for names in names_of.values():
        given = names & tensors.keys()
        if len({tensors[name] for name in given}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for name in given:
            wanted.update(dict.fromkeys(names, tensors[name]))
    return wanted


def _require_all_names(module: Module, tensors: dict[str, Tensor]) -> None:
    known = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    known |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    problems = [
        f"{kind} key(s): {', '.join(map(repr, sorted(names)))}."
        for kind, names in (("Unexpected", tensors.keys() - known), ("Missing", known - tensors.keys()))
        if names
    ]
    if problems:
        raise RuntimeError(
            f"Error(s) in reparametrizing for {module._get_name()}:\n\t" + "\n\t".join(problems)
        )


def _swap(module: Module, path: str, tensor: Any) -> Any:
    """Puts a tensor at a dotted name, or takes it away; returns what was there."""
    owner, name = _owner(module, path)
    if tensor is not _MISSING and tensor is not None and not isinstance(tensor, Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    if name == "":
        raise KeyError('tensor name can\'t be empty string ""')
    for registry in (owner._parameters, owner._buffers):
        if name in registry:
            found = registry[name]
            if tensor is _MISSING:
                del registry[name]
            else:
                registry[name] = tensor
            return found
    found = getattr(owner, name, _MISSING)
    if found is not _MISSING and found is not None and not isinstance(found, Tensor):
        raise TypeError(f"attribute `{name}`: {found} is not an instance of torch.Tensor")
    if tensor is not _MISSING:
        setattr(owner, name, tensor)
    elif found is not _MISSING:
        delattr(owner, name)
    return found


def _owner(module: Module, path: str) -> tuple[Any, str]:
    *parents, name = path.split(".")
    owner: Any = module
    for number, part in enumerate(parents, 1):
        if not hasattr(owner, part):
            raise AttributeError(f"{owner._get_name()} has no attribute `{part}`")
        owner = getattr(owner, part)
        if not isinstance(owner, Module):
            raise TypeError(
                f"submodule `{'.'.join(parents[:number])}`: {owner} is not an instance of torch.nn.Module"
            )
    return owner, name
