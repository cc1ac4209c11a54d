"""Errors of matrix products, linear algebra, ``einsum`` and Fourier transforms: PyTorch's classes and its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import distrt
from tests.oracles import builtin_kind

ERRORS: dict[str, Callable[[Any], Any]] = {
    "mm of shapes": lambda t: t.mm(t.ones(2, 3), t.ones(2, 3)),
    "mm of dtypes": lambda t: t.mm(t.ones(2, 2), t.ones(2, 2).double()),
    "matmul of dtypes": lambda t: t.ones(2, 2) @ t.ones(2, 2).long(),
    "matmul of a scalar": lambda t: t.matmul(t.tensor(1.0), t.ones(2)),
    "matmul of batches": lambda t: t.matmul(t.ones(2, 3, 4), t.ones(3, 4, 5)),
    "matmul of a vector": lambda t: t.matmul(t.ones(2, 3), t.ones(2)),
    "bmm of shapes": lambda t: t.bmm(t.ones(2, 3, 4), t.ones(2, 5, 5)),
    "mv of a vector": lambda t: t.mv(t.ones(3), t.ones(3)),
    "dot of lengths": lambda t: t.dot(t.ones(3), t.ones(2)),
    "dot of dtypes": lambda t: t.dot(t.ones(3), t.ones(3).double()),
    "outer of a matrix": lambda t: t.outer(t.ones(3), t.ones(3, 3)),
    "inner of lengths": lambda t: t.inner(t.ones(2, 3), t.ones(4, 2)),
    "addmm of dtypes": lambda t: t.addmm(t.ones(3), t.ones(3, 3), t.ones(3, 3).double()),
    "addmm of shapes": lambda t: t.addmm(t.ones(7), t.ones(2, 3), t.ones(3, 3)),
    "addmv of shapes": lambda t: t.addmv(t.ones(3), t.ones(2, 3), t.ones(3)),
    "addr of integers": lambda t: t.addr(*[t.ones(2).long()] * 3, alpha=2.5),
    "tensordot of too many dims": lambda t: t.tensordot(t.ones(2, 2), t.ones(2, 2), 3),
    "tensordot of a negative number": lambda t: t.tensordot(t.ones(2, 2), t.ones(2, 2), -1),
    "cross without a 3": lambda t: t.cross(t.ones(2, 2), t.ones(2, 2)),
    "cross of 2": lambda t: t.linalg.cross(t.ones(2, 3), t.ones(2, 3), dim=0),
    "trace of a vector": lambda t: t.trace(t.ones(3)),
    "linear of shapes": lambda t: t.nn.functional.linear(t.ones(2, 7, 3), t.ones(5, 4)),
    "linear of dtypes": lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(5, 3).double()),
    "linear of a double bias": lambda t: t.nn.functional.linear(
        t.ones(2, 3), t.ones(5, 3), t.ones(5).double()
    ),
    "linear of a long bias": lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(5, 3), t.ones(4)),
    "linear of a stack": lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(2, 5, 3)),
    "linear of 0-d": lambda t: t.nn.functional.linear(t.tensor(2.0), t.ones(5, 1)),
    "multi_dot of one": lambda t: t.linalg.multi_dot([t.ones(3)]),
    "inv of a singular matrix": lambda t: t.linalg.inv(t.ones(3, 3)),
    "inv in a batch": lambda t: t.linalg.inv(t.stack([t.eye(2), t.zeros(2, 2)])),
    "inv of a vector": lambda t: t.linalg.inv(t.ones(3)),
    "inv of integers": lambda t: t.linalg.inv(t.ones(3, 3).long()),
    "inv of half precision": lambda t: t.linalg.inv(t.ones(3, 3).half()),
    "inv of a rectangle": lambda t: t.inverse(t.ones(2, 3)),
    "solve of a singular matrix": lambda t: t.linalg.solve(t.ones(3, 3), t.ones(3)),
    "solve in a batch": lambda t: t.linalg.solve(t.zeros(2, 3, 3), t.ones(3, 1)),
    "solve of shapes": lambda t: t.linalg.solve(t.eye(3), t.ones(2, 2)),
    "solve of dtypes": lambda t: t.linalg.solve(t.eye(3), t.ones(3).double()),
    "solve_triangular of shapes": lambda t: t.linalg.solve_triangular(t.eye(3), t.ones(2, 3), upper=True),
    "cholesky of a negative matrix": lambda t: t.linalg.cholesky(-t.eye(3)),
    "cholesky in a batch": lambda t: t.linalg.cholesky(t.stack([t.eye(2), -t.eye(2)])),
    "cholesky of nan": lambda t: t.cholesky(t.eye(2) * float("nan")),
    "cholesky_ex, checked": lambda t: t.linalg.cholesky_ex(-t.eye(3), check_errors=True),
    "cholesky_solve of shapes": lambda t: t.cholesky_solve(t.ones(3, 1), t.eye(2)),
    "lu_factor of a singular matrix": lambda t: t.linalg.lu_factor(t.ones(2, 2)),
    "lu without pivots": lambda t: t.linalg.lu(t.eye(2), pivot=False),
    "svd of nan": lambda t: t.linalg.svd(t.ones(2, 2) * float("nan")),
    "svd of integers": lambda t: t.linalg.svd(t.ones(2, 2).long()),
    "pinv of nan": lambda t: t.linalg.pinv(t.ones(2, 2) * float("nan")),
    "pinv of a vector": lambda t: t.linalg.pinv(t.ones(2)),
    "eigh of another triangle": lambda t: t.linalg.eigh(t.eye(2), UPLO="x"),
    "eig of nan": lambda t: t.linalg.eig(t.ones(2, 2) * float("nan")),
    "qr of another mode": lambda t: t.linalg.qr(t.eye(2), mode="x"),
    "lstsq of shapes": lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(2, 1)),
    "matrix_norm of a vector": lambda t: t.linalg.matrix_norm(t.ones(3)),
    "matrix_norm of order 3": lambda t: t.linalg.matrix_norm(t.ones(3, 3), 3),
    "matrix_norm of one dim": lambda t: t.linalg.matrix_norm(t.ones(3, 3), dim=(0,)),
    "norm of three dims": lambda t: t.linalg.norm(t.ones(2, 2, 2), 2),
    "vector_norm of integers": lambda t: t.linalg.vector_norm(t.ones(3).long()),
    "vector_norm of nothing": lambda t: t.linalg.vector_norm(t.ones(0), float("inf")),
    "vector_norm, narrowed": lambda t: t.linalg.vector_norm(t.ones(3), dtype=t.float16),
    "vector_norm of a dim": lambda t: t.linalg.vector_norm(t.ones(3), dim=2),
    "cond of a norm": lambda t: t.linalg.cond(t.eye(2), 3),
    "matrix_power of a rectangle": lambda t: t.matrix_power(t.ones(2, 3), 2),
    "matrix_exp of integers": lambda t: t.matrix_exp(t.ones(2, 2).long()),
    "tensorinv of sizes": lambda t: t.linalg.tensorinv(t.ones(2, 3, 6), ind=1),
    "vander of bools": lambda t: t.linalg.vander(t.ones(3) > 0),
    "einsum of too few operands": lambda t: t.einsum("ij,jk", t.ones(2, 3)),
    "einsum of too many operands": lambda t: t.einsum("ij", t.ones(2, 3), t.ones(2, 3)),
    "einsum of dims": lambda t: t.einsum("ijk", t.ones(2, 3)),
    "einsum of sizes": lambda t: t.einsum("ij,jk", t.ones(2, 3), t.ones(2, 3)),
    "einsum of a diagonal": lambda t: t.einsum("ii", t.ones(2, 3)),
    "einsum of an unknown output": lambda t: t.einsum("ij->k", t.ones(2, 3)),
    "einsum of a repeated output": lambda t: t.einsum("ij->ii", t.ones(2, 3)),
    "einsum of a digit": lambda t: t.einsum("i1", t.ones(2, 3)),
    "einsum of two ellipses": lambda t: t.einsum("...i...", t.ones(2, 3)),
    "einsum of two points": lambda t: t.einsum("..i", t.ones(2, 3)),
    "einsum of nothing": lambda t: t.einsum("ij"),
    "einsum of a number too large": lambda t: t.einsum(t.ones(2, 3), [0, 60]),
    "fft of half precision": lambda t: t.fft.fft(t.ones(4).half()),
    "fft of 0-d": lambda t: t.fft.fft(t.tensor(1.0)),
    "fft of nothing": lambda t: t.fft.fft(t.ones(0)),
    "fft of no points": lambda t: t.fft.fft(t.ones(3), n=-1),
    "fft of another norm": lambda t: t.fft.fft(t.ones(3), norm="x"),
    "fft of a dim": lambda t: t.fft.fft(t.ones(2, 3), dim=2),
    "rfft of complex numbers": lambda t: t.fft.rfft(t.ones(3) * 1j),
    "irfft of one": lambda t: t.fft.irfft(t.ones(1)),
    "fft2 of a vector": lambda t: t.fft.fft2(t.ones(3)),
    "fftn of lengths": lambda t: t.fft.fftn(t.ones(2, 3), s=(2, 2), dim=(0,)),
    "fftn of a dim twice": lambda t: t.fft.fftn(t.ones(2, 3), dim=(0, 0)),
    "stft without a choice": lambda t: t.stft(t.ones(20), 8, window=t.ones(8)),
    "stft, half of a whole": lambda t: t.stft(t.ones(20) * 1j, 8, window=t.ones(8), onesided=True),
    "istft of real numbers": lambda t: t.istft(t.ones(5, 4), 8, window=t.ones(8)),
    "fftfreq of integers": lambda t: t.fft.fftfreq(4, dtype=t.int64),
}

#: Where distrt says more than PyTorch, or names dtypes in another way.
LONGER = ("multi_dot", "fft of half", "vector_norm of nothing", "lu_factor of", "cholesky_ex")


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_pytorchs(name: str, torch: Any) -> None:
    with pytest.raises(Exception) as theirs:
        ERRORS[name](torch)
    with pytest.raises(builtin_kind(theirs.value)) as ours:
        ERRORS[name](distrt)
    first_line = str(theirs.value).split("\n")[0]
    if name.startswith(LONGER):
        assert first_line.split()[0] in str(ours.value)
    else:
        assert str(ours.value) == first_line


def test_singular_matrices_raise_linalg_error() -> None:
    for attempt in (distrt.linalg.inv, distrt.linalg.cholesky, distrt.linalg.lu_factor):
        with pytest.raises(distrt.linalg.LinAlgError):
            attempt(distrt.zeros(3, 3))


def test_bool_products_are_refused(torch: Any) -> None:
    for library in (distrt, torch):
        mask = library.ones(2, 2) > 0
        for attempt in (lambda m: m @ m, lambda m: m[0].dot(m[0]), lambda m: m.trace()):
            with pytest.raises(NotImplementedError):
                attempt(mask)
