"""Activation checkpointing as one node of the graph, whose backward runs a backward pass of its own.

PyTorch's ``use_reentrant=True``: nothing is recorded of the part in the forward pass, and gradients come to what it was
called with, and to the parameters that it uses. Source: https://docs.pytorch.org/docs/stable/checkpoint.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distrt.core.autograd import engine, roots
from distrt.core.autograd.function import Function
from distrt.core.errors import AutogradError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.utils.repeating import Circumstances

__all__ = ["CheckpointFunction", "check_backward_validity", "detach_variable"]


class CheckpointFunction(Function):
    """``apply(run_function, preserve_rng_state, *args)`` runs a part without keeping what its backward pass needs."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Runs the part, and keeps what it was given."""
        check_backward_validity(args)
        ctx.run_function, ctx.circumstances = run_function, Circumstances(preserve_rng_state)
        ctx.inputs = [None if isinstance(each, Tensor) else each for each in args]
        ctx.save_for_backward(*(each for each in args if isinstance(each, Tensor)))
        ctx.places = [place for place, each in enumerate(args) if isinstance(each, Tensor)]
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Repeats the part, and runs backward through the repetition."""
        if engine.running_pass().captured is not None:
            raise AutogradError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.inputs)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[place] = tensor
        detached = detach_variable(tuple(inputs))
        with ctx.circumstances.again():
            outputs = ctx.run_function(*detached)
        pairs = zip((outputs,) if isinstance(outputs, Tensor) else outputs, gradients, strict=False)
        wanted = [(each, g) for each, g in pairs if isinstance(each, Tensor) and each.requires_grad]
        if not wanted:
            raise AutogradError("none of output has requires_grad=True, this checkpoint() is not necessary")
        roots.backward([each for each, _ in wanted], [g for _, g in wanted])
        return None, None, *(each.grad if isinstance(each, Tensor) else None for each in detached)


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among these as leaves that require a gradient where the given ones do.

    Raises:
        RuntimeError: for anything but a tuple.
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}"
        )
    return tuple(
        each.detach().requires_grad_(each.requires_grad) if isinstance(each, Tensor) else each
        for each in inputs
    )


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warns where no tensor among these requires a gradient: then nothing of the part gets one."""
    if not any(each.requires_grad for each in inputs if isinstance(each, Tensor)):
        warn("None of the inputs have requires_grad=True. Gradients will be None")
