"""Operations on `DTensor` s that keep their meaning: element by element, and reductions to one number.

An operation sees this rank's part. What it does element by element is this rank's part of the result; what it reduces
to one number is a summand (a maximum, a norm), which is reduced over the ranks when somebody computes with it. A
change of shape that leaves the dim that is cut a dim is the same change of the part. All others give plain tensors of
the part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array, as_array, filled
from distrt.core.autograd.function import Function, once_differentiable
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import UnsupportedError
from distrt.core.modes import modes
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.fully_sharded.layout import Layout
from distrt.parallel.fully_sharded.placements import Partial, Replicate, Shard

__all__ = ["bind", "reduced"]

_ELEMENTWISE = (
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __neg__ __abs__ "
    "abs add sub mul div neg pow sqrt square exp log sign clamp reciprocal"
).split()
_OPS = {"sum": ReduceOp.SUM, "max": ReduceOp.MAX, "min": ReduceOp.MIN}


def bind(cls: Any) -> None:
    """Give the class its operations."""
    for name in _ELEMENTWISE:
        setattr(cls, name, _element_by_element(name))
    for name in ("sum", "mean", "max", "min", "norm"):
        setattr(cls, name, _to_one_number(name))
    for name in ("flatten", "reshape", "view"):
        setattr(cls, name, _in_another_shape(name))


def _element_by_element(name: str) -> Callable[..., Any]:
    plain = getattr(Tensor, name)

    def operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        operands = [self, *args]
        like = next(filter(_is_cut, operands), self)
        if modes.grad and _is_cut(like):
            operands = [_beside(each, like._layout) for each in operands]
        result = plain(*operands, **kwargs)
        is_like = isinstance(result, Tensor) and result._array.shape == like._array.shape
        return like._like(result) if is_like else result

    operation.__name__ = name
    operation.__doc__ = f"``Tensor.{name}`` of this rank's part."
    return operation


def _is_cut(value: Any) -> bool:
    return hasattr(value, "_layout") and value._layout.is_cut


def _beside(value: Any, layout: Layout) -> Any:
    """An operand of a tensor that is cut: what every rank has whole gets a summand of its gradient from each."""
    if not hasattr(value, "_layout") or value._layout.is_cut or value._edge is None:
        return value
    assert value._array is not None, "what is a summand is reduced first"
    placements = (Partial() if isinstance(each, Shard) else Replicate() for each in layout.placements)
    return value.to_local(grad_placements=tuple(placements))


def _to_one_number(name: str) -> Callable[..., Any]:
    plain = getattr(Tensor, name)

    def operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_norm = name == "norm" and set(kwargs) <= {"p"} and len(args) <= 1
        if (
            not self._layout.is_cut
            or (name != "norm" and (args or kwargs))
            or (name == "norm" and not is_norm)
        ):
            return plain(self, *args, **kwargs)
        if name == "sum":
            return self._partial(plain(self), "sum")
        if name == "mean":
            return self._partial(plain_sum(self) / self.numel(), "sum")
        how: tuple[float, ...] = ()
        op, least = name, math.inf if name == "min" else -math.inf
        if name == "norm":
            given = args[0] if args else kwargs.get("p", 2)
            order = 2.0 if given in (None, "fro") else float(given)
            how, op, least = (order,), f"norm{order}", math.inf if order == -math.inf else 0.0
        own = plain(self, *how) if self._array.size else _nothing(self, least)
        if own._edge is not None:
            own = _Share.apply(own, self._array, op, self._layout.group)
        return self._partial(own, op)

    plain_sum = Tensor.sum
    operation.__name__ = name
    operation.__doc__ = f"``Tensor.{name}``, to be reduced over the ranks."
    return operation


def _nothing(part: Tensor, least: float) -> Tensor:
    """What a rank without elements says. It takes part in the backward pass, as all do."""
    if part._edge is not None and modes.grad:
        return Tensor.sum(part).abs() + least
    return wrap(filled((), least, part._array.real.dtype, part._array))


class _Share(Function):
    """A rank's own norm or extreme; its gradient is by how much that of all ranks moves with it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, part: Array, op: str, group: ProcessGroup) -> Tensor:
        ctx.own, ctx.op, ctx.group = own._array, op, group
        is_norm = op.startswith("norm")
        ctx.order = float(op.removeprefix("norm")) if is_norm else math.inf
        if math.isinf(ctx.order):
            sizes = np.abs(part) if is_norm else part
            ctx.count = as_array((sizes == own._array).sum()).astype(np.float64)
        return own.view_as(own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        own, group = ctx.own, ctx.group
        total = reduced(own, ctx.op, group)
        if math.isinf(ctx.order):  # it moves with the elements that are as large, as with each of them
            mine = as_array(np.where(own == total, ctx.count, 0.0))
            share = mine / reduced(mine, "sum", group)
        else:
            ratio = own.astype(np.float64) / total
            share = np.where(total == 0, 0.0, ratio ** (ctx.order - 1))
        return gradient * wrap(as_array(share).astype(gradient._array.dtype)), None, None, None


def _in_another_shape(name: str) -> Callable[..., Any]:
    plain = getattr(Tensor, name)

    def operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._layout.is_cut or any(isinstance(each, dt.dtype) for each in args):
            return plain(self, *args, **kwargs)
        dim = self._layout.dim
        # Nothing is read: what comes out is the shape that the whole tensor would have.
        whole = tuple(plain(wrap(np.broadcast_to(np.float32(0), self._layout.shape)), *args, **kwargs).shape)
        found = _same_dim(self._layout.shape, dim, whole)
        if found is None:
            raise UnsupportedError(
                f"{name}: {tuple(self.shape)}, of which ranks have parts along dim {dim}, to {whole}: that dim must "
                "stay a dim; or give full_tensor()"
            )
        local = (*whole[:found], self._array.shape[dim], *whole[found + 1 :])
        return self._cut_along(found, Tensor.reshape(self, local), whole)

    operation.__name__ = name
    operation.__doc__ = f"``Tensor.{name}`` of the whole tensor, where the dim that is cut stays one."
    return operation


def _same_dim(shape: tuple[int, ...], dim: int, whole: tuple[int, ...]) -> int | None:
    """Which dim of the new shape is a dim of the old one."""
    before = math.prod(shape[:dim])
    dims = range(len(whole))
    return next((n for n in dims if math.prod(whole[:n]) == before and whole[n] == shape[dim]), None)


def reduced(local: Array, op: str, group: ProcessGroup) -> Array:
    """What all ranks' values come to.

    Raises:
        UnsupportedError: it is not known how they are reduced.
    """
    found = local.copy()
    if op in _OPS:
        group.all_reduce(found, _OPS[op])
        return found
    if not op.startswith("norm"):
        raise UnsupportedError(f"full_tensor: no way to reduce Partial({op}) over ranks")
    order = float(op.removeprefix("norm"))
    if math.isinf(order):
        group.all_reduce(found, ReduceOp.MAX if order > 0 else ReduceOp.MIN)
        return found
    power = as_array(found.astype(np.float64) ** (order or 1.0))
    group.all_reduce(power)
    return as_array(power ** (1.0 / (order or 1.0))).astype(local.dtype)
