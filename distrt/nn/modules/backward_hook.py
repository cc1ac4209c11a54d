"""``BackwardHook``: how a module's backward hooks get to see the gradients of its inputs and outputs.

Before forward, the tensors among the arguments pass through one node of the graph, after it the tensors among the
outputs pass through another. The hooks of these two nodes run when all gradients of the outputs, and of the inputs,
are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt.core.autograd.function import Function
from distrt.core.creation import zeros
from distrt.core.errors import AutogradError
from distrt.core.modes import modes
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor


class BackwardHookFunction(Function):
    """Hands its tensors through, in the forward pass and their gradients in the backward pass."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The same tensors, as outputs of this node."""
        ctx.mark_non_differentiable(*[each for each in args if not each.requires_grad])
        return args

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The same gradients."""
        return gradients


class BackwardHook:
    """The backward hooks of one call of a module.

    Args:
        module: what the hooks are told.
        user_hooks: called with the gradients of inputs and outputs once the former are known.
        user_pre_hooks: called with the gradients of the outputs before the module's backward pass.
    """

    def __init__(self, module: Any, user_hooks: Sequence[Any], user_pre_hooks: Sequence[Any]) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: Any = None
        self.n_inputs = self.n_outputs = -1
        self.input_tensors_index: list[int] | None = None
        self.output_tensors_index: list[int] | None = None
        self.untrained: dict[
            int, tuple[Any, Any, Any]
        ] = {}  # shape, dtype, device of inputs that require no grad

    def setup_input_hook(self, args: Any) -> Any:
        """The arguments to call forward with."""

        def hook(grad_input: Any, _: Any) -> Any:
            return self._on_inputs(grad_input)

        passed, self.input_tensors_index = _pass_through(args, lambda node: node.register_hook(hook))
        self.n_inputs = len(args)
        self.untrained = {
            number: (tuple(args[number].shape), args[number].dtype, args[number].device)
            for number in self.input_tensors_index or ()
            if not args[number].requires_grad
        }
        return passed

    def setup_output_hook(self, result: Any) -> Any:
        """The result to hand to the module's caller."""
        outputs = result if isinstance(result, tuple) else (result,)

        def hook(_: Any, grad_output: Any) -> Any:
            return self._on_outputs(grad_output)

        passed, self.output_tensors_index = _pass_through(outputs, lambda node: node.register_hook(hook))
        self.n_outputs = len(outputs)
        return passed if isinstance(result, tuple) else passed[0]

    def _on_outputs(self, grad_output: Any) -> Any:
        """The gradients of the outputs are known."""
        assert self.output_tensors_index is not None
        self.grad_outputs = _spread(self.output_tensors_index, grad_output, self.n_outputs)
        for hook in self.user_pre_hooks:
            replaced = hook(self.module, self.grad_outputs)
            if replaced is not None:
                _require_count("Backward pre hook", "grad_output", replaced, len(self.grad_outputs))
                self.grad_outputs = replaced
        known = self.grad_outputs
        if self.input_tensors_index is None:
            self._fire_without_inputs()
        return tuple(known[number] for number in self.output_tensors_index)

    def _fire_without_inputs(self) -> None:
        warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
            "require gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module"
            ".register_full_backward_hook for more details."
        )
        for hook in self.user_hooks:
            returned = hook(self.module, (None,) * self.n_inputs, self.grad_outputs)
            if returned is not None and not (
                isinstance(returned, tuple) and all(each is None for each in returned)
            ):
                raise AutogradError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )
        self.grad_outputs = None

    def _on_inputs(self, grad_input: Any) -> Any:
        """The gradients of the inputs are known, too."""
        if self.grad_outputs is None:  # the pass did not come through the outputs
            return None
        assert self.input_tensors_index is not None
        found = tuple(
            _zeros(self.untrained[number]) if number in self.untrained else each
            for number, each in enumerate(_spread(self.input_tensors_index, grad_input, self.n_inputs))
        )
        for hook in self.user_hooks:
            replaced = hook(self.module, found, self.grad_outputs)
            if replaced is not None:
                _require_count("Backward hook", "grad_input", replaced, len(found))
                found = replaced
        self.grad_outputs = None
        return tuple(None if n in self.untrained else found[n] for n in self.input_tensors_index)


def _pass_through(values: Any, hook: Callable[[Any], Any]) -> tuple[Any, list[int] | None]:
    """The values, with their tensors behind one node that ``hook`` is called with; and where the tensors stand.

    Without a tensor that requires grad, the values as they are and None.
    """
    places = [number for number, each in enumerate(values) if isinstance(each, Tensor)]
    if not (modes.grad and any(values[number].requires_grad for number in places)):
        return values, None
    passed = BackwardHookFunction.apply(*[values[number] for number in places])
    hook(next(each.grad_fn for each in passed if each.grad_fn is not None))
    replaced = list(values)
    for number, each in zip(places, passed, strict=True):
        replaced[number] = each
    return tuple(replaced) if type(values) is tuple else type(values)(*replaced), places


def _spread(places: list[int], values: Sequence[Any], count: int) -> tuple[Any, ...]:
    """``count`` values: those that are given in their places, None elsewhere."""
    spread = [None] * count
    for number, value in zip(places, values, strict=True):
        spread[number] = value
    return tuple(spread)


def _zeros(meta: tuple[Any, Any, Any]) -> Any:
    return zeros(meta[0], dtype=meta[1], device=meta[2])


def _require_count(kind: str, what: str, returned: Any, expected: int) -> None:
    if len(returned) != expected:
        raise AutogradError(
            f"{kind} returned an invalid number of {what}, got {len(returned)}, but expected {expected}"
        )
