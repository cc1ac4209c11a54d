"""A line search for the strong Wolfe conditions: the loss has fallen enough, and its slope has flattened enough.

Lengths, losses and slopes are Python numbers or tensors of no dims, whatever the caller has.
Source: Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6; the safeguards are those of minFunc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Evaluate = Callable[[Any], tuple[Any, Any]]


class _Point(NamedTuple):
    """A place on the line."""

    length: Any
    loss: Any
    gradient: Any
    slope: Any


def strong_wolfe(
    evaluate: Evaluate,
    length: Any,
    direction: Any,
    loss: Any,
    gradient: Any,
    slope: Any,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[Any, Any, Any, int]:
    """Finds a length; returns loss and gradient there, the length, and how often it has evaluated.

    Args:
        evaluate: loss and gradient at a length along the line.
        length: the first guess.
        direction: of the line.
        loss: at the start, as are ``gradient`` and ``slope``, which is along the line.
        gradient: at the start.
        slope: at the start; negative.
        c1: of the sufficient decrease.
        c2: of the curvature condition.
        tolerance_change: the least distance between the ends of the bracket.
        max_ls: evaluations after the first.
    """
    start = _Point(0, loss, _copy(gradient), slope)
    bracket, is_found, count = _bracket(evaluate, length, direction, start, c1, c2, max_ls)
    if not is_found:
        count = _zoom(evaluate, bracket, direction, start, c1, c2, tolerance_change, max_ls, count)
    best = bracket[0] if bracket[0].loss <= bracket[-1].loss else bracket[-1]
    return best.loss, best.gradient, best.length, count + 1


def _bracket(
    evaluate: Evaluate, length: Any, direction: Any, start: _Point, c1: float, c2: float, max_ls: int
) -> tuple[list[_Point], bool, int]:
    """Walks on until a good length lies between two points, or is found."""
    before, now = start, _at(evaluate, length, direction)
    count = 0
    while count < max_ls:
        has_risen = now.loss > start.loss + c1 * now.length * start.slope
        if has_risen or (count > 1 and now.loss >= before.loss):
            return [before, now], False, count
        if abs(now.slope) <= -c2 * start.slope:
            return [now], True, count
        if now.slope >= 0:
            return [before, now], False, count
        bounds = now.length + 0.01 * (now.length - before.length), now.length * 10
        length = _minimum_of_cubic(before, now, bounds)
        before, now = now, _at(evaluate, length, direction)
        count += 1
    return [start, now], False, count


def _zoom(
    evaluate: Evaluate,
    bracket: list[_Point],
    direction: Any,
    start: _Point,
    c1: float,
    c2: float,
    tolerance: float,
    max_ls: int,
    count: int,
) -> int:
    """Narrows the bracket, in place, until one of its ends will do; returns the new count of evaluations."""
    span = direction.abs().max()
    low = 0 if bracket[0].loss <= bracket[-1].loss else 1
    was_near_an_end = False
    while count < max_ls:
        if abs(bracket[1].length - bracket[0].length) * span < tolerance:
            break
        length, was_near_an_end = _inside(bracket, was_near_an_end)
        now = _at(evaluate, length, direction)
        count += 1
        high = 1 - low
        if now.loss > start.loss + c1 * length * start.slope or now.loss >= bracket[low].loss:
            bracket[high] = now
            low = 0 if bracket[0].loss <= bracket[1].loss else 1
            continue
        is_flat = abs(now.slope) <= -c2 * start.slope
        if not is_flat and now.slope * (bracket[high].length - bracket[low].length) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
        if is_flat:
            break
    return count


def _inside(bracket: list[_Point], was_near_an_end: bool) -> tuple[Any, bool]:
    """A length inside the bracket, kept off its ends where two in a row came near one."""
    length = _minimum_of_cubic(bracket[0], bracket[1])
    shortest = min(point.length for point in bracket)
    longest = max(point.length for point in bracket)
    margin = 0.1 * (longest - shortest)
    if min(longest - length, length - shortest) >= margin:
        return length, False
    if not was_near_an_end and shortest < length < longest:
        return length, True
    is_long = abs(length - longest) < abs(length - shortest)
    return longest - margin if is_long else shortest + margin, False


def _minimum_of_cubic(a: _Point, b: _Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """The minimum of the cubic through both losses and slopes, between bounds; their middle where there is none."""
    if a.length > b.length:
        a, b = b, a
    low, high = (a.length, b.length) if bounds is None else bounds
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    squared = d1**2 - a.slope * b.slope
    if squared < 0:
        return (low + high) / 2.0
    d2 = squared.sqrt()
    length = b.length - (b.length - a.length) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(length, low), high)


def _at(evaluate: Evaluate, length: Any, direction: Any) -> _Point:
    loss, gradient = evaluate(length)
    return _Point(length, loss, _copy(gradient), gradient.dot(direction))


def _copy(gradient: Any) -> Any:
    return gradient.clone()
