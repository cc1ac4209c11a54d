"""Facade: functions of sparse tensors, at the path that PyTorch users type. The room: ``core/sparse``."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.errors import UnsupportedError
from distrt.core.sparse import products, reductions
from distrt.core.sparse.array import is_sparse
from distrt.core.sparse.invariants import invariants
from distrt.core.sparse.legacy import TYPES
from distrt.core.tensor import Tensor

__all__ = [
    "addmm",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "sum",
]


def mm(mat1: Tensor, mat2: Tensor, reduce: str | None = None) -> Tensor:
    """The product of two matrices, of which one at least is sparse. Shape: (n, k), (k, m) -> (n, m).

    Raises:
        UnsupportedError: for ``reduce``.
    """
    if reduce not in (None, "sum"):
        raise UnsupportedError(
            f"sparse.mm: reduce={reduce!r} is not there; use scatter_reduce on the products"
        )
    return ops.mm(mat1, mat2)  # type: ignore[no-any-return]


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    """``beta * mat + alpha * (mat1 @ mat2)``, of a sparse ``mat1``."""
    return products.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


def sampled_addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)`` at the places of a sparse ``input`` alone."""
    return products.sampled_addmm(input, mat1, mat2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


def sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """The sum over all dims of a sparse tensor, or over some: sparse where a sparse dim is left."""
    _require_sparse("sum", input)
    return reductions.sum(input, dim, dtype=dtype)  # type: ignore[no-any-return]


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Softmax along a dim of the elements that are given: the others count as minus infinity."""
    _require_sparse("softmax", input)
    return reductions.softmax(input, dim, dtype)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    _require_sparse("log_softmax", input)
    return reductions.log_softmax(input, dim, dtype)  # type: ignore[no-any-return]


def spdiags(*args: Any, **kwargs: Any) -> Tensor:
    """Not in distrt."""
    raise UnsupportedError(
        "sparse.spdiags: not in distrt; use sparse_coo_tensor with the diagonal's coordinates"
    )


def _require_sparse(name: str, input: Any) -> None:
    if not isinstance(input, Tensor) or not is_sparse(input._array):
        raise UnsupportedError(
            f"Could not run 'aten::_sparse_{name}' with arguments from the 'CPU' backend: sparse.{name} takes a sparse "
            "tensor; a dense one has to_sparse()"
        )


class check_sparse_tensor_invariants:  # noqa: N801 - PyTorch's own spelling
    """Whether constructors look at every index, for a block, for a function, or from a call on."""

    def __init__(self, enable: bool = True) -> None:
        self._wanted = enable
        self._outer: list[bool] = []

    @staticmethod
    def is_enabled() -> bool:
        """Whether they do."""
        return invariants.wanted

    @staticmethod
    def enable() -> None:
        """From here on, they do."""
        invariants.wanted = True

    @staticmethod
    def disable() -> None:
        """From here on, they do not."""
        invariants.wanted = False

    def __enter__(self) -> None:
        self._outer.append(invariants.wanted)
        invariants.wanted = self._wanted

    def __exit__(self, *exception: object) -> None:
        invariants.wanted = self._outer.pop()

    def __call__(self, function: Any) -> Any:
        """The function with this setting around it."""
        import functools

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self._wanted):
                return function(*args, **kwargs)

        return run


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return TYPES[name]
    raise AttributeError(f"module 'distrt.sparse' has no attribute {name!r}")
