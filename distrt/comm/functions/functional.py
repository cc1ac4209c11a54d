"""Collectives that return what they compute and leave their argument alone, with gradients.

``distrt.distributed._functional_collectives`` is their path. A result is there on return, so `wait_tensor` has nothing
to wait for. Backward passes are collectives, too: every rank must run them, in the same order.
Source: ``torch.distributed._functional_collectives``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.comm.functions.differentiable import (
    _AllGather,
    _AllReduce,
    _AllToAllSingle,
    _Broadcast,
    _ReduceScatter,
)
from distrt.comm.functions.membership import get_global_rank, get_process_group_ranks, get_world_size
from distrt.comm.functions.registry import resolve_process_group
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import ReduceOp
from distrt.comm.world import default_group
from distrt.core import ops
from distrt.core.creation import empty, empty_like
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "all_gather_single",
    "all_gather_single_autograd",
    "all_gather_tensor",
    "all_gather_tensor_autograd",
    "all_reduce",
    "all_to_all_single",
    "all_to_all_single_autograd",
    "broadcast",
    "reduce_scatter_single",
    "reduce_scatter_single_autograd",
    "reduce_scatter_tensor",
    "reduce_scatter_tensor_autograd",
    "wait_tensor",
]

_OPS = {
    op.name.lower(): op for op in (ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT, ReduceOp.MIN, ReduceOp.MAX)
}


def wait_tensor(tensor: Tensor) -> Tensor:
    """The tensor itself: it is there."""
    return tensor


def broadcast(self: Tensor, src: int, group: Any, tag: str = "") -> Tensor:
    """The tensor of the group's rank ``src``, on every rank. Gradients are summed on that rank."""
    of = _group(group)
    made: Tensor = _Broadcast.apply(get_global_rank(of, src), of, self)
    return made


def all_reduce(self: Tensor, reduceOp: str, group: Any, tag: str = "") -> Tensor:  # noqa: N803 - PyTorch's name
    """The combination of all ranks' tensors; gradients are combined by the same operation.

    Args:
        self: this rank's.
        reduceOp: "sum", "avg", "product", "min" or "max".
        group: a process group or its name, a mesh of one dim, a mesh and one of its dims, or a list of all ranks.
        tag: accepted.

    Raises:
        UnsupportedError: the group is none of these.
        ValueError: no such operation.
    """
    made: Tensor = _AllReduce.apply(_op(reduceOp), _group(group), self)
    return made


def all_gather_single(self: Tensor, gather_dim: int, group: Any, tag: str = "") -> Tensor:
    """All ranks' tensors, one after another along a dim."""
    gathered: Sequence[Tensor] = _AllGather.apply(_group(group), self.contiguous())
    return ops.cat(list(gathered), gather_dim)  # type: ignore[no-any-return]


def reduce_scatter_single(
    self: Tensor,
    reduceOp: str,  # noqa: N803 - PyTorch's name
    scatter_dim: int,
    group: Any,
    tag: str = "",
) -> Tensor:
    """This rank's part, along a dim, of the combination of all ranks' tensors.

    Raises:
        ShapeError: the dim cannot be cut into equal parts.
    """
    of, op = _group(group), _op(reduceOp)
    count, length = get_world_size(of), self.shape[scatter_dim]
    if length % count:
        raise ShapeError(f"input dimension {scatter_dim} ({length} must be a multiple of group_size {count})")
    pieces = [each.contiguous() for each in ops.split(self, length // count, scatter_dim)]
    summed = ReduceOp.SUM if op is ReduceOp.AVG else op
    made: Tensor = _ReduceScatter.apply(summed, of, [empty_like(pieces[0])], *pieces)
    return made / count if op is ReduceOp.AVG else made


def all_to_all_single(
    self: Tensor,
    output_split_sizes: Sequence[int] | None,
    input_split_sizes: Sequence[int] | None,
    group: Any,
    tag: str = "",
) -> Tensor:
    """The parts of all ranks' tensors, along the first dim, that are for this one."""
    rows = self.shape[0] if output_split_sizes is None else sum(output_split_sizes)
    output = empty((rows, *self.shape[1:]), dtype=self.dtype, device=self.device)
    made: Tensor = _AllToAllSingle.apply(
        _group(group), [output], output_split_sizes, input_split_sizes, self.contiguous()
    )
    return made


all_gather_single_autograd = all_gather_single
reduce_scatter_single_autograd = reduce_scatter_single
all_to_all_single_autograd = all_to_all_single


def all_gather_tensor(self: Tensor, gather_dim: int, group: Any, tag: str = "") -> Tensor:
    """`all_gather_single`, under its older name."""
    _warn("all_gather_tensor", "all_gather_single")
    return all_gather_single(self, gather_dim, group, tag)


def all_gather_tensor_autograd(self: Tensor, gather_dim: int, group: Any, tag: str = "") -> Tensor:
    """`all_gather_single`, under its older name."""
    _warn("all_gather_tensor_autograd", "all_gather_single_autograd")
    return all_gather_single(self, gather_dim, group, tag)


def reduce_scatter_tensor(
    self: Tensor,
    reduceOp: str,  # noqa: N803 - PyTorch's name
    scatter_dim: int,
    group: Any,
    tag: str = "",
) -> Tensor:
    """`reduce_scatter_single`, under its older name."""
    _warn("reduce_scatter_tensor", "reduce_scatter_single")
    return reduce_scatter_single(self, reduceOp, scatter_dim, group, tag)


def reduce_scatter_tensor_autograd(
    self: Tensor,
    reduceOp: str,  # noqa: N803 - PyTorch's name
    scatter_dim: int,
    group: Any,
    tag: str = "",
) -> Tensor:
    """`reduce_scatter_single`, under its older name."""
    _warn("reduce_scatter_tensor_autograd", "reduce_scatter_single_autograd")
    return reduce_scatter_single(self, reduceOp, scatter_dim, group, tag)


def _warn(name: str, instead: str) -> None:
    warn(
        f"`torch.distributed._functional_collectives.{name}` is deprecated. "
        f"Please use `torch.distributed._functional_collectives.{instead}` instead.",
        FutureWarning,
    )


def _op(name: str) -> ReduceOp:
    found = _OPS.get(name.lower())
    if found is None:
        raise ValueError(f"Unsupported reduce operation: {name}; one of {', '.join(_OPS)} was expected")
    return found


def _group(given: Any) -> ProcessGroup:
    if isinstance(given, ProcessGroup):
        return given
    if isinstance(given, str):
        return resolve_process_group(given)
    mesh, dim = given if isinstance(given, tuple) and hasattr(given[0], "get_group") else (given, None)
    if hasattr(mesh, "get_group"):
        found: ProcessGroup = mesh.get_group(dim)
        return found
    if isinstance(given, list | tuple) and list(given) == get_process_group_ranks(default_group()):
        return default_group()
    raise UnsupportedError(
        f"a process group or its name, a DeviceMesh of one dim, or (mesh, dim) was expected, got {given!r}: make one "
        "with new_group"
    )
