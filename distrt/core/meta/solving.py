"""Linear algebra and Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distrt.core.meta.array import MetaArray, made, strides_of
from distrt.core.meta.twins import laid_as, twin

__all__ = ["RULES"]


class _Eigen(NamedTuple):
    eigenvalues: MetaArray
    eigenvectors: MetaArray


class _QR(NamedTuple):
    Q: MetaArray
    R: MetaArray


class _Slogdet(NamedTuple):
    sign: MetaArray
    logabsdet: MetaArray


class _SVD(NamedTuple):
    U: MetaArray
    S: MetaArray
    Vh: MetaArray


def _real(dtype: Any) -> Any:
    return np.ones(1, dtype).real.dtype


def _complex(dtype: Any) -> Any:
    return np.result_type(dtype, np.complex64)


def _require_square(a: MetaArray) -> None:
    if a.ndim < 2:
        raise np.linalg.LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")


def _square(a: MetaArray, *rest: Any, **named: Any) -> MetaArray:
    """A matrix like a square one."""
    _require_square(a)
    return made(a.shape, a.dtype)


def _det(a: MetaArray) -> MetaArray:
    _require_square(a)
    return made(a.shape[:-2], a.dtype)


def _slogdet(a: MetaArray) -> Any:
    _require_square(a)
    return _Slogdet(made(a.shape[:-2], a.dtype), made(a.shape[:-2], _real(a.dtype)))


def _solve(a: MetaArray, b: Any) -> MetaArray:
    _require_square(a)
    if b.ndim == 1:
        return made((*a.shape[:-2], a.shape[-1]), np.result_type(a.dtype, b.dtype))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return made((*batch, *b.shape[-2:]), np.result_type(a.dtype, b.dtype))


def _qr(a: MetaArray, mode: str = "reduced") -> Any:
    *batch, rows, columns = a.shape
    least = rows if mode == "complete" else min(rows, columns)
    if mode == "raw":  # the transpose of what LAPACK gives
        order = [*range(len(batch)), len(batch) + 1, len(batch)]
        shape = (*batch, columns, rows)
        return made(shape, a.dtype, strides_of(shape, a.itemsize, order)), made((*batch, least), a.dtype)
    r = made((*batch, least, columns), a.dtype)
    return r if mode == "r" else _QR(made((*batch, rows, least), a.dtype), r)


def _svd(a: MetaArray, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    *batch, rows, columns = a.shape
    least = min(rows, columns)
    values = made((*batch, least), _real(a.dtype))
    if not compute_uv:
        return values
    return _SVD(
        made((*batch, rows, rows if full_matrices else least), a.dtype),
        values,
        made((*batch, columns if full_matrices else least, columns), a.dtype),
    )


def _eigvalsh(a: MetaArray, UPLO: str = "L") -> MetaArray:  # noqa: N803 - NumPy's name
    _require_square(a)
    return made(a.shape[:-1], _real(a.dtype))


def _eigh(a: MetaArray, UPLO: str = "L") -> Any:  # noqa: N803
    return _Eigen(_eigvalsh(a), made(a.shape, a.dtype))


def _eigvals(a: MetaArray) -> MetaArray:
    _require_square(a)
    return made(a.shape[:-1], _complex(a.dtype))


def _eig(a: MetaArray) -> Any:
    return _Eigen(_eigvals(a), made(a.shape, _complex(a.dtype)))


# Fourier transforms


def _lengths(a: MetaArray, s: Any, axes: Any) -> tuple[list[int], list[int]]:
    """The dims that are transformed, and how many elements of each."""
    if axes is None:
        axes = range(a.ndim) if s is None else range(a.ndim - len(s), a.ndim)
    dims = [int(np.lib.array_utils.normalize_axis_index(each, a.ndim)) for each in axes]
    return dims, [a.shape[dim] for dim in dims] if s is None else list(s)


def _fftn(a: MetaArray, s: Any = None, axes: Any = None, norm: Any = None, **named: Any) -> MetaArray:
    shape = list(a.shape)
    for dim, size in zip(*_lengths(a, s, axes), strict=True):
        shape[dim] = size
    return _in_order(a, shape, _complex(a.dtype))


def _rfftn(a: MetaArray, s: Any = None, axes: Any = None, norm: Any = None, **named: Any) -> MetaArray:
    shape, (dims, sizes) = list(a.shape), _lengths(a, s, axes)
    for dim, size in zip(dims, sizes, strict=True):
        shape[dim] = size
    shape[dims[-1]] = sizes[-1] // 2 + 1
    return _in_order(a, shape, _complex(a.dtype))


def _irfftn(a: MetaArray, s: Any = None, axes: Any = None, norm: Any = None, **named: Any) -> MetaArray:
    shape, (dims, sizes) = list(a.shape), _lengths(a, s, axes)
    for dim, size in zip(dims, sizes, strict=True):
        shape[dim] = size
    if s is None:
        shape[dims[-1]] = 2 * (a.shape[dims[-1]] - 1)
    return _in_order(a, shape, _real(_complex(a.dtype)))


def _in_order(a: MetaArray, shape: list[int], dtype: Any) -> MetaArray:
    """With the dims in the order of the input's."""
    return laid_as(np.empty_like(twin(a), dtype), tuple(shape))


RULES: dict[str, Callable[..., Any]] = {
    "fft.fftn": _fftn,
    "fft.ifftn": _fftn,
    "fft.irfftn": _irfftn,
    "fft.rfftn": _rfftn,
    "linalg.cholesky": _square,
    "linalg.det": _det,
    "linalg.eig": _eig,
    "linalg.eigh": _eigh,
    "linalg.eigvals": _eigvals,
    "linalg.eigvalsh": _eigvalsh,
    "linalg.inv": _square,
    "linalg.qr": _qr,
    "linalg.slogdet": _slogdet,
    "linalg.solve": _solve,
    "linalg.svd": _svd,
}
