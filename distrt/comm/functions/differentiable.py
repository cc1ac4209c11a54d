"""Collectives with gradients: what flows forward from one rank to another flows back as its gradient.

``distrt.distributed.nn.functional`` is their public path. They return new tensors, and their backward passes are
collectives, too: every rank must run them, in the same order.
Source: ``torch.distributed.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.comm.functions import all_to_all as exchanges
from distrt.comm.functions import blocks, collectives
from distrt.comm.functions.membership import get_rank, get_world_size
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, ReduceOp
from distrt.core.autograd.function import Function
from distrt.core.creation import empty, empty_like, zeros_like
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "all_gather",
    "all_gather_base",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]


def broadcast(tensor: Tensor, src: int, group: ProcessGroup | None = None) -> Tensor:
    """Rank ``src``'s tensor, on every rank. Gradients are summed on that rank; the others' tensors get zeros."""
    _warn("broadcast")
    return _applied(_Broadcast, src, group, tensor)


def gather(tensor: Tensor, dst: int = 0, group: ProcessGroup | None = None) -> tuple[Tensor, ...]:
    """All ranks' tensors on rank ``dst``; zeros on the others."""
    return _all_applied(_Gather, dst, group, tensor)


def scatter(tensors: Sequence[Tensor], src: int = 0, group: ProcessGroup | None = None) -> Tensor:
    """This rank's of the tensors that rank ``src`` has; the others give tensors of the same shape, too."""
    return _applied(_Scatter, src, group, *tensors)


def reduce(tensor: Tensor, dst: int, op: AnyOp = ReduceOp.SUM, group: ProcessGroup | None = None) -> Tensor:
    """The combination of all ranks' tensors on rank ``dst``; a copy of its own on each other."""
    return _applied(_Reduce, dst, op, group, tensor)


def reduce_scatter(
    output: Tensor, input_list: Sequence[Tensor], op: AnyOp = ReduceOp.SUM, group: ProcessGroup | None = None
) -> Tensor:
    """``output``, filled with the combination of all ranks' ``input_list[rank]``."""
    _warn("reduce_scatter", "reduce_scatter_single")
    return _applied(_ReduceScatter, op, group, [output], *input_list)


def all_gather(tensor: Tensor, group: ProcessGroup | None = None) -> tuple[Tensor, ...]:
    """All ranks' tensors, in rank order."""
    _warn("all_gather", "all_gather_single")
    return _all_applied(_AllGather, group, tensor)


def all_gather_base(output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """``output_tensor``, filled with all ranks' tensors, one after another along the first dim."""
    return _applied(_AllGatherSingle, [output_tensor], group, input_tensor)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: Sequence[Tensor], group: ProcessGroup | None = None
) -> tuple[Tensor, ...]:
    """``output_tensor_list``, filled with all ranks' ``input_tensor_list[rank]``."""
    return _all_applied(_AllToAll, group, output_tensor_list, *input_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: ProcessGroup | None = None,
) -> Tensor:
    """``output``, filled with the parts of all ranks' ``input`` that are for this one."""
    _warn("all_to_all_single")
    return _applied(_AllToAllSingle, group, [output], output_split_sizes, input_split_sizes, input)


def all_reduce(tensor: Tensor, op: AnyOp = ReduceOp.SUM, group: ProcessGroup | None = None) -> Tensor:
    """The combination of all ranks' tensors. Gradients are combined by the same operation."""
    _warn("all_reduce")
    return _applied(_AllReduce, op, group, tensor)


def _warn(name: str, instead: str | None = None) -> None:
    warn(
        f"torch.distributed.nn.functional.{name} is deprecated, use "
        f"torch.distributed._functional_collectives.{instead or name} instead.",
        FutureWarning,
    )


def _applied(function: type[Function], *args: Any) -> Tensor:
    made: Tensor = function.apply(*args)
    return made


def _all_applied(function: type[Function], *args: Any) -> tuple[Tensor, ...]:
    made: tuple[Tensor, ...] = function.apply(*args)
    return made


