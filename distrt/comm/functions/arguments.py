"""What every communication function asks of its tensors, in PyTorch's order and words, before anything is launched.

`written` gives the array that a ``ProcessGroup`` fills; `handed_back` is how each function ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.reduction import AnyOp, Array, PremulSum, ReduceOp
from distrt.comm.work import Work
from distrt.core.arrays import as_strided_view, is_writeable
from distrt.core.errors import DeviceError, UnsupportedError
from distrt.core.modes import used
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_writeable
from distrt.core.tensors.versions import INFERENCE

__all__ = [
    "as_pairs",
    "handed_back",
    "note_change",
    "note_changes",
    "require_complex_op",
    "require_one_dtype",
    "require_op",
    "require_tensor",
    "require_tensors",
    "shape_text",
    "written",
]

_OPS = (ReduceOp, PremulSum)
_LACKS_FACTOR = ReduceOp.PREMUL_SUM  # members are looked up slowly
_OF_COMPLEX = (ReduceOp.SUM, ReduceOp.AVG)


def require_tensor(value: Any, name: str) -> None:
    """Refuse what is no tensor.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(value)} instead."
        )


def require_tensors(value: Any, name: str) -> None:
    """Refuse what is no list of tensors (a tuple of them, too).

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(value, list):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(value)} instead."
        )
    if not all(isinstance(each, Tensor) for each in value):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(value)} with elements of type {[type(each) for each in value]}."
        )


def require_one_dtype(tensors: Sequence[Tensor]) -> None:
    """Refuse tensors of several dtypes or devices; complex numbers go with numbers of their parts.

    Raises:
        ValueError: naming two dtypes that differ.
        DeviceError: naming two devices.
    """
    for each in tensors[1:]:
        if each._array.__class__ is not tensors[0]._array.__class__ and each.is_cuda != tensors[0].is_cuda:
            raise DeviceError(
                f"Expected all tensors to be on the same device, but found {tensors[0].device} and {each.device}"
            )
        if _real(each._array.dtype) != _real(tensors[0]._array.dtype):
            raise ValueError(
                f"Invalid usage of tensors with different dtypes: Found {tensors[0].dtype} and {each.dtype}"
            )


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def require_op(op: Any) -> None:
    """Refuse what is no reduce operation.

    Raises:
        TypeError: for anything but a ``ReduceOp``, or what ``_make_nccl_premul_sum`` gives.
    """
    if type(op) is ReduceOp and op is not _LACKS_FACTOR:
        return
    if not isinstance(op, _OPS):
        raise TypeError(f"op: expected a ReduceOp, got {op!r:.60} of type {type(op).__name__}")
    if op is _LACKS_FACTOR:
        raise TypeError("op: ReduceOp.PREMUL_SUM lacks its factor: _make_nccl_premul_sum(factor)")


def require_complex_op(what: str, op: AnyOp) -> None:
    """Refuse the operations that PyTorch does not do on complex numbers.

    Raises:
        ValueError: for all but SUM and AVG.
    """
    if isinstance(op, ReduceOp) and op not in _OF_COMPLEX:
        raise ValueError(f"{what} does not support {op} on complex tensors")


def written(tensor: Tensor) -> Array:
    """The elements of a tensor that a call will change.

    Raises:
        ShapeError: where several elements are one place in memory (an expanded tensor), or memory is read-only.
    """
    array: Array = tensor._array
    if used.sparse:
        _require_dense(array)
    if (used.gpu or not array.flags.writeable) and array.size and not is_writeable(array):
        require_writeable(tensor)
    return array


def as_pairs(array: Array) -> Array:
    """The array; complex numbers as pairs of real ones along a new last dim, in the same memory.

    Every rank sends them so, since complex tensors may meet real ones of their parts on other ranks.

    Raises:
        UnsupportedError: for a sparse array.
    """
    if used.sparse:
        _require_dense(array)
    if array.dtype.kind != "c":
        return array
    if not array.size:
        return np.empty((*array.shape, 2), _real(array.dtype), like=array)
    strides = (*array.strides, array.itemsize // 2)
    pairs: Array = as_strided_view(array.real, (*array.shape, 2), strides)
    return pairs


def _require_dense(array: Any) -> None:
    if is_sparse(array):
        raise UnsupportedError(
            f"of sparse tensors there is all_reduce alone; got one of the layout {array.layout}"
        )


def handed_back(
    work: Work, async_op: bool, changed: Sequence[Tensor], result: Sequence[Any] | None = None
) -> Work | None:
    """Note that tensors were changed; what the call returns: its work where that was asked for.

    Args:
        work: what the group's method returned.
        async_op: whether the caller asked for it.
        changed: the tensors that the call writes to.
        result: what ``work.result()`` gives; those tensors where None.
    """
    note_changes(changed)
    if not async_op:
        return None
    work._result = list(changed if result is None else result)
    return work


def note_changes(tensors: Sequence[Tensor]) -> None:
    """Count the change of each: a gradient that needs the old values says so, instead of being wrong."""
    for tensor in tensors:
        note_change(tensor)


def note_change(tensor: Tensor) -> None:
    """Count the change of one."""
    if tensor._counter is not INFERENCE:  # no gradient asks for the old values of those
        tensor._counter[0] += 1


def shape_text(array: Array) -> str:
    """A shape as PyTorch's messages have it: ``(2, 3)``."""
    return f"({', '.join(map(str, array.shape))})"
