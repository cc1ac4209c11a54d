"""Connectionist temporal classification, for targets whose places in time are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import on_host
from distrt.core.autocast import autocasts
from distrt.core.creation import tensor
from distrt.core.errors import DimensionError, DtypeError, NoKernelError, ShapeError
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import Tensor
from distrt.nn.functional.reductions import reduced, reduction_of, require_tensors

__all__ = ["ctc_loss"]

Lengths = Tensor | Sequence[int]


@autocasts("full")
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative log probability of each row of labels, over all ways to spread it over the time steps.

    The mean is over the batch, of each loss divided by its target's length. As PyTorch's, the gradient supposes that
    ``log_probs`` came out of a log-softmax, and cannot itself be differentiated.

    Shape: (T, N, C), (N, S) or all labels in one row, (N), (N) -> () or (N); or (T, C), (S), (), ().
    """
    reduction = reduction_of(reduction)
    require_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    is_batched = log_probs.ndim == 3
    logs = log_probs if is_batched else ops.unsqueeze(log_probs, 1)
    lengths = [
        _integers(name, given)
        for name, given in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    ]
    _check(logs, blank, *lengths)
    labels = _padded(targets, lengths[1], logs.shape[1], logs.shape[2])
    losses = ops.ctc_loss(logs.cpu(), labels, *lengths, blank, zero_infinity).to(logs.device)  # the CPU walks
    if zero_infinity:
        losses = ops.where(ops.isposinf(losses), 0.0, losses)
    if reduction == "mean":
        counts = tensor(np.maximum(lengths[1], 1), dtype=losses.dtype, device=losses.device)
        return ops.mean(ops.true_divide(losses, counts))  # type: ignore[no-any-return]
    return reduced(losses if is_batched or reduction == "sum" else ops.squeeze(losses, 0), reduction)


def _integers(name: str, lengths: Lengths) -> np.ndarray[Any, Any]:
    """The lengths as a row of integers, however they came."""
    if isinstance(lengths, Tensor):
        if lengths._array.dtype.kind not in "iu":
            raise DtypeError(f"{name} must be integral")
        return np.asarray(on_host(lengths._array).reshape(-1), np.int64)
    return np.asarray([int(each) for each in lengths], np.int64)


def _check(
    log_probs: Tensor, blank: int, input_lengths: np.ndarray[Any, Any], target_lengths: np.ndarray[Any, Any]
) -> None:
    if not log_probs.numel():
        raise ShapeError("log_probs tensor must not be empty")
    if log_probs.ndim != 3:
        raise ShapeError(
            f"Expected 3-dimensional tensor, but got {log_probs.ndim}-dimensional tensor for argument #1 "
            f"'log_probs'{_PLACE}"
        )
    if str(log_probs.dtype) not in ("torch.float32", "torch.float64"):
        raise NoKernelError(f"\"ctc_loss_cpu\" not implemented for '{scalar_type(log_probs)}'")
    steps, count, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ShapeError("blank must be in label range")
    for name, lengths, most in (
        ("input_lengths", input_lengths, steps),
        ("target_lengths", target_lengths, None),
    ):
        if lengths.size != count:
            raise ShapeError(f"{name} must be of size batch_size")
        if lengths.min() < 0:
            raise ShapeError(
                f"Expected {name} to have value at least 0, but got value {lengths.min()}{_PLACE}"
            )
        if most is not None and lengths.max() > most:
            raise ShapeError(
                f"Expected {name} to have value at most {most}, but got value {lengths.max()}{_PLACE}"
            )


_PLACE = " (while checking arguments for ctc_loss_allocate_outputs)"


def _padded(targets: Tensor, lengths: np.ndarray[Any, Any], count: int, classes: int) -> np.ndarray[Any, Any]:
    """The labels, a row for each sequence; those behind its length are of no meaning.

    Raises:
        DimensionError: for a label that is no class.
    """
    labels = on_host(targets.detach()._array).astype(np.int64)
    inside = np.arange(lengths.max()) < lengths[:, None]
    if labels.ndim == 1:
        if labels.size != lengths.sum():
            raise ShapeError(
                f"Expected tensor to have size {lengths.sum()} at dimension 0, but got size {labels.size} for argument "
                f"#2 'targets'{_PLACE}"
            )
        rows = np.zeros(inside.shape, np.int64)
        rows[inside] = labels
    else:
        _check_rows(labels, lengths, count)
        rows = labels[:, : inside.shape[1]]
    wrong = inside & ((rows < 0) | (rows >= classes))
    if wrong.any():
        raise DimensionError(
            f"ctc_loss: target {rows[wrong][0]} is out of bounds for {classes} classes, the blank among them"
        )
    return rows


def _check_rows(labels: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any], count: int) -> None:
    if labels.ndim != 2:
        raise ShapeError(
            f"Expected 1 to 2 dimensions, but got {labels.ndim}-dimensional tensor for argument #2 'targets'{_PLACE}"
        )
    if labels.shape[0] != count:
        raise ShapeError(
            f"Expected tensor to have size {count} at dimension 0, but got size {labels.shape[0]} for argument #2 "
            f"'targets'{_PLACE}"
        )
    if labels.shape[1] < lengths.max():
        raise ShapeError(
            f"Expected tensor to have size at least {lengths.max()} at dimension 1, but got size {labels.shape[1]} for "
            f"argument #2 'targets'{_PLACE}"
        )
