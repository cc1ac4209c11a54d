"""Facade: ``torch.func``: derivatives of functions, and modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.autograd.mapping import vmap
from distrt.autograd.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from distrt.core import ops
from distrt.core.tensor import Tensor
from distrt.nn.modules.batchnorm import _BatchNorm
from distrt.nn.modules.module import Module
from distrt.nn.utils.stateless import call_with

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls the module with tensors in the place of its own, by dotted name; afterwards it has its own again.

    Args:
        module: what to call.
        parameter_and_buffer_dicts: the tensors, in one dictionary or several.
        args: a tuple of arguments, or one argument.
        kwargs: keyword arguments.
        tie_weights: give what is one tensor in the module under several names the same tensor under all of them.
        strict: every name must be there, and no other.

    Raises:
        ValueError: for a name in two dictionaries, or different tensors where the module has the same one.
        RuntimeError: with ``strict``, for names that are missing or not known.
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        given = _joined(given)
    return call_with(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Makes the batch norm layers below use the statistics of each batch, since a function keeps none; returns root."""
    for module in root.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def _joined(several: Any) -> dict[str, Tensor]:
    if not isinstance(several, Sequence):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(several)}"
        )
    if not all(isinstance(each, dict) for each in several):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    names = [name for each in several for name in each]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous"
        )
    return {name: tensor for each in several for name, tensor in each.items()}


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of several models of one class, stacked by name along a new first dim.

    Raises:
        RuntimeError: for no model, models of several classes or modes, or parameters trained in some of them.
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({bool(model.training) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    return _stacked([dict(m.named_parameters()) for m in models]), _stacked(
        [dict(m.named_buffers()) for m in models]
    )


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Any]:
    return {name: _as_leaf([state[name] for state in states], name) for name in states[0]}


def _as_leaf(tensors: list[Tensor], name: str) -> Tensor:
    trained = {each.requires_grad for each in tensors}
    if len(trained) > 1:
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    stacked: Tensor = ops.stack(tensors)
    return stacked.detach().requires_grad_() if True in trained else stacked
