"""Sequences of different lengths: padded to one length, or packed without padding for the recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from distrt.core import ops
from distrt.core.arrays import on_host
from distrt.core.creation import arange, as_tensor, empty_like, from_numpy, full
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):  # noqa: N801 - PyTorch's name
    """The fields of a :class:`PackedSequence`."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """The elements of several sequences, all first ones, then all second ones, and so on, longest sequence first.

    Made by :func:`pack_padded_sequence` and :func:`pack_sequence`; every recurrent layer takes and returns it.

    Attributes:
        data: (elements, …).
        batch_sizes: how many sequences have an element at each step.
        sorted_indices: the order by length, where the sequences came in another.
        unsorted_indices: the order that they came in.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        """Takes the fields, or data and batch sizes as a pair; the inverse order is computed where it is missing."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, list | tuple) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same with ``data.to(...)``; self where that changes nothing."""
        data = self.data.to(*args, **kwargs)
        return (
            self
            if data is self.data
            else type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)
        )

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """On the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """On a GPU."""
        return self.to(*args, **{"device": "cuda", **kwargs})

    def pin_memory(self) -> Self:
        """With all tensors in pinned memory."""
        order, back = (
            None if each is None else each.pin_memory()
            for each in (self.sorted_indices, self.unsorted_indices)
        )
        return type(self)(self.data.pin_memory(), self.batch_sizes, order, back)

    def double(self) -> Self:
        """With data in float64."""
        return self.to(dtype=dt.float64)

    def float(self) -> Self:
        """With data in float32."""
        return self.to(dtype=dt.float32)

    def half(self) -> Self:
        """With data in float16."""
        return self.to(dtype=dt.float16)

    def long(self) -> Self:
        """With data in int64."""
        return self.to(dtype=dt.int64)

    def int(self) -> Self:
        """With data in int32."""
        return self.to(dtype=dt.int32)

    def short(self) -> Self:
        """With data in int16."""
        return self.to(dtype=dt.int16)

    def char(self) -> Self:
        """With data in int8."""
        return self.to(dtype=dt.int8)

    def byte(self) -> Self:
        """With data in uint8."""
        return self.to(dtype=dt.uint8)

    @property
    def is_cuda(self) -> bool:
        """True where the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """True where the data is in pinned memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one."""
    if permutation is None:
        return None
    output = empty_like(permutation)
    return output.scatter_(0, permutation, arange(0, permutation.numel(), device=permutation.device))


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs padded sequences. Shape: (T, B, …), or (B, T, …) with ``batch_first``.

    Args:
        input: the padded sequences.
        lengths: how many elements of each to take; each at least 1.
        batch_first: the first dim counts sequences.
        enforce_sorted: the lengths must not increase; False sorts the sequences first.

    Raises:
        RuntimeError: for lengths that do not fit the input, that increase, or that are not positive.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"_pack_padded_sequence(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    lengths = (
        lengths.to(dtype=dt.int64) if isinstance(lengths, Tensor) else as_tensor(lengths, dtype=dt.int64)
    )
    if lengths.ndim != 1:
        raise ShapeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.ndim}D cpu Long tensor"
        )
    if input.ndim < 2:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-input.ndim}, {input.ndim - 1}], but got 1)"
        )
    counts = on_host(lengths._array)
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
    if not input.numel():
        raise ShapeError("Cannot pack empty tensors.")
    steps, batch = input.shape[:2][::-1] if batch_first else input.shape[:2]
    _check_lengths(counts, steps, batch)
    step, sequence = np.nonzero(np.arange(counts.max())[:, None] < counts)
    if order is not None:
        sequence = order[sequence]
    index = sequence * steps + step if batch_first else step * batch + sequence
    data = ops.index_select(ops.reshape(input, (steps * batch, *input.shape[2:])), 0, _beside(input, index))
    sizes = np.bincount(step, minlength=counts.max()).astype(np.int64)
    return PackedSequence(data, from_numpy(sizes), None if order is None else _beside(input, order), None)


def _beside(input: Any, index: Any) -> Tensor:
    """Positions, computed on the host, where the tensor that they index is."""
    return from_numpy(index).to(input.device)


def _check_lengths(counts: Any, steps: int, batch: int) -> None:
    if len(counts) != batch:
        raise ShapeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={batch})"
        )
    if counts[-1] <= 0:
        raise ShapeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (np.diff(counts) > 0).any():
        raise ShapeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if counts[0] > steps:
        raise ShapeError(
            f"Expected every length to be at most the input's {steps} steps, but the longest is {counts[0]}"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The sequences padded to one length, in the order they came in, and their lengths; undoes packing.

    Shape: (T, B, …), or (B, T, …) with ``batch_first``; T is the longest length or ``total_length``.

    Raises:
        ValueError: where ``total_length`` is less than the longest length.
    """
    data, sizes = sequence.data, sequence.batch_sizes._array
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = int(sizes[0])
    counts = (sizes[:, None] > np.arange(batch)).sum(axis=0)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # Where there is no element, the padding that follows the data.
    index = np.full((steps, batch), starts[-1])
    for step, size in enumerate(sizes.tolist()):
        index[step, :size] = starts[step] + np.arange(size)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices._array
        back = on_host(back)
        index, counts = index[:, back], counts[back]
    index = index.T if batch_first else index
    rest = data.shape[1:]
    padding = full((1, *rest), padding_value, dtype=data.dtype, device=data.device)
    chosen = ops.index_select(ops.cat([data, padding], 0), 0, _beside(data, index.reshape(-1)))
    return ops.reshape(chosen, (*index.shape, *rest)), from_numpy(counts)


def pad_sequence(
    sequences: Iterable[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences of (length, …), padded to the longest. Shape: (T, B, …), or (B, T, …) with ``batch_first``."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    given = tuple(sequences)
    _check_sequences(given, padding_side)
    longest, rest = max(each.shape[0] for each in given), given[0].shape[1:]
    padded = []
    for each in given:
        values = each.to(given[0].dtype).expand(each.shape[0], *rest)
        if len(values) < longest:
            shape = (longest - len(values), *rest)
            padding = full(shape, padding_value, dtype=values.dtype, device=values.device)
            values = ops.cat([values, padding] if padding_side == "right" else [padding, values], 0)
        padded.append(values)
    return ops.stack(padded, 0 if batch_first else 1)  # type: ignore[no-any-return]


def _check_sequences(sequences: Sequence[Any], padding_side: str) -> None:
    if not sequences:
        raise ShapeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise ShapeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    for number, each in enumerate(sequences):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {number} in argument 0, but got {type(each).__name__}"
            )
        if not each.ndim:
            raise ShapeError(f"pad_sequence: a sequence has at least 1 dim, but element {number} has 0")


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding. Without ``batch_first`` this turns its argument in place, as in PyTorch."""
    if not batch_first:
        padded_sequences.transpose_(0, 1)
    steps = arange(padded_sequences.shape[1], device=lengths.device)
    return [sequence[steps < length] for sequence, length in zip(padded_sequences, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of (length, …)."""
    lengths = as_tensor([each.size(0) for each in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences, in the order they came in."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
