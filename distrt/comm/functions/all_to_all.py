"""PyTorch's all_to_all on tensors: every rank has something for every other. ``distrt.distributed`` is the path."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

from distrt.comm.functions.arguments import (
    as_pairs,
    handed_back,
    require_one_dtype,
    require_tensor,
    require_tensors,
    written,
)
from distrt.comm.functions.membership import resolve
from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import Array
from distrt.comm.work import Work
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor

__all__ = ["all_to_all", "all_to_all_single"]


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Rank r's ``input_tensor_list[rank]`` comes into ``output_tensor_list[r]``.

    Args:
        output_tensor_list: one tensor a rank, filled; any shapes that fit what is sent.
        input_tensor_list: one tensor a rank.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.

    Raises:
        ShapeError: on every rank, where what one sends and what its receiver expects differ in size.
    """
    chosen = resolve(group, "all_to_all")
    if chosen is None:
        return None
    require_tensors(output_tensor_list, "output_tensor_list")
    require_tensors(input_tensor_list, "input_tensor_list")
    require_one_dtype([*output_tensor_list, *input_tensor_list])
    for name, listed in (("output", output_tensor_list), ("input", input_tensor_list)):
        if len(listed) != chosen.size():
            raise ShapeError(
                f"all_to_all: {name} tensor list size {len(listed)} does not match world size {chosen.size()}"
            )
    outputs = [as_pairs(written(each)) for each in output_tensor_list]
    inputs = [as_pairs(each._array) for each in input_tensor_list]
    return handed_back(chosen.all_to_all(outputs, inputs, async_op), async_op, output_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Every rank's ``input`` is cut along its first dim, a part for each rank; ``output`` becomes what came.

    Args:
        output: filled with the parts from all ranks, in rank order.
        input: this rank's parts.
        output_split_sizes: rows that come from each rank; equally many where None.
        input_split_sizes: rows for each rank; equally many where None.
        group: the ranks; all of them where None.
        async_op: return a ``Work`` at once instead of waiting.

    Raises:
        ShapeError: for sizes that do not make up the tensor; on every rank, where what one sends and what its receiver
            expects differ in size.
    """
    chosen = resolve(group, "all_to_all_single")
    if chosen is None:
        return None
    require_tensor(output, "output")
    require_tensor(input, "input")
    require_one_dtype([output, input])
    target, source = as_pairs(written(output)), as_pairs(input._array)
    outputs = _cut("output", output_split_sizes, target, chosen.size())
    inputs = _cut("input", input_split_sizes, source, chosen.size())
    if not output_split_sizes and not input_split_sizes and target.size != source.size:
        raise ShapeError(
            f"all_to_all_single: output has {target.size} elements and input {source.size}; without split sizes "
            "they must have equally many"
        )
    return handed_back(chosen.all_to_all(outputs, inputs, async_op), async_op, [output])


def _cut(name: str, split_sizes: Sequence[Any] | None, array: Array, parts: int) -> list[Array]:
    if array.ndim == 0:
        raise ShapeError(f"all_to_all_single: {name} has no dim that could be cut; it is a scalar")
    length = array.shape[0]
    sizes = [operator.index(each) for each in split_sizes or ()]
    if not sizes:
        if length % parts:
            raise ShapeError(
                f"Tensor's dim 0 does not divide equally across group size: {name} has {length} rows "
                f"for {parts} ranks"
            )
        sizes = [length // parts] * parts
    if len(sizes) != parts:
        raise ShapeError(
            f"Number of tensor splits not equal to group size: {name}_split_sizes has {len(sizes)} for {parts} ranks"
        )
    if sum(sizes) != length or min(sizes) < 0:
        raise ShapeError(
            f"Split sizes doesn't match total dim 0 size: {name} has {length} rows, {name}_split_sizes are {sizes}"
        )
    bounds = [sum(sizes[:place]) for place in range(parts + 1)]
    return [array[low:high] for low, high in itertools.pairwise(bounds)]
