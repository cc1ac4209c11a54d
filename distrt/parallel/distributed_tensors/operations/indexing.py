"""Elements that are chosen: by keys, and by tensors of indices."""

from __future__ import annotations

from typing import Any

from distrt.parallel.distributed_tensors.operations.joining import _leaving_alone
from distrt.parallel.distributed_tensors.operations.rules import Given, Operand, Way, positive, rule, whole
from distrt.parallel.distributed_tensors.operations.shapes import carried
from distrt.parallel.distributed_tensors.placements import Partial, Replicate, Shard

__all__: list[str] = []


@rule("narrow")
def narrowed(given: Given, input: Any, dim: int, start: Any, length: int) -> list[Way]:
    return _leaving_alone(given, dim, are_gone=False)


@rule("select")
def selected(given: Given, input: Any, dim: int, index: Any) -> list[Way]:
    return _leaving_alone(given, dim, are_gone=True)


@rule("index_select")
def rows_selected(given: Given, input: Any, dim: int, index: Any) -> list[Way]:
    operand = given.operands[0]
    touched = positive(dim, operand.ndim)
    return carried(given, {each: each for each in range(operand.ndim) if each != touched})


@rule("gather take_along_dim")
def gathered(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    """Where both have the same rows, these may be cut."""
    operand, index = given.operands[:2]
    dim = next((each for each in (*args, named.get("dim")) if isinstance(each, int)), None)
    if dim is None or operand.ndim != index.ndim:
        return [whole(given)]
    touched = positive(dim, operand.ndim)
    cut = dict.fromkeys(each.cut_dim for each in (operand, index) if each.cut_dim is not None)
    ways = [
        Way((Shard(each), Shard(each)), Shard(each))
        for each in cut
        if each is not None and each != touched and operand.shape[each] == index.shape[each]
    ]
    return [*ways, whole(given)]


@rule("__getitem__")
def chosen_by_key(given: Given, input: Any, key: Any) -> list[Way]:
    """Dims that a key leaves whole stay; tensors of indices are had by every rank."""
    operand = given.operands[0]
    parts = list(key) if isinstance(key, tuple) else [key]
    if isinstance(key, list) or any(not _is_plain(each) for each in parts):
        return [whole(given)]
    used = sum(each is not None and each is not Ellipsis for each in parts)
    place = next((place for place, each in enumerate(parts) if each is Ellipsis), None)
    filling = [slice(None)] * (operand.ndim - used)
    if place is None:
        parts += filling
    else:
        parts[place : place + 1] = filling
    return carried(given, _kept(operand, parts))


def _is_plain(key: Any) -> bool:
    return key is None or key is Ellipsis or type(key) is int or isinstance(key, slice | Operand)


def _kept(operand: Operand, parts: list[Any]) -> dict[int, int]:
    """The dims that a key leaves whole, with their places in the result."""
    indices = [place for place, each in enumerate(parts) if isinstance(each, Operand | int)]
    tensors = [parts[place] for place in indices if isinstance(parts[place], Operand)]
    width = max((each.ndim for each in tensors), default=0)
    is_together = not indices or indices == list(range(indices[0], indices[-1] + 1))
    found: dict[int, int] = {}
    dim, new = 0, 0 if not tensors or is_together else width
    for place, each in enumerate(parts):
        if isinstance(each, Operand | int):
            if tensors and is_together and place == indices[0]:
                new += width
            dim += 1
            continue
        if each is not None:
            if each.indices(operand.shape[dim]) == (0, operand.shape[dim], 1):
                found[dim] = new
            dim += 1
        new += 1
    return found


@rule("embedding")
def embedded(
    given: Given,
    input: Any,
    weight: Any,
    padding_idx: Any = None,
    max_norm: Any = None,
    *args: Any,
    **named: Any,
) -> list[Way]:
    """Indices may be cut, or the columns of the table."""
    if max_norm is not None:
        return [whole(given)]
    index, table = given.operands
    ways: list[Way] = []
    if index.cut_dim is not None:
        ways.append(Way((index.placement, Replicate()), index.placement))
    if table.cut_dim == 1:
        ways.append(Way((Replicate(), Shard(1)), Shard(index.ndim)))
    if isinstance(table.placement, Partial):
        ways.append(Way((Replicate(), table.placement), table.placement))
    return [*ways, whole(given)]


@rule("one_hot")
def one_hot(given: Given, tensor: Any, num_classes: int = -1) -> list[Way]:
    operand = given.operands[0]
    if num_classes < 0:
        return [whole(given)]
    return (
        carried(given, {dim: dim for dim in range(operand.ndim)})
        if operand.cut_dim is not None
        else [whole(given)]
    )
