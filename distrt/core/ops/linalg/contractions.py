"""``einsum``: sums of products, contracted two operands at a time through the matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from distrt.core import ops
from distrt.core.arrays import require_sequence
from distrt.core.errors import ShapeError
from distrt.core.ops.linalg.matrices import matrix_diagonal

__all__ = ["einsum"]

#: The labels of an equation, in the order in which an implicit output has them.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Label = int  # a letter's place in _LETTERS, or a negative number for a dim of the ellipsis, the last being -1
_ELLIPSIS = 100  # stands for the ellipsis until its dims are known


def einsum(*args: Any) -> Any:
    """Sums of products of elements, by an equation such as ``"bik,bkj->bij"``.

    ``einsum(equation, *operands)``, ``einsum(equation, [operands])``, or ``einsum(operand, labels, ..., output)`` with
    lists of numbers from 0 to 51 (and ``...``) as labels. Dims of size 1 broadcast.

    Raises:
        RuntimeError: for an equation that is not well formed, or does not fit the operands.
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its "
            "subscripts list"
        )
    if isinstance(args[0], str):
        operands = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
        require_sequence("einsum", "tensors", list(operands))
        inputs, output = _parsed(args[0])
    else:
        inputs, output, operands = _from_lists(args)
    if len(inputs) != len(operands):
        more = "more" if len(operands) > len(inputs) else "fewer"
        _fail(f"{more} operands were provided than specified in the equation")
    return _contracted(list(operands), inputs, output)


def _fail(message: str) -> NoReturn:
    raise ShapeError(f"einsum(): {message}")


def _name(label: Label) -> str:
    return _LETTERS[label] if label >= 0 else "..."


# Reading equations


def _parsed(equation: str) -> tuple[list[list[Label]], list[Label] | None]:
    """The labels of each operand and of the output (None where it is implicit)."""
    left, arrow, right = equation.partition("->")
    inputs, start = [], 0
    for number, part in enumerate(left.split(",")):
        inputs.append(_labels(part, start, f"operand {number}"))
        start += len(part) + 1
    return inputs, _labels(right, len(left) + 2, "output") if arrow else None


def _labels(text: str, start: int, what: str) -> list[Label]:
    found: list[Label] = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter == ".":
            if _ELLIPSIS in found:
                _fail(f"found '.' for {what} for which an ellipsis was already found")
            if text[position : position + 3] != "...":
                _fail(f"found '.' for {what} that is not part of any ellipsis")
            found.append(_ELLIPSIS)
            position += 2
        elif letter in _LETTERS:
            found.append(_LETTERS.index(letter))
        elif letter != " ":
            _fail(
                f"invalid subscript given at index {start + position} in the equation string, subscripts must be in "
                "[a-zA-Z]"
            )
        position += 1
    return found


def _from_lists(args: Sequence[Any]) -> tuple[list[list[Label]], list[Label] | None, list[Any]]:
    pairs, rest = len(args) // 2, len(args) % 2
    operands = [args[2 * number] for number in range(pairs)]
    require_sequence("einsum", "tensors", operands)
    inputs = [_from_list(args[2 * number + 1]) for number in range(pairs)]
    return inputs, _from_list(args[-1]) if rest else None, operands


def _from_list(labels: Iterable[Any]) -> list[Label]:
    found = [_ELLIPSIS if label is Ellipsis else int(label) for label in labels]
    if any(label != _ELLIPSIS and not 0 <= label < len(_LETTERS) for label in found):
        raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
    return found


# Giving every dim a label


def _contracted(operands: list[Any], inputs: list[list[Label]], output: list[Label] | None) -> Any:
    written = inputs
    inputs = [
        _with_ellipsis(labels, operand, number)
        for number, (labels, operand) in enumerate(zip(inputs, operands, strict=True))
    ]
    sizes: dict[Label, int] = {}
    for number, (labels, operand) in enumerate(zip(inputs, operands, strict=True)):
        _note_sizes(sizes, labels, operand, number)
    wanted = _output_labels(written, inputs, output)
    terms = [_each_once(operand, labels) for operand, labels in zip(operands, inputs, strict=True)]
    while len(terms) > 1:
        first, second = (0, 1) if len(terms) == 2 else _cheapest(terms, sizes)
        right, left = terms.pop(second), terms.pop(first)
        needed = {*wanted, *(label for _, labels in terms for label in labels)}
        terms.insert(0, _pair(left, right, needed))
    tensor, labels = _summed(*terms[0], set(wanted))
    if labels == wanted:
        return tensor
    return ops.permute(tensor, tuple(labels.index(label) for label in wanted))


def _with_ellipsis(labels: list[Label], operand: Any, number: int) -> list[Label]:
    """The labels with the ellipsis replaced by those of its dims, which are aligned at the last."""
    dims = operand.ndim
    hidden = dims - (len(labels) - (_ELLIPSIS in labels))
    if _ELLIPSIS not in labels:
        if hidden:
            _fail(
                f"the number of subscripts in the equation ({len(labels)}) does not match the number of dimensions "
                f"({dims}) for operand {number} and no ellipsis was given"
            )
        return labels
    if hidden < 0:
        _fail(
            f"the number of subscripts in the equation ({len(labels) - 1}) is more than the number of dimensions "
            f"({dims}) for operand {number}"
        )
    place = labels.index(_ELLIPSIS)
    return [*labels[:place], *range(-hidden, 0), *labels[place + 1 :]]


