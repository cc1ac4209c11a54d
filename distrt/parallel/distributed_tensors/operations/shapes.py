"""Operations that change a shape and read nothing: dims in another order, split and joined, broadcast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrt.core.dtypes.dtype import dtype
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.operations.rules import Given, Way, positive, rule, whole
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Shard

__all__ = ["carried"]


def carried(given: Given, new_dim: dict[int, int]) -> list[Way]:
    """The ways of an operation that carries dims to other places, and summands to summands."""
    (operand,) = given.operands[:1]
    rest: tuple[Placement, ...] = tuple(whole(given).inputs[1:])
    placement, dim = operand.placement, operand.cut_dim
    if isinstance(placement, Partial):
        return [Way((placement, *rest), placement)]
    if dim is not None and dim in new_dim:
        return [Way((placement, *rest), Shard(new_dim[dim])), whole(given)]
    return [whole(given)]


def _ints(values: Sequence[Any]) -> list[int]:
    flat = values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
    return [int(each) for each in flat]


@rule("t T mT H mH adjoint")
def turned(given: Given, *args: Any) -> list[Way]:
    ndim = given.operands[0].ndim
    if ndim < 2:
        return carried(given, {dim: dim for dim in range(ndim)})
    if given.name == "T":
        return carried(given, {dim: ndim - 1 - dim for dim in range(ndim)})
    return carried(given, _swapped(ndim, -1, -2))


def _swapped(ndim: int, first: int, second: int) -> dict[int, int]:
    a, b = positive(first, ndim), positive(second, ndim)
    return {**{dim: dim for dim in range(ndim)}, a: b, b: a}


@rule("transpose swapaxes swapdims")
def transposed(given: Given, input: Any, *dims: Any, **named: Any) -> list[Way]:
    first, second = (*dims, *named.values())
    return carried(given, _swapped(given.operands[0].ndim, int(first), int(second)))


@rule("permute")
def permuted(given: Given, input: Any, *dims: Any, **named: Any) -> list[Way]:
    ndim = given.operands[0].ndim
    order = [positive(each, ndim) for each in _ints(dims or tuple(named.values()))]
    return carried(given, {old: new for new, old in enumerate(order)})


@rule("movedim moveaxis")
def moved_dims(given: Given, input: Any, source: Any, destination: Any) -> list[Way]:
    ndim = given.operands[0].ndim
    sources = [positive(each, ndim) for each in _ints((source,))]
    targets = [positive(each, ndim) for each in _ints((destination,))]
    new = dict(zip(sources, targets, strict=True))
    free = iter(sorted(set(range(ndim)) - set(targets)))
    for dim in range(ndim):
        if dim not in new:
            new[dim] = next(free)
    return carried(given, new)


def _reshaped(function: Any, layout: Any, args: Any, kwargs: Any) -> Any:
    """The part in its own new shape; where the function gives a view, so does this."""
    return Tensor.reshape(args[0], layout.local_shape)


def _viewed(function: Any, layout: Any, args: Any, kwargs: Any) -> Any:
    if _is_of_dtype(args, kwargs):
        return function(*args, **kwargs)
    return Tensor.view(args[0], layout.local_shape)


def _is_of_dtype(args: Any, kwargs: Any) -> bool:
    """Whether a view is asked for that reads the same bytes as another dtype."""
    return any(isinstance(each, dtype) for each in (*args, *kwargs.values()))


def _same_dims(given: Given) -> list[Way]:
    operand = given.operands[0]
    new = _dims_that_stay(operand.shape, given.shapes[0], operand.cuts, operand.ranks)
    return carried(given, new)


@rule("reshape flatten unflatten ravel", local=_reshaped)
def reshaped(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    return _same_dims(given)


@rule("view", local=_viewed)
def viewed(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    if _is_of_dtype(args, kwargs):
        return [whole(given)]
    return _same_dims(given)


@rule("unsqueeze squeeze", local=_viewed)
def squeezed(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    return _same_dims(given)


def _dims_that_stay(
    old: tuple[int, ...], new: tuple[int, ...], cuts: dict[int, int], ranks: int
) -> dict[int, int]:
    """The dims that can be cut before and after, with their places after.

    A dim that is the first of several that are joined, or is split, stays where its parts remain whole rows.
    """
    found: dict[int, int] = {}
    if 0 in old:
        return found
    for dim, length in enumerate(old):
        if length == 1:
            continue
        before, parts = math.prod(old[:dim]), cuts.get(dim, ranks)
        for place in range(len(new)):
            if math.prod(new[:place]) != before or new[place] == 1:
                continue
            is_same = new[place] == length
            if is_same or (length % parts == 0 and new[place] % parts == 0):
                found[dim] = place
            break
    return found


def _expanded(function: Any, layout: Any, args: Any, kwargs: Any) -> Any:
    return Tensor.expand(args[0], layout.local_shape)


@rule("expand broadcast_to", local=_expanded)
def expanded(given: Given, *args: Any, **kwargs: Any) -> list[Way]:
    operand, shape = given.operands[0], given.shapes[0]
    more = len(shape) - operand.ndim
    new = {dim: dim + more for dim in range(operand.ndim) if operand.shape[dim] == shape[dim + more]}
    return carried(given, new)


@rule("flip fliplr flipud rot90 roll")
def turned_around(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    """Dims that the operation does not name stay."""
    ndim = given.operands[0].ndim
    if given.name == "flip":
        dims = set(_ints(args or tuple(named.values())))
    elif given.name == "roll":
        given_dims = named.get("dims", args[1] if len(args) > 1 else None)
        dims = set(range(ndim)) if given_dims in (None, ()) else set(_ints((given_dims,)))
    else:
        dims = {0, 1}
    touched = {positive(each, ndim) for each in dims}
    return carried(given, {dim: dim for dim in range(ndim) if dim not in touched})


@rule("tril triu")
def triangles(given: Given, *args: Any, **named: Any) -> list[Way]:
    ndim = given.operands[0].ndim
    return carried(given, {dim: dim for dim in range(ndim - 2)})


@rule("pad")
def padded(given: Given, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> list[Way]:
    operand = given.operands[0]
    touched = {operand.ndim - 1 - place for place in range(len(pad) // 2)}
    ways = carried(given, {dim: dim for dim in range(operand.ndim) if dim not in touched})
    is_sum = isinstance(operand.placement, Partial)
    return [whole(given)] if is_sum and (mode != "constant" or value) else ways
