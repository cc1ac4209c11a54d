"""``autograd.Function``: an operation whose forward and backward pass a user writes, on tensors.

``apply`` runs forward without recording and puts one ``FunctionNode`` into the graph, which the engine runs like any
other. Source: https://pytorch.org/docs/stable/notes/extending.html.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from distrt.core.autograd.context import FunctionCtx
from distrt.core.autograd.custom_node import FunctionNode, record_outputs
from distrt.core.errors import AutogradError
from distrt.core.modes import modes, no_grad
from distrt.core.tensor import Tensor


class Function:
    """The base of user-defined operations.

    A subclass has the static methods ``forward(ctx, *inputs)``, or ``forward(*inputs)`` and
    ``setup_context(ctx, inputs, output)``, and ``backward(ctx, *grad_outputs)``, which returns one gradient (or None)
    for each input. It is called with ``apply``.
    """

    _node_class: type[FunctionNode] = FunctionNode
    _ctx_class: type[FunctionCtx] = FunctionCtx

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__name__ + "Backward"
        cls._node_class = type(name, (FunctionNode,), {"__slots__": (), "function": cls})
        cls._ctx_class = type(name, (FunctionCtx,), {"_forward_cls": cls})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: PyTorch's first form of functions had instances.

        Raises:
            AutogradError: always.
        """
        raise AutogradError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the outputs; a subclass says how."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keeps what backward needs, where ``forward`` does not take a ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Computes the gradients of the inputs from those of the outputs; a subclass says how."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward, and records one node for backward where an input requires grad.

        Raises:
            AutogradError: for a leaf that was changed in place, or a changed input that is not returned.
        """
        has_setup = cls.setup_context is not Function.setup_context
        if has_setup or kwargs:
            args = _bind(cls.forward, has_setup, args, kwargs)
        ctx = cls._ctx_class()
        ctx.needs_input_grad = needs = tuple(
            [isinstance(each, Tensor) and each._edge is not None for each in args]
        )
        outer = modes.grad
        modes.record(False)
        try:
            if has_setup:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        finally:
            modes.record(bool(outer))
        outputs = output if isinstance(output, tuple) else (output,)
        node = cls._node_class(ctx, args, len(outputs)) if outer and any(needs) else None
        recorded = record_outputs(node, ctx, args, outputs)
        if node is not None and outer is not True:
            outer(node)
        return recorded if isinstance(output, tuple) else recorded[0]


class InplaceFunction(Function):
    """A Function whose instances remember whether they work in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _bind(forward: Any, has_setup: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Keyword arguments in their places; with ``setup_context``, defaults too."""
    signature = inspect.signature(forward)
    if has_setup:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.args
    else:
        bound = signature.bind(None, *args, **kwargs)
        given = bound.args[1:]
    if bound.kwargs:
        raise TypeError(f"forward() got an unexpected keyword argument '{next(iter(bound.kwargs))}'")
    return given


def once_differentiable(backward: Any) -> Any:
    """Decorates a ``backward`` that cannot itself be differentiated: a second derivative is then an error."""

    @functools.wraps(backward)
    def once(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            outputs = backward(ctx, *gradients)
        if not modes.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in gradients):
            return outputs
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        given = [each if each is None else each.detach().requires_grad_() for each in several]
        marked = _OnceDifferentiated.apply(*given)
        return marked if isinstance(outputs, tuple) else marked[0]

    return once


class _OnceDifferentiated(Function):
    """The identity, whose derivative is an error."""

    @staticmethod
    def forward(ctx: Any, *values: Any) -> tuple[Any, ...]:
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise AutogradError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