def _note_sizes(sizes: dict[Label, int], labels: list[Label], operand: Any, number: int) -> None:
    own: dict[Label, int] = {}
    for label, size in zip(labels, operand.shape, strict=True):
        if own.setdefault(label, size) != size:
            _fail(
                f"subscript {_name(label)} is repeated for operand {number} but the sizes don't match, {size} != "
                f"{own[label]}"
            )
    for label, size in own.items():
        seen = sizes.setdefault(label, size)
        if seen == 1:
            sizes[label] = size
        elif size not in (1, seen):
            _fail(
                f"subscript {_name(label)} has size {size} for operand {number} which does not broadcast with "
                f"previously seen size {seen}"
            )


def _output_labels(
    written: list[list[Label]], inputs: list[list[Label]], output: list[Label] | None
) -> list[Label]:
    seen = {label for labels in inputs for label in labels}
    hidden = sorted(label for label in seen if label < 0)
    if output is None:
        uses = [label for labels in written for label in labels]
        return hidden + sorted(label for label in seen if label >= 0 and uses.count(label) == 1)
    for label in output:
        if label != _ELLIPSIS and output.count(label) > 1:
            _fail(f"output subscript {_name(label)} appears more than once in the output")
        if label != _ELLIPSIS and label not in seen:
            _fail(f"output subscript {_name(label)} does not appear in the equation for any input operand")
    return [each for label in output for each in (hidden if label == _ELLIPSIS else [label])]


# Contracting

Term = tuple[Any, list[Label]]  # an operand and the label of each of its dims, none twice


def _each_once(operand: Any, labels: list[Label]) -> Term:
    """The diagonal over every label that is there twice."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        label = next(each for each in labels if labels.count(each) > 1)
        one = labels.index(label)
        two = labels.index(label, one + 1)
        others = [n for n in range(len(labels)) if n not in (one, two)]
        operand = matrix_diagonal(ops.permute(operand, (*others, one, two)))
        labels = [*(labels[n] for n in others), label]
    return operand, labels


def _cheapest(terms: list[Term], sizes: dict[Label, int]) -> tuple[int, int]:
    """The two operands whose product takes the fewest multiplications."""
    pairs = [(one, two) for two in range(len(terms)) for one in range(two)]
    return min(pairs, key=lambda pair: math.prod(sizes[n] for n in {*terms[pair[0]][1], *terms[pair[1]][1]}))


def _summed(tensor: Any, labels: list[Label], needed: set[Label]) -> Term:
    """Summed over what nothing else needs."""
    gone = tuple(number for number, label in enumerate(labels) if label not in needed)
    if not gone:
        return tensor, labels
    return ops.sum(tensor, gone), [label for label in labels if label in needed]


def _without_ones(tensor: Any, labels: list[Label], other: Any, other_labels: list[Label]) -> Term:
    """Without the dims of size 1 that the other has in full: they only broadcast."""
    ones = tuple(
        number
        for number, label in enumerate(labels)
        if tensor.shape[number] == 1 and label in other_labels and other.shape[other_labels.index(label)] != 1
    )
    if not ones:
        return tensor, labels
    return ops.squeeze(tensor, ones), [label for number, label in enumerate(labels) if number not in ones]


def _pair(left: Term, right: Term, needed: set[Label]) -> Term:
    """The product of two operands, summed over the labels that nothing else needs."""
    (a, a_labels), (b, b_labels) = _without_ones(*left, *right), _without_ones(*right, *left)
    a, a_labels = _summed(a, a_labels, needed | set(b_labels))
    b, b_labels = _summed(b, b_labels, needed | set(a_labels))
    shared = [label for label in a_labels if label in b_labels]
    inner = [label for label in shared if label not in needed]
    if not inner:
        return _multiplied(a, a_labels, b, b_labels)
    batch = [label for label in shared if label in needed]
    rows = [label for label in a_labels if label not in shared]
    columns = [label for label in b_labels if label not in shared]
    size = dict(zip(a_labels, a.shape, strict=True)) | dict(zip(b_labels, b.shape, strict=True))
    first = _arranged(a, a_labels, batch, rows, inner, size)
    second = _arranged(b, b_labels, batch, inner, columns, size)
    labels = batch + rows + columns
    return _reshaped(ops.matmul(first, second), tuple(size[label] for label in labels)), labels


def _multiplied(a: Any, a_labels: list[Label], b: Any, b_labels: list[Label]) -> Term:
    """The product of all pairs of elements: nothing is summed."""
    labels = a_labels + [label for label in b_labels if label not in a_labels]
    size = dict(zip(b_labels, b.shape, strict=True))
    order = tuple(b_labels.index(label) for label in labels if label in size)
    if order != tuple(range(len(order))):
        b = ops.permute(b, order)
    a = _reshaped(a, (*a.shape, *(1 for _ in labels[len(a_labels) :])))
    return ops.mul(a, _reshaped(b, tuple(size.get(label, 1) for label in labels))), labels


def _arranged(
    tensor: Any,
    labels: list[Label],
    batch: list[Label],
    rows: list[Label],
    columns: list[Label],
    size: dict[Label, int],
) -> Any:
    """As a batch of matrices: the dims of ``batch`` in front, those of ``rows`` as one, those of ``columns`` as one."""
    order = tuple(labels.index(label) for label in batch + rows + columns)
    if order != tuple(range(len(order))):
        tensor = ops.permute(tensor, order)
    shape = (
        *(size[label] for label in batch),
        math.prod(size[label] for label in rows),
        math.prod(size[label] for label in columns),
    )
    return _reshaped(tensor, shape)


def _reshaped(tensor: Any, shape: tuple[int, ...]) -> Any:
    return tensor if tuple(tensor.shape) == shape else ops.reshape(tensor, shape)
