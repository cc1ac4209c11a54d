"""Connectionist temporal classification: the probability of a row of labels, over all ways to spread it over time.

The labels stand with a blank before, between and behind them. A path may stay, step to the next place, or step over a
blank between two labels that differ; ``alpha`` sums over the paths up to a place, ``beta`` over those from it on, both
as logarithms. Every step in time is one array operation over all sequences and places; on a GPU kernels walk instead.
Source: Graves et al. 2006, section 4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array, is_on_gpu
from distrt.core.errors import DimensionError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.op import IndexArray, op
from distrt.core.ops.pointwise.half import no_derivative

__all__ = ["ctc_loss"]


class Fault(NamedTuple):
    """What may be wrong with lengths and labels; ``{0}`` in the message is the number found, ``{1}`` the bound."""

    message: str
    error: type[Exception] = ShapeError

    def raised(self, number: int, bound: int = 0) -> Exception:
        """The error to raise."""
        return self.error(self.message.format(number, bound))


class Faults(NamedTuple):
    """All that may be, in the order in which kernels have them."""

    few_steps: Fault
    many_steps: Fault
    few_labels: Fault
    long_row: Fault
    other_sum: Fault
    no_class: Fault


PLACE = " (while checking arguments for ctc_loss_allocate_outputs)"

FAULTS = Faults(
    Fault(f"Expected input_lengths to have value at least 0, but got value {{0}}{PLACE}"),
    Fault(f"Expected input_lengths to have value at most {{1}}, but got value {{0}}{PLACE}"),
    Fault(f"Expected target_lengths to have value at least 0, but got value {{0}}{PLACE}"),
    Fault(
        "Expected tensor to have size at least {0} at dimension 1, but got size {1} for argument #2 "
        f"'targets'{PLACE}"
    ),
    Fault(
        f"Expected tensor to have size {{0}} at dimension 0, but got size {{1}} for argument #2 'targets'{PLACE}"
    ),
    Fault("ctc_loss: target {0} is out of bounds for {1} classes, the blank among them", DimensionError),
)


@op(node="CtcLoss", aux=("alpha",))
def ctc_loss(
    log_probs: Array,
    targets: IndexArray,
    input_lengths: IndexArray,
    target_lengths: IndexArray,
    blank: int,
    zero_infinity: bool,
) -> Any:
    """The negative log probability of each row of labels.

    Shape: (T, N, C), (N, S), (N), (N) -> (N). Labels behind their row's length may be anything. On a GPU all labels may
    be in one row.
    """
    if is_on_gpu(log_probs):
        return on_gpu.ctc.losses(log_probs, targets, input_lengths, target_lengths, blank, FAULTS)
    steps, count = log_probs.shape[:2]
    places = _with_blanks(targets, target_lengths, blank)
    at_places = _at_places(log_probs, places)
    alpha = np.full((max(steps, 1), count, places.shape[1]), -np.inf)
    alpha[0, :, :2] = at_places[0, :, :2]
    alpha[0, target_lengths == 0, 1:] = -np.inf
    may_skip = _may_skip(places)
    for step in range(1, steps):
        alpha[step] = at_places[step] + _arriving(alpha[step - 1], may_skip)
    return _final(alpha, input_lengths, target_lengths).astype(log_probs.dtype), alpha


def _with_blanks(targets: Array, target_lengths: Array, blank: int) -> Array:
    """The labels with a blank around each. Shape: (N, S) -> (N, 2S + 1)."""
    inside = np.arange(targets.shape[1]) < target_lengths[:, None]
    places = np.full((targets.shape[0], 2 * targets.shape[1] + 1), blank)
    places[:, 1::2] = np.where(inside, targets, blank)
    return places


def _at_places(log_probs: Array, places: Array) -> Array:
    """The log probability of each place's label at each step, in float64. Shape: (T, N, places)."""
    everywhere = np.broadcast_to(places, (log_probs.shape[0], *places.shape))
    return np.take_along_axis(log_probs, everywhere, 2).astype(np.float64)


