"""Rows of a table by number, reduced in bags."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, filled, is_meta, is_on_gpu
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.gpu.places import apart, at
from distrt.core.modes import used
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.nn.embedding import require_rows
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap
from distrt.nn.functional.embedding import renormalise

__all__ = ["embedding_bag"]


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows that each bag names; zeros for an empty bag. Shape: -> (bags, features).

    Args:
        input: numbers of rows: each row of a 2-d tensor is a bag; a 1-d tensor is cut at ``offsets``.
        weight: the table.
        offsets: where each bag starts, beginning with 0.
        max_norm: first scale the named rows with a larger norm down to it, in place and outside the graph.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is named; not for "max".
        mode: "sum", "mean" or "max".
        sparse: the weight's gradient is a sparse tensor of the named rows, for SparseAdam, SGD or Adagrad.
        per_sample_weights: a factor for each number in ``input``, for "sum" only.
        include_last_offset: the last offset is not a start but the end of the last bag.
        padding_idx: the row that counts in no bag.

    Raises:
        ShapeError: for offsets or numbers out of range.
        ValueError: for arguments that do not go together.
    """
    if weight.dtype == dt.int64 and input.dtype.is_floating_point:
        warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`."
        )
        weight, input = input, weight
    _require_arguments(input, weight, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights)
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    _require_dtypes(input, weight, per_sample_weights)
    if used.gpu and offsets is not None and offsets.device != input.device:
        raise apart("embedding_bag", input.device, offsets.device)
    find = _bags_there if is_on_gpu(input._array) else _bags
    bags = find(input, offsets, include_last_offset, weight.shape[0], padding_idx)
    if bags.has_outside and (mode == "max" or scale_grad_by_freq):
        bags = bags.without_outside()
    places, number, count = wrap(bags.places), wrap(bags.number), bags.total + bags.has_outside
    if mode == "max":
        out = ops.bag_max(weight, places, number, count)
    elif per_sample_weights is None:
        out = ops.bag_sum(weight, places, number, count, mode == "mean", scale_grad_by_freq, sparse)
    else:
        factors = ops.reshape(per_sample_weights, (-1,))
        if len(places) < factors.numel():
            factors = ops.index_select(factors, 0, wrap(np.flatnonzero(bags.used)))
        out = ops.weighted_bag_sum(weight, factors, places, number, count, scale_grad_by_freq, sparse)
    return out[: bags.total] if bags.has_outside else out  # type: ignore[no-any-return]


class _Bags(NamedTuple):
    """What the bags name.

    Attributes:
        places: numbers of rows.
        number: the bag of each.
        total: how many bags there are.
        used: which elements of the input these are.
        has_outside: whether one more bag has what is in none: to leave it out, its size would have to be known.
    """

    places: Array
    number: Array
    total: int
    used: Array
    has_outside: bool = False

    def without_outside(self) -> _Bags:
        """The same without the bag of what is in none, for which the program waits."""
        with at(self.places):
            used = self.number < self.total
            return _Bags(self.places[used], self.number[used], self.total, used)


def _require_arguments(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    scale_grad_by_freq: bool,
    mode: str,
    sparse: bool,
    per_sample_weights: Tensor | None,
) -> None:
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if input.ndim not in (1, 2):
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if input.ndim == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
            f"sequences. However, found offsets of type {type(offsets)}"
        )
    if input.ndim == 1 and (offsets is None or offsets.ndim != 1):
        raise ValueError("offsets has to be a 1D Tensor" + (" but got None" if offsets is None else ""))
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")


def _require_dtypes(input: Tensor, weight: Tensor, per_sample_weights: Tensor | None) -> None:
    require_rows("embedding_bag", input._array)
    if not weight.dtype.is_floating_point:
        raise DtypeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half, BFloat16, "
            f"Float, Double; but got torch.{scalar_type(weight)}Tensor instead (while checking arguments for "
            "embedding_bag)"
        )
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise DtypeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
            f"'per_sample_weights'; but type torch.{scalar_type(weight)}Tensor does not equal "
            f"torch.{scalar_type(per_sample_weights)}Tensor (while checking arguments for embedding_bag)"
        )


def _bags(
    input: Tensor, offsets: Tensor | None, include_last_offset: bool, rows: int, padding_idx: int | None
) -> _Bags:
    places, starts, stop = _starts(input, offsets, include_last_offset)
    used = _used(places[:stop], rows, padding_idx)
    count = len(starts)
    if is_meta(places):  # which of them are in which bag, nobody knows
        return _Bags(places, np.empty(places.shape, np.int64, like=places), count, used)
    number = np.repeat(np.arange(count), np.diff(starts, append=stop))
    return _Bags(places[:stop][used], number[used], count, used)


def _starts(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Array, Array, int]:
    """All numbers in one row, where the bags start in it, and where the last one stops."""
    places = input._array.reshape(-1)
    if offsets is None:
        bags, width = input.shape
        if not width:
            raise ShapeError("step must be nonzero")
        return places, np.arange(bags) * width, places.size
    require_rows("embedding_bag", offsets._array)
    if offsets.is_meta:
        return places, offsets._array[: len(offsets) - include_last_offset], places.size
    starts = offsets._array.astype(np.int64)
    _require_starts(starts, places.size, include_last_offset)
    if include_last_offset:
        return places, starts[:-1], int(starts[-1])
    return places, starts, places.size if starts.size else 0


def _require_starts(starts: Array, size: int, include_last_offset: bool) -> None:
    """Offsets begin with 0, do not decrease, and lie in the input; on a GPU that is told where the program waits."""
    if include_last_offset and not starts.size:
        raise ShapeError("include_last_offset: number of offset should be at least 1")
    first = (
        "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
    )
    last = "offsets[-1] can not be greater than input's length %s but got offsets[-1] of {0}"
    order = "offsets must not decrease, but one differs from the one before it by {0}"
    require_range(starts[:1], 0, 1, f"{first}However, got {{0}}", error=ShapeError)
    require_range(starts[-1:], -(2**63), size + 1, last, size, error=ShapeError)
    require_range(np.diff(starts), 0, 2**63 - 1, order, error=ShapeError)


def _used(places: Array, rows: int, padding_idx: int | None) -> Array:
    """Which numbers take part: all but ``padding_idx``."""
    _require_rows(places, rows)
    padding = _padding(padding_idx, rows)
    return filled(places.shape, True, np.bool_, places) if padding is None else as_array(places != padding)


def _require_rows(places: Array, rows: int) -> None:
    said = "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {0}"
    require_range(places, 0, rows, said, error=ShapeError)


def _padding(padding_idx: int | None, rows: int) -> int | None:
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ShapeError(
            f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but got {padding_idx}"
        )
    return padding_idx % rows


def _bags_there(
    input: Tensor, offsets: Tensor | None, include_last_offset: bool, rows: int, padding_idx: int | None
) -> _Bags:
    """As `_bags`, of what is on a GPU, without a wait."""
    places = input._array.reshape(-1)
    with at(places):
        _require_rows(places, rows)
        order, padding = np.arange(places.size, like=places), _padding(padding_idx, rows)
        if offsets is None:
            count, width = input.shape
            if not width:
                raise ShapeError("step must be nonzero")
            number = order // width
        else:
            starts = offsets._array
            require_rows("embedding_bag", starts)
            _require_starts(starts, places.size, include_last_offset)
            number = np.searchsorted(starts, order, side="right") - 1
            count = starts.size - include_last_offset
        has_outside = padding is not None or include_last_offset or not count
        if padding is not None:
            number = np.where(places == padding, count, number)
        if has_outside:
            number = np.where(number < 0, count, number)  # where there is no bag at all
        return _Bags(places, number, count, order, has_outside)
