"""Complex numbers: conjugates, parts, and the views that show a complex tensor as pairs of real ones.

A gradient is that of a real loss, conjugated as PyTorch has it, so that ``x - lr * x.grad`` descends. The engine
conjugates around the rules of holomorphic operations; those here are not, and say themselves what happens.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, as_strided_view, beside, row_major
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.half import refuse, wide

__all__ = [
    "angle",
    "complex",
    "conj",
    "conj_physical",
    "imag",
    "polar",
    "real",
    "resolve_conj",
    "resolve_neg",
    "view_as_complex",
    "view_as_real",
]


@op(node="Conj", holomorphic=False)
def _conj(input: Array) -> Array:
    """The complex conjugate of complex numbers."""
    return as_array(np.conjugate(input))  # 0-d: NumPy gives scalars, and rules compute on arrays


_conj.gradient(input=lambda g: conj(g))


def conj(input: Any) -> Any:
    """The complex conjugate, computed at once; a real tensor itself."""
    return _conj(input) if is_complex_array(input) else input


@takes_out
def conj_physical(input: Any) -> Any:
    """The complex conjugate; a real tensor itself."""
    return conj(input)


def resolve_conj(input: Any) -> Any:
    """The tensor itself: no tensor waits to be conjugated."""
    _require_tensor("resolve_conj", input)
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself: no tensor waits to be negated."""
    _require_tensor("resolve_neg", input)
    return input


def _require_tensor(operation: str, input: Any) -> None:
    if not hasattr(input, "_array"):
        raise TypeError(f"{operation}(): argument 'input' must be Tensor, not {type(input).__name__}")


@op(view=True, holomorphic=False)
def _real(input: Array) -> Array:
    """The real parts, in the same memory."""
    return input.real


@op(view=True, holomorphic=False)
def _imag(input: Array) -> Array:
    """The imaginary parts, in the same memory."""
    return input.imag


def real(input: Any) -> Any:
    """The real parts: a view of a complex tensor, a real tensor itself."""
    return _real(input) if is_complex_array(input) else input


def imag(input: Any) -> Any:
    """The imaginary parts, a view.

    Raises:
        DtypeError: for a real tensor.
    """
    if not is_complex_array(input):
        raise DtypeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag(input)


def is_complex_array(input: Any) -> bool:
    """True for a tensor or an array of complex numbers, and for a complex number."""
    array = getattr(input, "_array", input)
    return bool(array.dtype.kind == "c") if hasattr(array, "dtype") else isinstance(input, _COMPLEX)


_COMPLEX = builtins.complex


@op(dtype="same", holomorphic=False)
def complex(real: Array, imag: Array) -> Array:
    """``real + i * imag``, of float32 or float64 parts."""
    if real.dtype.kind != "f" or real.dtype.itemsize < 4:
        raise DtypeError(
            f"complex(): expected both inputs to be Float or Double tensors but got {real.dtype}"
        )
    made = np.empty(
        np.broadcast_shapes(real.shape, imag.shape),
        np.result_type(real.dtype, np.complex64),
        like=beside(real),
    )
    made.real, made.imag = real, imag
    return made


_real.gradient(input=lambda g: complex(g, ops.zero_unless(g, False)))
_imag.gradient(input=lambda g: complex(ops.zero_unless(g, False), g))
complex.gradient(real=lambda g: real(g), imag=lambda g: imag(g))


@op(dtype="float", holomorphic=False)
def angle(input: Array) -> Array:
    """The angle of each complex number, in radians; pi for a negative real one."""
    if input.dtype.kind == "c":
        return np.angle(input)
    wider = wide(input)
    turned = np.where(np.less(wider, 0), wider.dtype.type(np.pi), wider.dtype.type(0))
    return np.where(np.isnan(wider), wider, turned).astype(input.dtype, copy=False)


def _angle_slope(g: Array, input: Array) -> Array:
    if not is_complex_array(input):
        return ops.zeros_of(g)
    x, y = real(input), imag(input)
    squared = ops.add(ops.mul(x, x), ops.mul(y, y))
    nowhere = ops.eq(squared, 0)
    share = ops.where(nowhere, 0.0, ops.true_divide(g, ops.where(nowhere, 1.0, squared)))
    return complex(ops.neg(ops.mul(y, share)), ops.mul(x, share))


angle.gradient(input=lambda g, input: _angle_slope(g, input))


def _along(g: Any, angle: Any) -> Any:
    from distrt.core.ops.pointwise.trigonometry import cos, sin

    return ops.add(ops.mul(real(g), cos(angle)), ops.mul(imag(g), sin(angle)))


@op(dtype="same", holomorphic=False, autocast="full")
def polar(abs: Array, angle: Array) -> Array:
    """``abs * (cos(angle) + i * sin(angle))``, of float32 or float64 parts. Shape: broadcasts."""
    if abs.dtype.kind != "f":
        raise DtypeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {abs.dtype} and {angle.dtype}"
        )
    refuse("polar", None if abs.dtype.itemsize > 2 else abs, "f")
    made = np.empty(
        np.broadcast_shapes(abs.shape, angle.shape), np.result_type(abs.dtype, np.complex64), like=beside(abs)
    )
    made.real, made.imag = np.multiply(abs, np.cos(angle)), np.multiply(abs, np.sin(angle))
    return made


polar.gradient(
    abs=lambda g, angle: _along(g, angle),
    angle=lambda g, out: ops.sub(ops.mul(imag(g), real(out)), ops.mul(real(g), imag(out))),
)


@op(view=True, holomorphic=False)
def view_as_real(input: Array) -> Array:
    """The parts along a new last dim of size 2, in the same memory."""
    if input.dtype.kind != "c":
        raise DtypeError("view_as_real is only supported for complex tensors")
    pairs = row_major(input) if not input.size else input
    halves = pairs.view(pairs.real.dtype) if pairs.ndim and pairs.strides[-1] == pairs.itemsize else None
    if halves is not None:
        return halves.reshape((*input.shape, 2))
    step = input.itemsize // 2
    return as_strided_view(input.real, (*input.shape, 2), (*input.strides, step))


@op(view=True, holomorphic=False, autocast="full")
def view_as_complex(input: Array) -> Array:
    """A last dim of size 2 as one complex number, in the same memory."""
    if input.ndim == 0 or input.shape[-1] != 2:
        raise ShapeError(f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}")
    if input.dtype.kind != "f" or input.dtype.itemsize < 4:
        raise DtypeError(
            f"view_as_complex is only supported for floating point tensors, but got {input.dtype}"
        )
    if not input.size:
        return np.empty(input.shape[:-1], np.result_type(input.dtype, np.complex64), like=input)
    if input.strides[-1] != input.itemsize:
        raise ShapeError("Tensor must have a last dimension with stride 1")
    return input.view(np.result_type(input.dtype, np.complex64))[..., 0]


view_as_real.gradient(input=lambda g: view_as_complex(ops.contiguous(g)))
view_as_complex.gradient(input=lambda g: view_as_real(ops.contiguous(g)))
