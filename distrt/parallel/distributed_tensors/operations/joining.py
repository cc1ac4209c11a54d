"""Tensors joined to one, and one taken apart."""

from __future__ import annotations

from typing import Any

from distrt.parallel.distributed_tensors.operations.pointwise import aligned
from distrt.parallel.distributed_tensors.operations.reductions import along
from distrt.parallel.distributed_tensors.operations.rules import LINEAR, Given, Way, positive, rule, whole
from distrt.parallel.distributed_tensors.operations.shapes import carried
from distrt.parallel.distributed_tensors.placements import Partial, Shard

__all__: list[str] = []


@rule("cat concat concatenate")
def joined(given: Given, tensors: Any, dim: int = 0, **named: Any) -> list[Way]:
    """Another dim may be cut, of all."""
    first = given.operands[0]
    if any(each.ndim != first.ndim for each in given.operands):  # an empty one, as older programs have it
        return [whole(given)]
    dim = positive(dim, first.ndim)
    cut = dict.fromkeys(each.cut_dim for each in given.operands if each.cut_dim not in (None, dim))
    ways = [Way((Shard(each),) * len(given.operands), Shard(each)) for each in cut if each is not None]
    return [*ways, *(way for op in LINEAR for way in aligned(given, op)), whole(given)]


@rule("stack")
def stacked(given: Given, tensors: Any, dim: int = 0, **named: Any) -> list[Way]:
    new = positive(dim, given.operands[0].ndim + 1)
    cut = dict.fromkeys(each.cut_dim for each in given.operands if each.cut_dim is not None)
    ways = [
        Way((Shard(each),) * len(given.operands), Shard(each + (each >= new)))
        for each in cut
        if each is not None
    ]
    return [*ways, *(way for op in LINEAR for way in aligned(given, op)), whole(given)]


@rule("split chunk tensor_split split_with_sizes unsafe_split unsafe_chunk")
def taken_apart(given: Given, input: Any, how: Any = None, dim: int = 0, **named: Any) -> list[Way]:
    """A dim that is not taken apart may be cut."""
    return _leaving_alone(given, dim, are_gone=False)


@rule("unbind")
def unbound(given: Given, input: Any, dim: int = 0) -> list[Way]:
    return _leaving_alone(given, dim, are_gone=True)


def _leaving_alone(given: Given, dim: int, are_gone: bool) -> list[Way]:
    operand = given.operands[0]
    if isinstance(operand.placement, Partial):
        return carried(given, {})
    return along(given, {positive(dim, operand.ndim)}, are_gone)
