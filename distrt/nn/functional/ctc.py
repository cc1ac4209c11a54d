"""Connectionist temporal classification, for targets whose places in time are not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu, on_host
from distrt.core.autocast import autocasts
from distrt.core.dtypes.dtype import int64
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.gpu.places import device_of, moved
from distrt.core.ops.nn.ctc import FAULTS, PLACE
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import Tensor, wrap
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
    ``log_probs`` came out of a log-softmax, and cannot itself be differentiated. On a GPU the program does not wait;
    lengths on the CPU are copied there, and what is wrong with others is raised where the program waits next.

    Shape: (T, N, C), (N, S) or all labels in one row, (N), (N) -> () or (N); or (T, C), (S), (), ().
    """
    reduction = reduction_of(reduction)
    require_tensors("ctc_loss", log_probs=log_probs, targets=targets)
    is_batched = log_probs.ndim == 3
    logs = log_probs if is_batched else ops.unsqueeze(log_probs, 1)
    given = (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    lengths = [_integers(name, each, logs) for name, each in given]
    _check(logs, blank, *lengths)
    labels = (_on_gpu if is_on_gpu(logs._array) else _padded)(targets, lengths[1], logs)
    beside = [moved(each, device_of(logs._array)) for each in (labels, *lengths)]
    losses = ops.ctc_loss(logs, *beside, blank, zero_infinity)
    if zero_infinity:
        losses = ops.where(ops.isposinf(losses), 0.0, losses)
    if reduction == "mean":
        counts = ops.clamp(wrap(beside[2]), min=1).to(losses.dtype)
        return ops.mean(ops.true_divide(losses, counts))  # type: ignore[no-any-return]
    return reduced(losses if is_batched or reduction == "sum" else ops.squeeze(losses, 0), reduction)


def _integers(name: str, lengths: Lengths, logs: Tensor) -> Array:
    """The lengths as a row of integers, however they came; on a GPU where they and the probabilities are there."""
    if not isinstance(lengths, Tensor):
        return np.asarray([int(each) for each in lengths], np.int64)
    if lengths._array.dtype.kind not in "iu":
        raise DtypeError(f"{name} must be integral")
    row = lengths.detach().reshape(-1).to(int64)._array
    return row if is_on_gpu(logs._array) else on_host(row)


def _check(log_probs: Tensor, blank: int, input_lengths: Array, target_lengths: Array) -> None:
    """Looks at sizes, and at lengths that are on the CPU: others are looked at where they are."""
    if not log_probs.numel():
        raise ShapeError("log_probs tensor must not be empty")
    if log_probs.ndim != 3:
        raise ShapeError(
            f"Expected 3-dimensional tensor, but got {log_probs.ndim}-dimensional tensor for argument #1 "
            f"'log_probs'{PLACE}"
        )
    if str(log_probs.dtype) not in ("torch.float32", "torch.float64"):
        raise NoKernelError(
            f"\"ctc_loss_{log_probs.device.type}\" not implemented for '{scalar_type(log_probs)}'"
        )
    steps, count, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ShapeError("blank must be in label range")
    for name, lengths, few in (
        ("input_lengths", input_lengths, FAULTS.few_steps),
        ("target_lengths", target_lengths, FAULTS.few_labels),
    ):
        if lengths.size != count:
            raise ShapeError(f"{name} must be of size batch_size")
        if not is_on_gpu(lengths) and lengths.min() < 0:
            raise few.raised(lengths.min())
    if not is_on_gpu(input_lengths) and input_lengths.max() > steps:
        raise FAULTS.many_steps.raised(input_lengths.max(), steps)


def _on_gpu(targets: Tensor, lengths: Array, logs: Tensor) -> Array:
    """The labels as they are; whether they are classes is looked at on the GPU."""
    labels = targets.detach()._array
    _check_labels(labels, lengths, logs.shape[1])
    return labels


def _padded(targets: Tensor, lengths: Array, logs: Tensor) -> Array:
    """The labels, a row for each sequence; those behind its length are of no meaning.

    Raises:
        DimensionError: for a label that is no class.
    """
    labels, classes = on_host(targets.detach()._array).astype(np.int64), logs.shape[2]
    _check_labels(labels, lengths, logs.shape[1])
    inside = np.arange(lengths.max()) < lengths[:, None]
    if labels.ndim == 1:
        rows = np.zeros(inside.shape, np.int64)
        rows[inside] = labels
    else:
        rows = labels[:, : inside.shape[1]]
    wrong = inside & ((rows < 0) | (rows >= classes))
    if wrong.any():
        raise FAULTS.no_class.raised(rows[wrong][0], classes)
    return rows


def _check_labels(labels: Array, lengths: Array, count: int) -> None:
    """Looks at the labels' sizes, and whether as many are there as lengths say that are on the CPU."""
    if labels.ndim not in (1, 2):
        raise ShapeError(
            f"Expected 1 to 2 dimensions, but got {labels.ndim}-dimensional tensor for argument #2 'targets'{PLACE}"
        )
    if labels.ndim == 2 and labels.shape[0] != count:
        raise ShapeError(
            f"Expected tensor to have size {count} at dimension 0, but got size {labels.shape[0]} for argument #2 "
            f"'targets'{PLACE}"
        )
    if is_on_gpu(lengths):
        return
    if labels.ndim == 1 and labels.size != lengths.sum():
        raise FAULTS.other_sum.raised(lengths.sum(), labels.size)
    if labels.ndim == 2 and labels.shape[1] < lengths.max():
        raise FAULTS.long_row.raised(lengths.max(), labels.shape[1])
