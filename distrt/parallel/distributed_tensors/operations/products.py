"""Products of matrices, as sums over labelled dims: ``bij,bjk->bik``.

A label may be cut. Where the result has it, so is the result; where it is summed over, ranks have summands.
"""

from __future__ import annotations

from typing import Any

from distrt.parallel.distributed_tensors.operations.rules import Given, Operand, Way, rule, whole
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard

__all__ = ["contracted"]


def contracted(given: Given, labels: list[str], result: str, added: tuple[int, ...] = ()) -> list[Way]:
    """The ways of a sum of products.

    Args:
        given: the call.
        labels: of the dims of each operand; a blank for one of length 1 that is broadcast.
        result: labels of the dims of the result.
        added: the operands that are added to the product, rather than factors.
    """
    ways = []
    cut = dict.fromkeys(
        labels[place][each.cut_dim] for place, each in enumerate(given.operands) if each.cut_dim is not None
    )
    for label in cut:
        if label != " ":
            ways.append(_along(labels, result, added, label))
    for place, each in enumerate(given.operands):
        if each.placement in (Partial("sum"), Partial("avg")):
            ways.append(_of_summands(given, place, added, each.placement))
    return [*ways, whole(given)]


def _along(labels: list[str], result: str, added: tuple[int, ...], label: str) -> Way:
    inputs: list[Placement] = []
    for place, own in enumerate(labels):
        if label in own:
            inputs.append(Shard(own.index(label)))
        elif place in added and label not in result:
            inputs.append(Partial())
        else:
            inputs.append(Replicate())
    return Way(tuple(inputs), Shard(result.index(label)) if label in result else Partial())


def _of_summands(given: Given, place: int, added: tuple[int, ...], placement: Placement) -> Way:
    """One factor is a summand, and so is all that is added."""
    if place in added:
        factor = next(each for each in range(len(given.operands)) if each not in added)
        return _of_summands(given, factor, added, placement)
    inputs = [
        placement if each == place or each in added else Replicate() for each in range(len(given.operands))
    ]
    return Way(tuple(inputs), placement)


def _labels(first: Operand, second: Operand) -> tuple[str, str, str]:
    """Those of ``matmul``."""
    if first.ndim == 1 and second.ndim == 1:
        return "k", "k", ""
    if first.ndim == 1:
        batch = _batch(second.ndim - 2)
        return "k", batch + "kn", batch + "n"
    if second.ndim == 1:
        batch = _batch(first.ndim - 2)
        return batch + "mk", "k", batch + "m"
    count = max(first.ndim, second.ndim) - 2
    names, own = _batch(count), []
    for one, other in ((first, second), (second, first)):
        mine = ""
        for place in range(one.ndim - 2):
            from_end = place - one.ndim
            length = other.shape[from_end] if -from_end <= other.ndim else 1
            is_stretched = one.shape[place] == 1 and length != 1
            mine += " " if is_stretched else names[place + count - (one.ndim - 2)]
        own.append(mine)
    return own[0] + "mk", own[1] + "kn", names + "mn"


def _batch(count: int) -> str:
    return "abcdefgh"[:count]


@rule("matmul __matmul__ __rmatmul__ mm bmm mv dot vdot linalg.matmul")
def multiplied(given: Given, *args: Any, **named: Any) -> list[Way]:
    first, second = given.operands
    if max(first.ndim, second.ndim) > 10:
        return [whole(given)]
    if given.name == "__rmatmul__":
        right, left, result = _labels(second, first)
        return contracted(given, [left, right], result)
    left, right, result = _labels(first, second)
    return contracted(given, [left, right], result)


@rule("outer ger")
def outer(given: Given, *args: Any, **named: Any) -> list[Way]:
    return contracted(given, ["m", "n"], "mn")


@rule("addmm baddbmm addmv")
def added_to(given: Given, *args: Any, **named: Any) -> list[Way]:
    """Numbers that scale the parts do so on every rank."""
    added, first, second = given.operands
    left, right, result = _labels(first, second)
    own = "".join(
        label if length == given.shapes[0][place] else " "
        for place, (label, length) in enumerate(
            zip(result[len(result) - added.ndim :], added.shape, strict=True),
            start=len(result) - added.ndim,
        )
    )
    return contracted(given, [own, left, right], result, added=(0,))


@rule("linear")
def linear(given: Given, *args: Any, **named: Any) -> list[Way]:
    input, weight = given.operands[:2]
    rows = _batch(input.ndim - 1)
    if weight.ndim == 1:
        return contracted(given, [rows + "k", "k", ""][: len(given.operands)], rows, added=(2,))
    if input.ndim > 9:
        return [whole(given)]
    return contracted(given, [rows + "k", "nk", "n"][: len(given.operands)], rows + "n", added=(2,))


@rule("einsum")
def einsum(given: Given, equation: Any, *args: Any) -> list[Way]:
    """What the equation says; not where it leaves a result open, repeats a label or has dots."""
    text = equation.replace(" ", "") if isinstance(equation, str) else "."
    factors, arrow, result = text.partition("->")
    labels = factors.split(",")
    is_plain = arrow and "." not in text and all(len(set(each)) == len(each) for each in labels)
    if not is_plain or len(labels) != len(given.operands):
        return [whole(given)]
    if any(len(own) != each.ndim for own, each in zip(labels, given.operands, strict=True)):
        return [whole(given)]
    if any(_is_stretched(label, labels, given) for label in set("".join(labels))):
        return [whole(given)]
    return contracted(given, labels, result)


def _is_stretched(label: str, labels: list[str], given: Given) -> bool:
    pairs = zip(labels, given.operands, strict=True)
    return len({each.shape[own.index(label)] for own, each in pairs if label in own}) > 1


@rule("scaled_dot_product_attention")
def attention(
    given: Given, query: Any, key: Any, value: Any, attn_mask: Any = None, *args: Any, **named: Any
) -> list[Way]:
    """Samples and heads are computed apart: the dims before the last two may be cut."""
    dropout = named.get("dropout_p", args[0] if args else 0.0)
    if dropout or len({each.shape[:-2] for each in given.operands[:3]}) > 1:
        return [whole(given)]
    count = given.operands[0].ndim - 2
    names, labels = _batch(count), []
    for each in given.operands:
        own = "".join(
            " "
            if each.shape[place] == 1 and given.shapes[0][place + count - (each.ndim - 2)] != 1
            else names[place + count - (each.ndim - 2)]
            for place in range(each.ndim - 2)
        )
        labels.append(own + "  ")
    cut = dict.fromkeys(
        labels[place][each.cut_dim] for place, each in enumerate(given.operands) if each.cut_dim is not None
    )
    return [*(_along(labels, names + "  ", (), label) for label in cut if label != " "), whole(given)]
