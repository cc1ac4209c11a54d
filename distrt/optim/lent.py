"""What the functional forms of optimizers have in common: a step on tensors that the caller keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distrt.core.gpu.places import at
from distrt.core.tensor import Tensor
from distrt.optim.elementwise import ElementwiseOptimizer, may_run, require_fusible
from distrt.optim.passes import apply
from distrt.optim.rules import Group

__all__ = ["step_on"]


def step_on(
    kind: type[ElementwiseOptimizer],
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Mapping[str, list[Any]],
    group: Group,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
) -> None:
    """Takes a step: parameters, state and counts change in place, gradients only where they are scaled.

    Args:
        kind: whose step.
        params: the parameters.
        grads: their gradients; the ``.grad`` of the parameters does not count.
        states: by the optimizer's own names, one for each parameter; what is None is made, and put there.
        group: the options.
        grad_scale: what the gradients are divided by first.
        found_inf: nothing is done where it is not 0.

    Raises:
        RuntimeError: a count of steps is no tensor, in PyTorch's words.
        AssertionError: options that exclude one another, or need a GPU.
    """
    if not all(isinstance(each, Tensor) for each in states.get("step", ())):
        raise RuntimeError("API has changed, `state_steps` argument must contain a list of singleton tensors")
    for device in dict.fromkeys(param.device for param in params):
        places = [place for place, param in enumerate(params) if param.device == device]
        own, gradients = [params[place] for place in places], [grads[place] for place in places]
        kept = [{name: each[place] for name, each in states.items()} for place in places]
        for param in own:
            require_fusible(param, group)
        with at(own[0]._array):
            if may_run(kind, own, gradients, group, grad_scale, found_inf):
                apply(kind.rule, own, kept, group, gradients=gradients)
        for place, state in zip(places, kept, strict=True):
            for name, each in states.items():
                if each[place] is None:
                    each[place] = state[name]
