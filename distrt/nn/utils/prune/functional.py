"""Pruning methods as functions, which return the module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from distrt.core.creation import ones_like
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.utils.convert_parameters import parameters_to_vector
from distrt.nn.utils.prune.base import BasePruningMethod, PruningContainer
from distrt.nn.utils.prune.methods import (
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    RandomStructured,
    RandomUnstructured,
)

M = TypeVar("M", bound=Module)


def identity(module: M, name: str) -> M:
    """Gives a parameter its mask, of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prunes a number (int) or a fraction (float) of the elements at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: M, name: str, amount: float, importance_scores: Tensor | None = None) -> M:
    """Prunes a number (int) or a fraction (float) of the elements, the smallest by absolute value."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prunes a number (int) or a fraction (float) of the slices of ``dim`` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: M, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> M:
    """Prunes a number (int) or a fraction (float) of the slices of ``dim``: those with the smallest norm.

    ``n`` is the order of the norm.
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prunes what the mask says."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes elements of several parameters, chosen among all of them together.

    Args:
        parameters: pairs of a module and a name.
        pruning_method: one that prunes elements, such as :class:`L1Unstructured`.
        importance_scores: what the mask is computed from, by pair; by default the parameter itself.
        kwargs: what the method is made with: ``amount``.

    Raises:
        TypeError: for a method that does not prune single elements.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    tensors = [getattr(module, name) for module, name in pairs]
    scores = parameters_to_vector(
        [given.get(pair, tensor) for pair, tensor in zip(pairs, tensors, strict=True)]
    )
    masks = [
        getattr(module, f"{name}_mask", ones_like(tensor.detach()))
        for (module, name), tensor in zip(pairs, tensors, strict=True)
    ]
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    mask = PruningContainer(method).compute_mask(scores, parameters_to_vector(masks))
    start = 0
    for (module, name), tensor in zip(pairs, tensors, strict=True):
        custom_from_mask(module, name, mask[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


def remove(module: M, name: str) -> M:
    """Makes a pruned parameter an ordinary one; what was pruned stays so.

    Raises:
        ValueError: for a parameter that is not pruned.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for each in module.modules()
        for hook in each._forward_pre_hooks.values()
    )
