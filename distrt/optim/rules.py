"""Update rules: what one looks like, and how it is run on a parameter.

A rule is element-wise: it takes blocks of equal length (values, gradient, state) and numbers, and changes values and
state in place. The same function serves one parameter and a flat bucket of many. ``RULES`` names every rule, so that a
compiled kernel can take a rule's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.history import require_writeable
from distrt.core.modes import modes
from distrt.core.tensor import Tensor
from distrt.core.versions import note_change
from distrt.optim.operands import BLOCK, Block, Operand, Recorded, Scratch

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


def advance(state: State) -> float:
    """Counts a step, and says which it is."""
    step = state["step"]
    np.add(step._array, 1, out=step._array)
    note_change(step._counter)
    return float(step._array)


def decayed(p: Operand, g: Operand, maximize: bool, decay: Any) -> Operand:
    """The gradient to follow: negated to maximize, with the derivative of the L2 penalty."""
    if maximize:
        g = g.neg()
    return g.add(p, decay) if isinstance(decay, Tensor) or decay != 0 else g


def apply(
    rule: Rule, param: Tensor, state: State, group: Group, scratches: dict[Any, Scratch], is_recorded: bool
) -> None:
    """Runs a rule on one parameter that has a gradient and a state.

    Args:
        rule: the rule.
        param: the parameter.
        state: the parameter's own.
        group: the options.
        scratches: scratch memory by dtype, shared by the parameters of a step.
        is_recorded: gradients shall flow through the update.

    Raises:
        NoKernelError: for a parameter of integers or bools.
        ShapeError: for state of another size, and for parameters that share elements, as expanded ones do.
    """
    if param.dtype.category < 2:
        raise NoKernelError(
            f"{rule.name}: an optimizer changes floating point and complex parameters only; this one is {param.dtype}"
        )
    names = rule.state_names(group)
    if not is_recorded:
        require_writeable(param)
    for name in names:
        _require_fitting(state.get(name), param, name)
    numbers = rule.numbers(param, state, group)  # which changes the state, and hence comes after all checks
    own = [state[name] for name in names]
    tensors: list[Any] = [param, param.grad, *own]
    if is_recorded:
        _run_recorded(rule.update, tensors, numbers)
        return
    _run_on_arrays(rule.update, [tensor._array for tensor in tensors], numbers, scratches)
    for tensor in (param, *own):
        note_change(tensor._counter)


def _require_fitting(tensor: Tensor | None, param: Tensor, name: str) -> None:
    if tensor is None:  # the rule makes it
        return
    if tensor._array.shape != param._array.shape:
        raise ShapeError(
            f"the state {name!r} has size {list(tensor.shape)}, its parameter {list(param.shape)}: it was saved for "
            "another model"
        )
    require_writeable(tensor)


def _run_recorded(update: Callable[..., None], tensors: Sequence[Any], numbers: dict[str, Any]) -> None:
    """Runs the update on copies, which the graph may keep while the next step changes values and state again."""
    is_complex = tensors[0].is_complex()
    before = [ops.view_as_real(tensor.clone()) if is_complex else tensor.clone() for tensor in tensors]
    operands = [Recorded(tensor) for tensor in before]
    update(*operands, **numbers)
    for tensor, operand, old in zip(tensors, operands, before, strict=True):
        if operand.tensor is not old:
            tensor.copy_(ops.view_as_complex(operand.tensor) if is_complex else operand.tensor)


def _run_on_arrays(
    update: Callable[..., None], arrays: list[Array], numbers: dict[str, Any], scratches: dict[Any, Scratch]
) -> None:
    """Runs the update over blocks of the flat arrays; what cannot be flattened in place is copied, and put back."""
    arrays = _in_memory_order(arrays)
    flat = [_flat(array) for array in arrays]
    dtype = flat[0].dtype
    is_half = dtype.itemsize == 2
    scratch = scratches.get(dtype)
    if scratch is None:
        scratch = Scratch(np.float32, dtype) if is_half else Scratch(dtype)
        scratches[dtype] = scratch
    for start in range(0, flat[0].size, BLOCK):
        pieces = [array[start : start + BLOCK] for array in flat]
        blocks = [Block(piece.astype(np.float32) if is_half else piece, scratch) for piece in pieces]
        scratch.taken = 0
        update(*blocks, **numbers)
        if is_half:
            for position, (piece, block) in enumerate(zip(pieces, blocks, strict=True)):
                if position != 1:  # the gradient is only read
                    piece[...] = block.array
    for position, (array, piece) in enumerate(zip(arrays, flat, strict=True)):
        if position != 1 and not array.flags.c_contiguous:
            array[...] = piece.view(array.dtype).reshape(array.shape)


def _in_memory_order(arrays: list[Array]) -> list[Array]:
    """The arrays with their dims in the order in which the first one lies in memory, widest stride first."""
    first = arrays[0]
    if first.flags.c_contiguous:
        return arrays
    order = sorted(range(first.ndim), key=lambda dim: -abs(first.strides[dim]))
    return [array.transpose(order) for array in arrays]


def _flat(array: Array) -> Array:
    """The elements in a row, complex ones as pairs; a copy where they do not lie in a row."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
