"""Embeddings: rows of a table by number, one by one or reduced in bags."""

from __future__ import annotations

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, filled, is_meta, known, on_host
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.modes import no_grad
from distrt.core.ops.nn.embedding import require_rows
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["embedding", "embedding_bag"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that ``input`` names. Shape: any, (rows, features) -> (…, features).

    Args:
        input: numbers of rows, int32 or int64.
        weight: the table.
        padding_idx: the row that gets no gradient.
        max_norm: first scale the named rows with a larger norm down to it, in place and outside the graph.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often it is named.
        sparse: accepted for compatibility; the gradient has the same values, as an ordinary tensor.

    Raises:
        DimensionError: for a number out of range; negative ones are.
        DtypeError: for numbers that are not int32 or int64.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"embedding(): argument 'indices' (position 2) must be Tensor, not {type(input).__name__}"
        )
    padding = -1 if padding_idx is None else _counted_from_the_front(padding_idx, weight.shape[0])
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding, scale_grad_by_freq, sparse)  # type: ignore[no-any-return]


def _counted_from_the_front(padding_idx: int, rows: int) -> int:
    if not -rows <= padding_idx < max(rows, 1):
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % max(rows, 1)


def _renormalise(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the named rows whose norm is larger down to ``max_norm``, in place."""
    require_rows("embedding_renorm_", input._array)
    named = np.unique(input._array)
    rows = weight.shape[0]
    wrong = named[(named < 0) | (named >= rows)]
    if wrong.size:
        raise DimensionError(
            f"select(): index {wrong[0]} out of range for tensor of size {list(weight.shape)} at dimension 0"
        )
    with no_grad():
        norms = ops.linalg_vector_norm(ops.index_select(weight, 0, wrap(named)), norm_type, 1)
        large = wrap(named)[norms > max_norm]
        if large.numel():
            scale = max_norm / (norms[norms > max_norm] + 1e-7)
            weight[large] = (ops.index_select(weight, 0, large) * scale.unsqueeze(1)).to(weight.dtype)


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
        sparse: accepted for compatibility; the gradient has the same values, as an ordinary tensor.
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
        _renormalise(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    places, starts, stop = _bags(input, offsets, include_last_offset)
    _require_dtypes(input, weight, per_sample_weights)
    used = _used(places[:stop], weight, padding_idx)
    count = len(starts)
    if is_meta(places):  # which of them are in which bag, nobody knows
        number = np.empty(places.shape, np.int64, like=places)
    else:
        number = np.asarray(np.repeat(np.arange(count), np.diff(starts, append=stop)), like=places)[used]
        places = places[:stop][used]
    if mode == "max":
        return ops.bag_max(weight, wrap(places), wrap(number), count)  # type: ignore[no-any-return]
    if per_sample_weights is None:
        mean = mode == "mean"
        return ops.bag_sum(weight, wrap(places), wrap(number), count, mean, scale_grad_by_freq)  # type: ignore[no-any-return]
    factors = ops.reshape(per_sample_weights, (-1,))
    if len(places) < factors.numel():
        factors = ops.index_select(factors, 0, wrap(np.flatnonzero(used)))
    return ops.weighted_bag_sum(  # type: ignore[no-any-return]
        weight, factors, wrap(places), wrap(number), count, scale_grad_by_freq
    )


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


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Array, Array, int]:
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
    starts = on_host(offsets._array).astype(np.int64)
    if include_last_offset and not starts.size:
        raise ShapeError("include_last_offset: number of offset should be at least 1")
    if starts.size and starts[0] != 0:
        raise ShapeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {starts[0]}"
        )
    if starts.size and starts[-1] > places.size:
        raise ShapeError(
            f"offsets[-1] can not be greater than input's length {places.size} but got offsets[-1] of {starts[-1]}"
        )
    if (np.diff(starts) < 0).any():
        raise ShapeError(f"offsets must not decrease, but got {starts.tolist()}")
    if include_last_offset:
        return places, starts[:-1], int(starts[-1])
    return places, starts, places.size if starts.size else 0


def _used(places: Array, weight: Tensor, padding_idx: int | None) -> Array:
    """Which numbers take part: all but ``padding_idx``."""
    rows = weight.shape[0]
    wrong = (places < 0) | (places >= rows)
    if known(wrong.any()):
        raise ShapeError(
            f"embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {places[wrong][0]}"
        )
    if padding_idx is None:
        return filled(places.shape, True, np.bool_, places)
    if not -rows <= padding_idx < rows:
        raise ShapeError(
            f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but got {padding_idx}"
        )
    return as_array(places != padding_idx % rows)
