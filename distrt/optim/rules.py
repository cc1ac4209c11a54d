"""Update rules: what one looks like, and what they have in common.

A rule is element-wise: it takes operands of equal length (values, gradient, state) and numbers, and changes values and
state in place. It is written once, in verbs that run on blocks of arrays, on recorded tensors, and on what becomes a
compiled loop (`distrt.optim.operands`, `distrt.optim.traced`). `distrt.optim.passes` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distrt.core.errors import ShapeError
from distrt.core.modes import modes
from distrt.core.tensor import Tensor
from distrt.core.tensors.versions import note_change
from distrt.optim.operands import Operand

Group = dict[str, Any]
State = dict[str, Any]

#: Every element-wise update rule, by the name of its optimizer.
RULES: dict[str, Rule] = {}


@dataclass(frozen=True)
class Rule:
    """How an optimizer changes one element.

    Attributes:
        name: the optimizer's.
        state_names: of a group, the state arrays that the update takes after values and gradient, in order.
        numbers: of a parameter, its state and its group, the update's keyword arguments; it counts the step.
        update: changes values and state, in place.
    """

    name: str
    state_names: Callable[[Group], tuple[str, ...]]
    numbers: Callable[[Tensor, State, Group], dict[str, Any]]
    update: Callable[..., None]

    def __post_init__(self) -> None:
        RULES[self.name] = self


def number(value: Any) -> Any:
    """A plain number for what may be a Tensor of one element; that Tensor itself where its gradient is wanted.

    A number from a Tensor keeps its dtype, so that sums and products with it are rounded as PyTorch's are.
    """
    if not isinstance(value, Tensor):
        return value
    if modes.grad and value.requires_grad:
        return value.reshape(())
    return value._array.reshape(())[()]


def require_step(state: State) -> None:
    """Refuses what a script may have put in the place of the count of steps, if there is one.

    Raises:
        ShapeError: where that is no tensor of one element, of whatever dims.
    """
    step = state.get("step")
    if step is not None and not (isinstance(step, Tensor) and step._array.size == 1):
        raise ShapeError(
            "API has changed, `state_steps` argument must contain a list of singleton tensors: state['step'] is "
            f"{step!r}"
        )


def advance(state: State) -> float:
    """Counts a step, and says which it is."""
    step = state["step"]
    np.add(step._array, 1, out=step._array)
    note_change(step._counter)
    return float(step._array.reshape(()))


def decayed(p: Operand, g: Operand, maximize: bool, decay: Any) -> Operand:
    """The gradient to follow: negated to maximize, with the derivative of the L2 penalty."""
    if maximize:
        g = g.neg()
    return g.add(p, decay) if isinstance(decay, Tensor) or decay != 0 else g
