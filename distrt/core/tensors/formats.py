"""How a tensor's elements are arranged: ``layout`` and ``memory_format`` objects under PyTorch's names."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import ShapeError


class _Named:
    """One of a fixed set of named values: printed as ``torch.NAME``, compared by identity, the same after pickling."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    @property
    def name(self) -> str:
        """The name without ``torch.``."""
        return self._name

    def __reduce__(self) -> str:
        return self._name


class layout(_Named):  # noqa: N801 - PyTorch's own spelling
    """How elements are stored: ``strided``, or in one of the sparse ways; the others exist to be compared with."""

    __slots__ = ()


class memory_format(_Named):  # noqa: N801
    """The order of dims in memory that an operation is asked for."""

    __slots__ = ()


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
sparse_bsr = layout("sparse_bsr")
sparse_bsc = layout("sparse_bsc")
jagged = layout("jagged")

contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

#: For the formats with channels last: the order of dims, outermost first.
_ORDERS = {channels_last: (0, 2, 3, 1), channels_last_3d: (0, 2, 3, 4, 1)}


def is_arranged(array: Any, wanted: memory_format) -> bool:
    """True where the elements of an array stand in memory in the order of the format."""
    if wanted is contiguous_format:
        return bool(array.flags.c_contiguous)
    order = _order(wanted)
    return array.ndim == len(order) and bool(array.transpose(order).flags.c_contiguous)


def arranged(array: Any, wanted: memory_format) -> Any:
    """A copy in the order of the format, which is not seen in its shape.

    Raises:
        ShapeError: for channels last, where the rank is another.
    """
    if wanted is contiguous_format:
        return array.copy(order="C")
    if wanted is preserve_format:  # elements that several places share come apart in row-major order
        return array.copy(order="K" if all(array.strides) else "C")
    order = _order(wanted)
    if array.ndim != len(order):
        raise ShapeError(f"required rank {len(order)} tensor to use {wanted._name} format")
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return array.transpose(order).copy(order="C").transpose(inverse)


def _order(wanted: memory_format) -> tuple[int, ...]:
    if wanted not in _ORDERS:
        raise TypeError(f"expected a memory format such as distrt.channels_last, got {wanted!r}")
    return _ORDERS[wanted]
