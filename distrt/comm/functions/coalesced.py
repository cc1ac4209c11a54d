"""The collectives under the names that PyTorch has deprecated, and says so: lists of tensors at once, old spellings."""

from __future__ import annotations

from typing import Any

from distrt.comm.functions.arguments import (
    as_pairs,
    note_changes,
    require_complex_op,
    require_one_dtype,
    require_op,
    require_tensors,
    shape_text,
    written,
)
from distrt.comm.functions.blocks import all_gather_single, reduce_scatter_single
from distrt.comm.functions.coalescing import Call, Joined, launch
from distrt.comm.functions.collectives import all_reduce
from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, ReduceOp
from distrt.comm.work import Work
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "all_gather_base",
    "all_gather_coalesced",
    "all_gather_into_tensor",
    "all_reduce_coalesced",
    "reduce_op",
    "reduce_scatter_base",
    "reduce_scatter_tensor",
]


def all_reduce_coalesced(
    tensors: list[Tensor] | Tensor,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Any:
    """`all_reduce` of many tensors in one go.

    Args:
        tensors: changed in place; of one dtype.
        op: how elements are combined.
        group: the ranks; all of them where None.
        async_op: return a ``Future`` of the tensors at once instead of waiting.
    """
    _warn("all_reduce_coalesced", None)
    listed = [tensors] if isinstance(tensors, Tensor) else tensors
    require_tensors(listed, "tensor")
    require_one_dtype(listed)
    chosen = resolve(group, "all_reduce_coalesced")
    if chosen is None:
        return None
    require_op(op)
    if not listed:
        raise NoKernelError("all_reduce_coalesced: There were no tensor arguments to this function")
    arrays = [written(each) for each in listed]
    if any(each.dtype.kind == "c" for each in arrays):
        require_complex_op("all_reduce", op)
    note_changes(listed)
    work = launch(chosen, [Call(all_reduce, each, op=op) for each in arrays])
    return _future(work, async_op, listed)


def all_gather_coalesced(
    output_tensor_lists: list[list[Tensor]],
    input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Any:
    """`all_gather` of many tensors in one go.

    Args:
        output_tensor_lists: for each rank, a list of tensors like ``input_tensor_list``, which are filled.
        input_tensor_list: this rank's tensors; all ranks' have the same shapes.
        group: the ranks; all of them where None.
        async_op: return a ``Future`` of ``output_tensor_lists`` at once instead of waiting.
    """
    _warn("all_gather_coalesced", None)
    chosen = resolve(group, "all_gather_coalesced")
    if chosen is None:
        return None
    require_tensors(input_tensor_list, "input_tensor_list")
    require_one_dtype(input_tensor_list)
    if not isinstance(output_tensor_lists, list):
        raise TypeError("Invalid function argument: output_tensor_lists should be a list")
    for each in output_tensor_lists:
        require_tensors(each, "output_tensor_lists")
        require_one_dtype([*each, *input_tensor_list])
    if len(output_tensor_lists) != chosen.size():
        raise ShapeError(
            f"all_gather_coalesced: output lists should be equal to world size: {len(output_tensor_lists)} lists "
            f"for {chosen.size()} ranks"
        )
    for outputs in output_tensor_lists:
        _require_shapes(outputs, input_tensor_list)
    calls = [
        Call(
            all_gather_single,
            as_pairs(each._array),
            [as_pairs(written(row[place])) for row in output_tensor_lists],
        )
        for place, each in enumerate(input_tensor_list)
    ]
    note_changes([each for outputs in output_tensor_lists for each in outputs])
    found = output_tensor_lists if chosen.size() > 1 else output_tensor_lists[0]  # as PyTorch's future has it
    return _future(launch(chosen, calls), async_op, found)


def _require_shapes(outputs: list[Tensor], inputs: list[Tensor]) -> None:
    if len(outputs) != len(inputs):
        raise ShapeError(
            f"all_gather_coalesced: invalid output size: (expected length {len(inputs)}, got {len(outputs)})"
        )
    for place, (output, each) in enumerate(zip(outputs, inputs, strict=True)):
        if as_pairs(output._array).shape != as_pairs(each._array).shape:
            raise ShapeError(
                f"all_gather_coalesced: invalid size of output tensor at index {place} "
                f"(expected length {shape_text(each._array)}, got {shape_text(output._array)})"
            )


def _future(work: Joined, async_op: bool, result: Any) -> Any:
    if async_op:
        work._result = result
        return work.get_future()
    work.wait()
    return None


def all_gather_into_tensor(
    output_tensor: Tensor,
    input_tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The name that `all_gather_single` had before."""
    _warn("all_gather_into_tensor", "all_gather_single")
    return all_gather_single(output_tensor, input_tensor, group, async_op)


def all_gather_base(
    output_tensor: Tensor,
    input_tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The first name of `all_gather_single`: ``_all_gather_base``."""
    _warn("_all_gather_base", "all_gather_single", is_private=True)
    return all_gather_single(output_tensor, input_tensor, group, async_op)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The name that `reduce_scatter_single` had before."""
    _warn("reduce_scatter_tensor", "reduce_scatter_single")
    return reduce_scatter_single(output, input, op, group, async_op)


def reduce_scatter_base(
    output: Tensor,
    input: Tensor,
    op: AnyOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The first name of `reduce_scatter_single`: ``_reduce_scatter_base``."""
    _warn("_reduce_scatter_base", "reduce_scatter_single", is_private=True)
    return reduce_scatter_single(output, input, op, group, async_op)


def _warn(name: str, instead: str | None, is_private: bool = False) -> None:
    if instead is None:
        text = (
            f"`torch.distributed.{name}` will be deprecated. If you must use it, please revisit our documentation "
            "later at https://pytorch.org/docs/main/distributed.html#collective-functions"
        )
    elif is_private:
        text = (
            f"`torch.distributed.{name}` is a private function and will be deprecated. Please use "
            f"`torch.distributed.{instead}` instead."
        )
    else:
        text = f"`torch.distributed.{name}` is deprecated. Please use `torch.distributed.{instead}` instead."
    warn(text, FutureWarning)


class _ReduceOps:
    """``dist.reduce_op.SUM``: the name that ``ReduceOp`` had before."""

    def __getattr__(self, name: str) -> Any:
        if name not in ReduceOp.__members__ and name != "__members__":
            raise AttributeError(
                f"reduce_op has no operation {name!r}; it has {', '.join(ReduceOp.__members__)}"
            )
        warn(
            "`torch.distributed.reduce_op` is deprecated, please use `torch.distributed.ReduceOp` instead",
            FutureWarning,
        )
        return getattr(ReduceOp, name)


reduce_op = _ReduceOps()