class _Broadcast(Function):
    @staticmethod
    def forward(ctx: Any, src: int, group: Any, tensor: Tensor) -> Tensor:
        ctx.src, ctx.group = src, group
        tensor = tensor.clone()
        collectives.broadcast(tensor, src, group)
        return tensor

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        total = _Reduce.apply(ctx.src, ReduceOp.SUM, ctx.group, grad)
        return None, None, total if get_rank() == ctx.src else zeros_like(total)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, dst: int, group: Any, tensor: Tensor) -> tuple[Tensor, ...]:
        ctx.dst, ctx.group = dst, group
        gathered = [zeros_like(tensor) for _ in range(get_world_size(group))]
        collectives.gather(tensor, gathered if get_rank() == dst else None, dst, group)
        return tuple(gathered)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, None, _Scatter.apply(ctx.dst, ctx.group, *grads)


class _Scatter(Function):
    @staticmethod
    def forward(ctx: Any, src: int, group: Any, *tensors: Tensor) -> Tensor:
        ctx.src, ctx.group = src, group
        if not all(each.size() == tensors[0].size() for each in tensors):
            raise AssertionError("scatter: tensors of one shape, also on the ranks that receive")
        mine = zeros_like(tensors[0])
        collectives.scatter(mine, list(tensors) if get_rank() == src else None, src, group)
        return mine

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, None, *_Gather.apply(ctx.src, ctx.group, grad)


class _Reduce(Function):
    @staticmethod
    def forward(ctx: Any, dst: int, op: AnyOp, group: Any, tensor: Tensor) -> Tensor:
        ctx.dst, ctx.group = dst, group
        tensor = tensor.clone()
        collectives.reduce(tensor, dst, op, group)
        return tensor

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, None, None, _Broadcast.apply(ctx.dst, ctx.group, grad)


class _ReduceScatter(Function):
    @staticmethod
    def forward(ctx: Any, op: AnyOp, group: Any, output: list[Tensor], *inputs: Tensor) -> Tensor:
        ctx.group = group
        blocks.reduce_scatter(output[0], list(inputs), op, group)
        return output[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, None, None, *_AllGather.apply(ctx.group, grad)


class _AllGather(Function):
    @staticmethod
    def forward(ctx: Any, group: Any, tensor: Tensor) -> tuple[Tensor, ...]:
        ctx.group = group
        gathered = [empty_like(tensor) for _ in range(get_world_size(group))]
        blocks.all_gather(gathered, tensor, group)
        return tuple(gathered)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        mine = empty_like(grads[get_rank(ctx.group)])
        return None, _ReduceScatter.apply(ReduceOp.SUM, ctx.group, [mine], *grads)


class _AllGatherSingle(Function):
    @staticmethod
    def forward(ctx: Any, output: list[Tensor], group: Any, tensor: Tensor) -> Tensor:
        ctx.group, ctx.shape = group, tensor.shape
        blocks.all_gather_single(output[0], tensor, group)
        return output[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        mine = empty(ctx.shape, dtype=grad.dtype)
        blocks.reduce_scatter_single(mine, grad, ReduceOp.SUM, ctx.group)
        return None, None, mine


class _AllToAll(Function):
    @staticmethod
    def forward(ctx: Any, group: Any, outputs: list[Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.group, ctx.shapes = group, [each.shape for each in inputs]
        exchanges.all_to_all(outputs, list(inputs), group)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        outputs = [empty(shape, dtype=grads[0].dtype) for shape in ctx.shapes]
        return None, None, *_AllToAll.apply(ctx.group, outputs, *grads)


class _AllToAllSingle(Function):
    @staticmethod
    def forward(
        ctx: Any, group: Any, output: list[Tensor], to_output: Any, of_input: Any, tensor: Tensor
    ) -> Tensor:
        ctx.group, ctx.shape, ctx.sizes = group, tensor.shape, (of_input, to_output)
        exchanges.all_to_all_single(output[0], tensor, to_output, of_input, group)
        return output[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        mine = empty(ctx.shape, dtype=grad.dtype)
        return None, None, None, None, _AllToAllSingle.apply(ctx.group, [mine], *ctx.sizes, grad)


class _AllReduce(Function):
    @staticmethod
    def forward(ctx: Any, op: AnyOp, group: Any, tensor: Tensor) -> Tensor:
        ctx.group, ctx.op = group, op
        tensor = tensor.clone().contiguous()
        collectives.all_reduce(tensor, op, group)
        return tensor

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, None, _AllReduce.apply(ctx.op, ctx.group, grad)
