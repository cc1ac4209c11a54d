"""What ``strict=True`` refuses in ``autograd.functional``: derivatives that are zero because there is no dependence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core.creation import zeros_like
from distrt.core.errors import AutogradError

Tensors = tuple[Any, ...]


def filled(found: Tensors, like: Tensors, strict: bool, create_graph: bool, stage: str) -> Tensors:
    """Zeros where nothing arrived; under ``strict`` an error, also for what cannot be differentiated further."""
    for number, each in enumerate(found):
        if strict and each is None:
            raise AutogradError(_INDEPENDENT[stage].format(number))
        if strict and create_graph and not each.requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise AutogradError(
                f"The {what} of the user-provided function is independent of input {number}. This is not allowed in "
                "strict mode when create_graph=True."
            )
    return tuple(zeros_like(other) if each is None else each for each, other in zip(found, like, strict=True))


_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the grad_outputs when using "
    "the double backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {}. This is not allowed in "
    "strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in the grad_jacobian. "
    "This is not allowed in strict mode as it prevents from using the double backward trick to replace forward mode "
    "AD.",
}

_NO_GRADIENT = {
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the user-provided function. "
    "This is not allowed in strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function with respect to "
    "input {} is independent of the input. This is not allowed in strict mode. You should ensure that your function is "
    "twice differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for "
    "example).",
    "hessian": "The hessian of the user-provided function with respect to input {} is independent of the input. This "
    "is not allowed in strict mode. You should ensure that your function is thrice differentiable and that the hessian "
    "depends on the inputs.",
}


def require_grad(tensors: Sequence[Any], what: str, strict: bool) -> None:
    """Under ``strict``, raises for what has no graph: ``what`` says what the tensors are."""
    if not strict:
        return
    for number, each in enumerate(tensors):
        if each is None:
            raise AutogradError(_INDEPENDENT["back"].format(number))
        if not each.requires_grad:
            raise AutogradError(_NO_GRADIENT[what].format(number))
