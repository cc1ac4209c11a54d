"""Layers and losses of networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import creation
from distrt.core.arrays import Array, as_array
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.operations.pointwise import alike
from distrt.parallel.distributed_tensors.operations.rules import Given, Way, rule, whole
from distrt.parallel.distributed_tensors.placements import Partial, Replicate, Shard
from distrt.parallel.distributed_tensors.summands import reduced

__all__: list[str] = []


@rule("layer_norm rms_norm")
def normalised(given: Given, input: Any, normalized_shape: Any, *args: Any, **named: Any) -> list[Way]:
    """The dims in front are computed row by row."""
    operand, count = given.operands[0], len(tuple(normalized_shape))
    if operand.cut_dim is None or operand.cut_dim >= operand.ndim - count:
        return [whole(given)]
    rest = (Replicate(),) * (len(given.operands) - 1)
    return [Way((operand.placement, *rest), operand.placement), whole(given)]


def _dropped(function: Any, layout: Layout, args: Any, kwargs: Any) -> Any:
    """Every rank draws what one process draws, and keeps its part, so that generators stay alike."""
    input, *rest = args
    kwargs = {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs
    p = rest[0] if rest else kwargs.get("p", 0.5)
    is_training = rest[1] if len(rest) > 1 else kwargs.get("training", kwargs.get("train", True))
    if not is_training or p == 0 or not layout.is_cut:
        return function(input, *rest, **kwargs)
    return input * _part_of(function(creation.ones(layout.shape, dtype=input.dtype), *rest, **kwargs), layout)


def _part_of(whole: Tensor, layout: Layout) -> Tensor:
    return wrap(layout.mine(whole._array))


@rule("dropout", local=_dropped)
def dropped(given: Given, input: Any, *args: Any, **named: Any) -> list[Way]:
    if named.get("inplace") or (len(args) > 2 and args[2]):
        return [whole(given)]
    return alike(given)


def _drawn(function: Any, layout: Layout, args: Any, kwargs: Any) -> Any:
    """The same of what is drawn anew."""
    if not layout.is_cut:
        return function(*args, **kwargs)
    like = creation.empty(layout.shape, dtype=args[0].dtype)
    return _part_of(function(like, *args[1:], **kwargs), layout)


@rule("rand_like randn_like randint_like", local=_drawn)
def drawn(given: Given, *args: Any, **named: Any) -> list[Way]:
    operand = given.operands[0]
    return [
        Way(
            (operand.placement,), Replicate() if isinstance(operand.placement, Partial) else operand.placement
        )
    ]


@rule(
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div "
    "soft_margin_loss"
)
def compared(given: Given, *args: Any, **named: Any) -> list[Way]:
    """Element by element, then the sum or the average."""
    reduction = named.get("reduction", next((each for each in args if isinstance(each, str)), "mean"))
    is_older = any(isinstance(each, bool) for each in args) or {"size_average", "reduce"} & set(named)
    ways = alike(given)
    if reduction == "none" and not is_older:
        return ways
    if is_older or reduction not in ("sum", "mean") or len(ways) == 1:
        return [whole(given)]
    cut = [each.is_even(each.cut_dim) for each in given.operands if each.cut_dim is not None]
    if reduction == "mean" and not all(cut):
        return [whole(given)]
    output = Partial("sum" if reduction == "sum" else "avg")
    sharded = [way for way in ways if isinstance(way.output, Shard)]
    return [*(Way(way.inputs, output, reduction == "mean") for way in sharded), whole(given)]


def _class_loss(function: Any, layout: Layout, args: Any, kwargs: Any) -> Any:
    """Of the part's rows the sum; where an average is wanted, over what the rows of all ranks count."""
    names = (
        "input",
        "target",
        "weight",
        "size_average",
        "ignore_index",
        "reduce",
        "reduction",
        "label_smoothing",
    )
    given = dict(zip(names, args, strict=False)) | kwargs
    over = [number for number, each in enumerate(layout.placements) if isinstance(each, Partial)]
    if given.get("reduction", "mean") != "mean" or not over:
        return function(**given)
    count = _counted(given["input"], given["target"], given.get("weight"), given.get("ignore_index", -100))
    for number in over:
        count = reduced(count, "sum", layout.device_mesh.get_group(number))
    return function(**{**given, "reduction": "sum"}) / wrap(count)


def _counted(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Array:
    """What the rows count in an average: one each, or the weights of their classes; nothing where they are ignored."""
    if target.is_floating_point():
        return as_array(input._array.dtype.type(target._array.size // max(target._array.shape[1], 1)))
    classes = target._array
    is_counted = classes != ignore_index
    if weight is None:
        return as_array(is_counted.sum(dtype=input._array.dtype))
    weights = weight._array[np.where(is_counted, classes, 0)]
    return as_array((weights * is_counted).sum(dtype=input._array.dtype))


@rule("cross_entropy nll_loss", local=_class_loss)
def class_losses(given: Given, input: Any, target: Any, *args: Any, **named: Any) -> list[Way]:
    """Row by row."""
    reduction = named.get("reduction", next((each for each in args if isinstance(each, str)), "mean"))
    is_older = {"size_average", "reduce"} & {name for name, each in named.items() if each is not None}
    scores = given.operands[0]
    if scores.cut_dim != 0 or scores.ndim < 2 or is_older or any(isinstance(each, bool) for each in args):
        return [whole(given)]
    rest = (Replicate(),) * (len(given.operands) - 2)
    output = Shard(0) if reduction == "none" else Partial()
    return [Way((Shard(0), Shard(0), *rest), output), whole(given)]
