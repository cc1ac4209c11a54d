"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.overriding.doors import overridable
from distrt.core.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]

_cat = overridable(ops.cat)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other, in one 1-d tensor; it has a graph."""
    vector: Tensor = _cat([each.reshape(-1) for each in parameters])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Makes the parameters views of consecutive parts of ``vec``: their values are its values from then on.

    Raises:
        TypeError: for a ``vec`` that is no tensor.
        ShapeError: for a ``vec`` with too few elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for each in parameters:
        count = each.numel()
        part = vec[start : start + count]
        if part.numel() != count:
            raise ShapeError(f"shape '{list(each.shape)}' is invalid for input of size {part.numel()}")
        each.data = part.view_as(each).data
        start += count
