"""The largest and the smallest element, and norms, of tensors of which ranks have parts.

Each rank's own is to be reduced over the ranks. In backward a rank asks by how much that of all moves with its own,
which takes one more reduction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.arrays import Array, as_array, filled
from distrt.core.autograd.function import Function, once_differentiable
from distrt.core.modes import modes
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.operations.dispatch import compute
from distrt.parallel.distributed_tensors.placements import Partial, Shard
from distrt.parallel.distributed_tensors.summands import reduced

if TYPE_CHECKING:
    from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = ["of_all_elements"]


def of_all_elements(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """``max``, ``min``, ``norm`` and ``vector_norm``: of all elements, or as any other operation."""
    name = func.__name__
    tensor: Any = args[0] if args else None
    if not hasattr(tensor, "_layout") or tensor._layout.is_partial or not tensor._layout.is_cut:
        return compute(func, args, kwargs)
    if name in ("max", "min"):
        is_whole, order = len(args) == 1 and not kwargs, math.inf
    else:
        given = args[1] if len(args) > 1 else kwargs.get("p", kwargs.get("ord", 2))
        is_whole = len(args) <= 2 and set(kwargs) <= {"p", "ord"} and not isinstance(given, Tensor)
        order = (
            2.0 if given in (None, "fro") else float(given) if isinstance(given, int | float) else math.nan
        )
    if not is_whole or math.isnan(order):
        return compute(func, args, kwargs)
    return _over_ranks(tensor, name if name in ("max", "min") else f"norm{order}", order)


def _over_ranks(tensor: DTensor, op: str, order: float) -> DTensor:
    part, layout = tensor._plain(), tensor._layout
    if not part._array.size:
        least = {"max": -math.inf, "min": math.inf}.get(op, math.inf if order == -math.inf else 0.0)
        own = _nothing(part, least)
    elif op in ("max", "min"):
        own = getattr(Tensor, op)(part)
    else:
        own = Tensor.norm(part, order)
    if own._edge is not None:
        own = _Share.apply(own, part._array, op, layout.groups)
    from distrt.parallel.distributed_tensors.tensor import distributed_like

    placed = tuple(Partial(op) if isinstance(each, Shard) else each for each in layout.placements)
    return distributed_like(own, Layout(layout.device_mesh, placed, ()))


def _nothing(part: Tensor, least: float) -> Tensor:
    """What a rank without elements says. It takes part in the backward pass, as all do."""
    if part._edge is not None and modes.grad:
        return Tensor.sum(part).abs() + least
    return wrap(filled((), least, part._array.real.dtype, part._array))


class _Share(Function):
    """A rank's own norm or extreme; its gradient is by how much that of all ranks moves with it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, part: Array, op: str, groups: tuple[ProcessGroup, ...]) -> Tensor:
        ctx.own, ctx.op, ctx.groups = own._array, op, groups
        is_norm = op.startswith("norm")
        ctx.order = float(op.removeprefix("norm")) if is_norm else math.inf
        if math.isinf(ctx.order):
            sizes = np.abs(part) if is_norm else part
            ctx.count = as_array((sizes == own._array).sum()).astype(np.float64)
        return own.view_as(own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        own = ctx.own
        total = _over(own, ctx.op, ctx.groups)
        if math.isinf(ctx.order):  # it moves with the elements that are as large, as with each of them
            mine = as_array(np.where(own == total, ctx.count, 0.0))
            share = mine / _over(mine, "sum", ctx.groups)
        else:
            ratio = own.astype(np.float64) / total
            share = np.where(total == 0, 0.0, ratio ** (ctx.order - 1))
        return gradient * wrap(as_array(share).astype(gradient._array.dtype)), None, None, None


def _over(values: Array, op: str, groups: tuple[ProcessGroup, ...]) -> Array:
    for group in groups:
        values = reduced(values, op, group)
    return values
