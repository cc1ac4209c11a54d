"""The dtypes of tensors: PyTorch's names over NumPy's (and ml_dtypes') element types.

Called by everything that makes or converts an array. Printed as ``torch.float32``, because scripts and logs that
come from PyTorch compare and show that text.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from distrt.core.errors import DtypeError

_CATEGORIES = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class dtype:  # noqa: N801 - PyTorch's own spelling
    """One element type.

    Attributes:
        numpy: the NumPy dtype that arrays of this type have.
        category: 0 bool, 1 integer, 2 floating point, 3 complex; promotion never leaves a category downwards.
        itemsize: bytes per element.
    """

    __slots__ = ("_name", "category", "itemsize", "numpy")

    def __init__(self, name: str, numpy_type: Any) -> None:
        self._name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy_type)
        self.category = _CATEGORIES.get(self.numpy.kind, 2)  # bfloat16 is of kind 'V'
        self.itemsize = self.numpy.itemsize

    @property
    def is_floating_point(self) -> bool:
        """True for float16, bfloat16, float32 and float64."""
        return self.category == 2

    @property
    def is_complex(self) -> bool:
        """True for complex64 and complex128."""
        return self.category == 3

    @property
    def is_signed(self) -> bool:
        """True where negative values exist."""
        return self.numpy.kind not in "bu"

    def to_real(self) -> dtype:
        """The dtype of a complex number's parts; any other dtype itself."""
        return _REAL_OF.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts are of this dtype; bfloat16 has none of its own and takes float32's.

        Raises:
            DtypeError: for integers and bools, and for float16, whose complex dtype NumPy lacks.
        """
        found = self if self.is_complex else _COMPLEX_OF.get(self)
        if found is None:
            raise DtypeError(f"to_complex(): there is no complex dtype with parts of {self}")
        return found

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return "bool_" if self._name == "bool" else self._name


uint8 = dtype("uint8", np.uint8)
uint16 = dtype("uint16", np.uint16)
uint32 = dtype("uint32", np.uint32)
uint64 = dtype("uint64", np.uint64)
int8 = dtype("int8", np.int8)
int16 = dtype("int16", np.int16)
int32 = dtype("int32", np.int32)
int64 = dtype("int64", np.int64)
float16 = dtype("float16", np.float16)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16)
float32 = dtype("float32", np.float32)
float64 = dtype("float64", np.float64)
complex64 = dtype("complex64", np.complex64)
complex128 = dtype("complex128", np.complex128)
bool_ = dtype("bool", np.bool_)

#: What a user may type as ``distrt.NAME``.
PUBLIC_NAMES: dict[str, dtype] = {
    "bfloat16": bfloat16,
    "bool": bool_,
    "cdouble": complex128,
    "cfloat": complex64,
    "complex128": complex128,
    "complex64": complex64,
    "double": float64,
    "float": float32,
    "float16": float16,
    "float32": float32,
    "float64": float64,
    "half": float16,
    "int": int32,
    "int16": int16,
    "int32": int32,
    "int64": int64,
    "int8": int8,
    "long": int64,
    "short": int16,
    "uint16": uint16,
    "uint32": uint32,
    "uint64": uint64,
    "uint8": uint8,
}

ALL: tuple[dtype, ...] = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
)

#: Unsigned integers that, as in PyTorch, hold data and promote with floating dtypes, but not with other integers.
UNSIGNED = (uint16, uint32, uint64)

_BY_NUMPY: dict[np.dtype[Any], dtype] = {each.numpy: each for each in (*ALL, *UNSIGNED)}
FLOATING_NUMPY = frozenset(each.numpy for each in ALL if each.category >= 2)
_COMPLEX_OF = {bfloat16: complex64, float32: complex64, float64: complex128}
_REAL_OF = {complex64: float32, complex128: float64}


class _Default:
    """The dtype that Python floats stand for: one for the process, as in PyTorch; ``set_default_dtype`` changes it.

    Attributes:
        floating: the dtype of new tensors, of Python floats among integers, and of divided integers.
        numpy, complex: its NumPy dtype, and that of the complex numbers with such parts.
    """

    __slots__ = ("complex", "floating", "numpy")

    def __init__(self) -> None:
        self.set(float32)

    def set(self, floating: dtype) -> None:
        """Changes all three."""
        self.floating = floating
        self.numpy = floating.numpy
        self.complex = _COMPLEX_OF.get(floating, complex64).numpy


default = _Default()


def known(numpy_dtype: np.dtype[Any]) -> dtype:
    """The dtype over a NumPy one that tensors have."""
    return _BY_NUMPY[numpy_dtype]


def named(python_type: Any) -> dtype:
    """The dtype that PyTorch reads a Python type as, in a ``dtype=`` argument."""
    return _BY_NUMPY[to_numpy(python_type)]


def of(array: Any) -> dtype:
    """The dtype of an array. Raises TypeError for an element type that tensors do not have."""
    found = _BY_NUMPY.get(array.dtype)
    if found is None:
        raise TypeError(
            f"tensors have no dtype for elements of type {array.dtype}; the supported ones are: "
            + ", ".join(str(each.numpy) for each in (*ALL, *UNSIGNED))
        )
    return found


def category_of(numpy_dtype: np.dtype[Any]) -> int:
    """0 bool, 1 integer, 2 floating point, 3 complex."""
    return _BY_NUMPY[numpy_dtype].category


def to_numpy(wanted: dtype | None, otherwise: dtype | None = None) -> np.dtype[Any]:
    """The NumPy dtype of ``wanted``; for None that of ``otherwise``, or the default one.

    A Python type is read as PyTorch reads it.
    """
    if wanted is None:
        return default.numpy if otherwise is None else otherwise.numpy
    if isinstance(wanted, dtype):
        return wanted.numpy
    if wanted is float:
        return float64.numpy
    if wanted is int:
        return int64.numpy
    if wanted is bool:
        return bool_.numpy
    if wanted is complex:
        return complex128.numpy
    raise TypeError(f"dtype: expected a distrt dtype such as distrt.float32, got {wanted!r}")


#: The dtype that ``x.long()`` and its kin convert to.
CASTS = {
    "bfloat16": bfloat16,
    "bool": bool_,
    "byte": uint8,
    "cdouble": complex128,
    "cfloat": complex64,
    "char": int8,
    "double": float64,
    "float": float32,
    "half": float16,
    "int": int32,
    "long": int64,
    "short": int16,
}
