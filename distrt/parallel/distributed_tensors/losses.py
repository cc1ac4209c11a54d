"""The cross entropy of logits of which each rank has some classes: no rank ever has all of them.

Ranks exchange three numbers for each row: the largest logit, the sum of exponentials, and the target's logit.
Source: Shoeybi et al., *Megatron-LM*, 2019, section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core import ops
from distrt.core.arrays import array_module, largest
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.ops.nn.class_losses import require_classes
from distrt.core.tensor import Tensor, wrap
from distrt.parallel.distributed_tensors.layout import Layout
from distrt.parallel.distributed_tensors.placements import Partial, Replicate, parts
from distrt.parallel.distributed_tensors.redistribution import moved

__all__ = ["cross_entropy_over_ranks"]


def cross_entropy_over_ranks(
    local: Tensor,
    layout: Layout,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """The cross entropy of logits that are cut by class with class indices, the same on every rank.

    Args:
        local: this rank's classes of the logits.
        layout: how the logits lie.
        target: class indices, on every rank.
        weight: of each class, on every rank.
        ignore_index, reduction: as ``cross_entropy`` has them.
        label_smoothing: 0.

    Shape: the logits are (N, C, …) or (C), with (N, …) or () class indices.

    Raises:
        UnsupportedError: targets are probabilities, labels are to be smoothed, or two dims of the mesh are in use.
        ShapeError: there is not one target for each row.
        DimensionError: a target is no class.
    """
    if label_smoothing or target.is_floating_point() or layout.device_mesh.ndim > 1:
        raise UnsupportedError(
            "cross_entropy: of logits that are cut by class: over a mesh of one dim, with class indices and without "
            "label_smoothing; or give full_tensor()"
        )
    dim, mesh = layout.dim, layout.device_mesh
    group = mesh.get_group(0)
    rows = Layout(mesh, (Partial(),), (*layout.shape[:dim], *layout.shape[dim + 1 :]))
    if target.shape != rows.shape:
        raise ShapeError(f"Expected target size {list(rows.shape)}, got {list(target.shape)}")
    require_classes(target._array, layout.shape[dim], ignore_index)
    mine = parts(layout.shape[dim], group.size())[group.rank()]
    shifted = local - _highest(local, dim, group).unsqueeze(dim)
    total = moved(ops.sum(ops.exp(shifted), dim), rows, (Replicate(),))
    terms = ops.log(total) - moved(_picked(shifted, dim, mine, target), rows, (Replicate(),))
    return _reduced(terms, target, weight, ignore_index, reduction)


def _highest(local: Tensor, dim: int, group: ProcessGroup) -> Tensor:
    """The largest logit of each row, over all ranks: a constant that the loss does not depend on."""
    xp, array = array_module(local._array), local._array
    found = np.maximum(largest(array, dim).squeeze(dim), np.finfo(np.float32).min).astype(array.dtype)
    found = xp.array(found, order="C", ndmin=0)
    group.all_reduce(found, ReduceOp.MAX).wait()
    return wrap(found)


def _picked(shifted: Tensor, dim: int, mine: slice, target: Tensor) -> Tensor:
    """The target's logit on the rank that has it, 0 on the others."""
    if mine.start == mine.stop:
        return ops.sum(shifted, dim)  # type: ignore[no-any-return]
    outside: Any = (target < mine.start) | (target >= mine.stop)
    index = (target - mine.start).masked_fill(outside, 0).unsqueeze(dim)
    return ops.gather(shifted, dim, index).squeeze(dim).masked_fill(outside, 0)  # type: ignore[no-any-return]


def _reduced(
    terms: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    ignored = ops.eq(target, ignore_index)
    terms = terms.masked_fill(ignored, 0)
    if weight is not None:
        each = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0)
        terms = terms * each
    if reduction == "none":
        return terms
    if reduction == "sum":
        return terms.sum()
    return terms.sum() / ((~ignored).sum() if weight is None else each.sum())
