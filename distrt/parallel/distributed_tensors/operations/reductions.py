"""Operations along some dims: reductions, and what leaves all other dims alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distrt.parallel.distributed_tensors.operations.rules import Given, Operand, Way, positive, rule, whole
from distrt.parallel.distributed_tensors.operations.shapes import carried
from distrt.parallel.distributed_tensors.placements import Partial, Shard

__all__ = ["along", "dims_of"]


def dims_of(operand: Operand, dim: Any) -> set[int]:
    """The dims that are meant: all where none is named."""
    if dim is None or dim == ():
        return set(range(operand.ndim))
    listed: Iterable[Any] = dim if isinstance(dim, list | tuple) else (dim,)
    return {positive(int(each), operand.ndim) for each in listed}


def along(given: Given, dims: set[int], are_gone: bool) -> list[Way]:
    """The dims that are not touched may be cut; those that are may be gone in the result."""
    operand = given.operands[0]
    kept = [dim for dim in range(operand.ndim) if dim not in dims]
    if isinstance(operand.placement, Partial):
        return [whole(given)]
    return carried(given, {dim: place if are_gone else dim for place, dim in enumerate(kept)})


def _reduced_to(given: Given, dims: set[int], keepdim: bool, op: str, is_average: bool = False) -> list[Way]:
    """What each rank has of the dims that are reduced is a summand."""
    operand = given.operands[0]
    ways = along(given, dims, not keepdim)
    if operand.cut_dim in dims:
        ways.insert(0, Way((operand.placement,), Partial(op), is_average))
    return ways


@rule("sum")
def summed(
    given: Given, input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None
) -> list[Way]:
    operand = given.operands[0]
    if operand.placement in (Partial("sum"), Partial("avg")):
        return [Way((operand.placement,), operand.placement)]
    return _reduced_to(given, dims_of(operand, dim), keepdim, "sum")


@rule("mean")
def averaged(
    given: Given, input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None
) -> list[Way]:
    operand = given.operands[0]
    if operand.placement in (Partial("sum"), Partial("avg")):
        return [Way((operand.placement,), operand.placement)]
    dims = dims_of(operand, dim)
    if operand.cut_dim in dims and not operand.is_even(operand.cut_dim):
        return along(given, dims, not keepdim)
    return _reduced_to(given, dims, keepdim, "avg", is_average=True)


@rule("any all")
def answered(given: Given, input: Any, dim: Any = None, keepdim: bool = False) -> list[Way]:
    operand = given.operands[0]
    op = "max" if given.name == "any" else "min"
    return _reduced_to(given, dims_of(operand, dim), keepdim, op)


@rule("amax amin")
def extremes(given: Given, input: Any, dim: Any = None, keepdim: bool = False) -> list[Way]:
    """A rank without elements has no extreme; and in backward who has it gets the gradient, which ranks cannot know."""
    operand = given.operands[0]
    dims = dims_of(operand, dim)
    if operand.is_differentiated or (operand.cut_dim in dims and not operand.is_even(operand.cut_dim)):
        return along(given, dims, not keepdim)
    return _reduced_to(given, dims, keepdim, given.name[1:])


@rule("var std var_mean std_mean logsumexp prod nansum nanmean count_nonzero argmax argmin nanmedian aminmax")
def reduced_along(given: Given, input: Any, dim: Any = None, *args: Any, **named: Any) -> list[Way]:
    operand = given.operands[0]
    if isinstance(dim, bool):  # var(unbiased)
        dim = None
    is_kept = bool(named.get("keepdim", _keepdim_in(given.name, args)))
    return along(given, dims_of(operand, dim), not is_kept)


def _keepdim_in(name: str, args: tuple[Any, ...]) -> bool:
    place = 1 if name in ("var", "std", "var_mean", "std_mean") else 0
    return len(args) > place and bool(args[place])


@rule("max min median mode kthvalue cummax cummin")
def found_along(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    """Along a dim, with indices; or of two tensors, element by element."""
    from distrt.parallel.distributed_tensors.operations.pointwise import alike

    if given.name in ("max", "min") and (len(given.operands) > 1):
        return alike(given)
    rest = args[1:] if given.name == "kthvalue" else args
    dim = named.get("dim", rest[0] if rest else (-1 if given.name in ("mode", "kthvalue") else None))
    is_kept = bool(named.get("keepdim", rest[1] if len(rest) > 1 else given.name.startswith("cum")))
    return along(given, dims_of(given.operands[0], dim), not is_kept)


@rule("softmax log_softmax softmin cumsum cumprod logcumsumexp normalize glu")
def kept_along(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    dim = named.get("dim", args[0] if args else None)
    if given.name == "normalize":
        dim = named.get("dim", args[1] if len(args) > 1 else 1)
    if given.name == "glu" and dim is None:
        dim = -1
    return along(given, dims_of(given.operands[0], dim), are_gone=False)


@rule("sort argsort topk msort")
def ordered(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    default = 0 if given.name == "msort" else -1
    places = [each for each in args if not isinstance(each, bool)]
    if given.name == "topk":
        places = places[1:]
    dim = named.get("dim", places[0] if places else default)
    return along(given, dims_of(given.operands[0], dim), are_gone=False)


@rule("norm linalg.vector_norm")
def norms(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    """Along dims that are not cut. That of all elements is in ``extremes.py``."""
    dim = named.get("dim", args[1] if len(args) > 1 else None)
    is_kept = bool(named.get("keepdim", args[2] if len(args) > 2 else False))
    return along(given, dims_of(given.operands[0], dim), not is_kept)


def _cut_in_front(given: Given) -> list[Way]:
    """Rows are computed one by one, along the first dim."""
    if given.operands[0].cut_dim != 0:
        return [whole(given)]
    rest = tuple(whole(given).inputs[1:])
    return [Way((Shard(0), *rest), Shard(0)), whole(given)]


@rule(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d group_norm instance_norm "
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "interpolate pixel_shuffle pixel_unshuffle unfold fold local_response_norm"
)
def samples(given: Given, *args: Any, **named: Any) -> list[Way]:
    """Sample by sample: the first dim may be cut, where there is one of samples."""
    operand = given.operands[0]
    dims = {"1": 3, "2": 4, "3": 5}.get(given.name[-2:-1] if given.name.endswith("d") else "", 3)
    if operand.ndim < dims or (given.name == "instance_norm" and len(given.operands) > 1):
        return [whole(given)]
    if given.name in ("unfold", "fold", "interpolate") and operand.ndim < 3:
        return [whole(given)]
    return _cut_in_front(given)