def _may_skip(places: Array) -> Array:
    """Where a path may come from two places before: at labels that differ from the last one."""
    may_skip = np.zeros(places.shape, bool)
    may_skip[:, 3::2] = places[:, 3::2] != places[:, 1:-2:2]
    return may_skip


def _arriving(before: Array, may_skip: Array) -> Array:
    """The sum over the ways to each place: from itself, from the last place, and from the one before that."""
    stepped, skipped = np.full_like(before, -np.inf), np.full_like(before, -np.inf)
    stepped[:, 1:] = before[:, :-1]
    skipped[:, 2:] = np.where(may_skip[:, 2:], before[:, :-2], -np.inf)
    return np.logaddexp(np.logaddexp(before, stepped), skipped)


def _final(alpha: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """The loss: the paths that end at the last label or at the blank behind it."""
    rows = np.arange(alpha.shape[1])
    last = alpha[input_lengths - 1, rows]
    in_blank = last[rows, 2 * target_lengths]
    in_label = np.where(target_lengths > 0, last[rows, np.maximum(2 * target_lengths - 1, 0)], -np.inf)
    without_steps = np.where(target_lengths == 0, 0.0, np.inf)
    return np.where(input_lengths == 0, without_steps, -np.logaddexp(in_blank, in_label))


ctc_loss.gradient(
    log_probs=lambda g, log_probs, targets, input_lengths, target_lengths, out, alpha, blank, zero_infinity: (
        _slope(g, log_probs, targets, input_lengths, target_lengths, out, alpha, blank, zero_infinity)
    )
)


def _slope(*arguments: Any) -> Any:
    return _ctc_loss_backward(*arguments)


@op()
def _ctc_loss_backward(
    g: Array,
    log_probs: Array,
    targets: IndexArray,
    input_lengths: IndexArray,
    target_lengths: IndexArray,
    losses: IndexArray,
    alpha: IndexArray,
    blank: int,
    zero_infinity: bool,
) -> Array:
    """The gradient for probabilities that sum to 1, as PyTorch's: ``exp(log_probs)`` minus the share of the paths."""
    if is_on_gpu(log_probs):
        given = (log_probs, targets, input_lengths, target_lengths, alpha)
        return on_gpu.ctc.slopes(g, *given, blank, zero_infinity)
    steps, count, classes = log_probs.shape
    places = _with_blanks(targets, target_lengths, blank)
    through = alpha + _beta(_at_places(log_probs, places), places, input_lengths, target_lengths)
    peak = through.max(axis=2, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    label = np.arange(steps * count).reshape(steps, count, 1) * classes + places
    shares = np.bincount(label.ravel(), np.exp(through - peak).ravel(), steps * count * classes)
    logs = np.log(shares.reshape(log_probs.shape)) + peak
    wide = log_probs.astype(np.float64)
    slope = (np.exp(wide) - np.exp(logs + losses[:, None].astype(np.float64) - wide)) * g[:, None]
    unused = np.arange(steps)[:, None] >= input_lengths
    if zero_infinity:
        unused = unused | np.isposinf(losses)
    slope[unused] = 0
    return slope.astype(log_probs.dtype)


def _beta(at_places: Array, places: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """The sums over the paths from each place on, its own label included."""
    steps, count, width = at_places.shape
    rows = np.arange(count)
    end = np.full((count, width), -np.inf)
    end[rows, 2 * target_lengths] = 0.0
    end[rows, np.maximum(2 * target_lengths - 1, 0)] = 0.0
    beta = np.full(at_places.shape, -np.inf)
    after = np.full((count, width), -np.inf)
    may_skip = _may_skip(places)
    # A path may leave a place for the one two further if that one may be skipped to: the mirror image of alpha.
    mirrored = np.zeros_like(may_skip)
    mirrored[:, 2:] = may_skip[:, :1:-1]
    for step in reversed(range(steps)):
        onward = _arriving(after[:, ::-1], mirrored)[:, ::-1]
        after = at_places[step] + np.where((input_lengths == step + 1)[:, None], end, onward)
        beta[step] = after
    return beta


for _name in ("g", "log_probs"):
    _ctc_loss_backward.gradient(**{_name: lambda g: no_derivative("_ctc_loss_backward")})
