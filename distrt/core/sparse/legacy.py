"""The old constructors of sparse tensors: ``sparse.FloatTensor(indices, values, size)``. Their dtype is the class's."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.core.sparse.creation import empty_coo, sparse_coo_tensor
from distrt.core.tensor import Tensor
from distrt.core.tensors import formats
from distrt.core.tensors.construct import TYPE_NAMES
from distrt.core.tensors.size import Size

__all__ = ["TYPES", "SparseType"]


class SparseType(type):
    """The class of ``sparse.FloatTensor`` and its kin."""

    dtype: dt.dtype

    def __call__(cls, *args: Any, size: Any = None) -> Any:
        """A sparse tensor of indices, values and a size, or of zeros with this size."""
        if not args or isinstance(args[0], int | np.integer | Size):
            return empty_coo(
                tuple(args[0]) if args and isinstance(args[0], Size) else args or (0,), cls.dtype
            )
        if len(args) == 3:
            *args, size = args  # type: ignore[assignment]
        if len(args) != 2:
            raise TypeError(
                f"{cls.__name__}: expected indices, values and a size, or sizes; got {len(args)} argument"
            )
        indices, values = args
        if not isinstance(values, Tensor) or values.dtype is not cls.dtype:
            raise TypeError(
                f"{cls.__name__}: expected values of {cls.dtype}, got {getattr(values, 'dtype', type(values).__name__)}"
            )
        return sparse_coo_tensor(indices, values, size)

    def __instancecheck__(cls, instance: Any) -> bool:
        if not isinstance(instance, Tensor):
            return False
        return instance.dtype is cls.dtype and instance.layout is formats.sparse_coo

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


#: The types by name.
TYPES: dict[str, SparseType] = {
    name: SparseType(name, (), {"dtype": kind, "__module__": "torch.sparse", "__slots__": ()})
    for kind, name in TYPE_NAMES.items()
    if not kind.is_complex and kind is not dt.bool_
}
