"""What families share, at PyTorch's path: broadcasting of parameters, and probabilities and their logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from distrt.core import ops
from distrt.core.creation import tensor, tril_indices, zeros
from distrt.core.dtypes.limits import finfo
from distrt.core.dtypes.rules import get_default_dtype
from distrt.core.modes import enable_grad
from distrt.core.tensor import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors of one shape. Numbers become tensors of the first tensor's dtype, beside it, or of the default dtype.

    Raises:
        ValueError: for what is neither a number nor a tensor.
    """
    if not all(isinstance(value, Tensor | int | float) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    first = next((value for value in values if isinstance(value, Tensor)), None)
    kind, place = (get_default_dtype(), None) if first is None else (first.dtype, first.device)
    made = [
        value if isinstance(value, Tensor) else tensor(value, dtype=kind, device=place) for value in values
    ]
    return tuple(ops.broadcast_tensors(*made))


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """The sigmoid of log odds, or the softmax of log weights along the last dim."""
    return ops.sigmoid(logits) if is_binary else ops.softmax(logits, -1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities moved away from 0 and 1 by the dtype's precision."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """The log odds, or the logarithms, of probabilities that :func:`clamp_probs` has moved."""
    inside = clamp_probs(probs)
    return ops.log(inside) - ops.log1p(-inside) if is_binary else ops.log(inside)


class lazy_property:  # noqa: N801 - PyTorch's name
    """An attribute that is computed when it is first read, with gradients recorded, and kept."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy_property: ...
    @overload
    def __get__(self, instance: Any, owner: Any = None) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.__name__] = value
        return value


def summed(value: Any, dims: int) -> Any:
    """The sum over the last ``dims`` dims."""
    return value.sum(tuple(range(-dims, 0))) if dims else value


def given_one(**given: Any) -> str:
    """The name of the only parameter that is not None.

    Raises:
        ValueError: for none or several.
    """
    names = [name for name, value in given.items() if value is not None]
    if len(names) == 1:
        return names[0]
    if "logits" in given:
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    raise ValueError(f"Exactly one of {' or '.join(given)} may be specified.")


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The lower triangle, up to the diagonal ``diag``, in row-major order. Shape: (…, n, n) -> (…, elements).

    Raises:
        ValueError: for a diagonal outside of the matrix.
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = _tril(n, diag, mat.device)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """The lower triangular matrix of these elements, the reverse of :func:`tril_matrix_to_vec`.

    Raises:
        ValueError: for a number of elements that no triangle has.
    """
    count = vec.shape[-1]
    n = round((-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2)
    rows, columns = _tril(n, diag, vec.device)
    if len(rows) != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of a "
            "square D x D matrix."
        )
    return _placed(vec, n, rows, columns)


def _tril(n: int, diag: int, device: Any) -> tuple[Any, Any]:
    found = tril_indices(n, n, diag, device=device)
    return found[0], found[1]


def _placed(vec: Any, n: int, rows: Any, columns: Any) -> Any:
    matrix = zeros((*vec.shape[:-1], n * n), dtype=vec.dtype, device=vec.device)
    at = (rows * n + columns).expand(vec.shape)
    return ops.scatter(matrix, -1, at, vec).reshape(*vec.shape[:-1], n, n)
