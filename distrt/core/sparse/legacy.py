"""The old constructors of sparse tensors: ``sparse.FloatTensor(indices, values, size)``, and ``sparse.new(…)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.core.sparse.creation import empty_coo, sparse_coo_tensor
from distrt.core.tensor import Tensor
from distrt.core.tensors import formats
from distrt.core.tensors.construct import TYPE_NAMES
from distrt.core.tensors.size import Size

__all__ = ["TYPES", "SparseType", "made_of"]


class SparseType(type):
    """The class of ``sparse.FloatTensor`` and its kin."""

    dtype: dt.dtype

    def __call__(cls, *args: Any, size: Any = None) -> Tensor:
        """A sparse tensor of indices, values and a size, or of zeros with this size."""
        return made_of(cls.__name__, cls.dtype, args, size)

    def __instancecheck__(cls, instance: Any) -> bool:
        if not isinstance(instance, Tensor):
            return False
        return instance.dtype is cls.dtype and instance.layout is formats.sparse_coo

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def made_of(name: str, dtype: dt.dtype, args: tuple[Any, ...], size: Any = None) -> Tensor:
    """A sparse tensor of indices, values (whose dtype it has) and a size, or one of zeros with this size.

    Raises:
        TypeError: for anything else; ``name`` is what was called.
    """
    if not args or isinstance(args[0], int | np.integer | Size):
        return empty_coo(tuple(args[0]) if args and isinstance(args[0], Size) else args or (0,), dtype)
    parts = args
    if len(args) == 3:
        *parts, size = args  # type: ignore[assignment]
    if len(parts) != 2 or not all(isinstance(each, Tensor) for each in parts):
        kinds = ", ".join(type(each).__name__ for each in args)
        raise TypeError(
            f"{name}: expected tensors of indices and of values and a size, or sizes; got ({kinds})"
        )
    return sparse_coo_tensor(*parts, size)


#: The types by name.
TYPES: dict[str, SparseType] = {
    name: SparseType(name, (), {"dtype": kind, "__module__": "torch.sparse", "__slots__": ()})
    for kind, name in TYPE_NAMES.items()
    if not kind.is_complex and kind is not dt.bool_
}
