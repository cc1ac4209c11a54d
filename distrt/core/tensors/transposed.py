"""Attributes that are other views of a tensor: ``T``, ``mT``, ``H``, ``mH``, ``real``, ``imag``."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor


def _t(self: Tensor) -> Tensor:
    """The dims in reverse order."""
    if self.ndim == 0:
        _warn_of_0d("T", "This function is the identity in these cases.")
    elif self.ndim != 2:
        warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will "
            "throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
            "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
        )
    return ops.permute(self, tuple(reversed(range(self.ndim))))  # type: ignore[no-any-return]


def _mt(self: Tensor) -> Tensor:
    """The last two dims swapped: each matrix of a batch transposed."""
    if self.ndim == 0:
        _warn_of_0d("mT", "This function is the identity in these cases.")
        return self
    return _swapped(self, "mT")


def _mh(self: Tensor) -> Tensor:
    """Each matrix of a batch transposed and conjugated."""
    if self.ndim == 0:
        _warn_of_0d("mH", "Consider using x.conj().")
        return ops.conj(self)  # type: ignore[no-any-return]
    return ops.conj(_swapped(self, "mH"))  # type: ignore[no-any-return]


def _h(self: Tensor) -> Tensor:
    """A matrix transposed and conjugated."""
    if self.ndim == 0:
        _warn_of_0d("H", "Consider using x.conj().")
        return ops.conj(self)  # type: ignore[no-any-return]
    if self.ndim != 2:
        more = " For batches of matrices, consider using tensor.mH" if self.ndim > 2 else ""
        raise ShapeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.{more}"
        )
    return _mh(self)


def _swapped(self: Tensor, name: str) -> Tensor:
    if self.ndim < 2:
        raise ShapeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor."
        )
    return ops.transpose(self, -2, -1)  # type: ignore[no-any-return]


def _warn_of_0d(name: str, advice: str) -> None:
    warn(f"Tensor.{name} is deprecated on 0-D tensors. {advice}")


def _real(self: Tensor) -> Tensor:
    """The real parts, in the same memory; a real tensor itself."""
    return ops.real(self)  # type: ignore[no-any-return]


def _set_real(self: Tensor, value: Any) -> None:
    ops.real(self)[...] = value


def _imag(self: Tensor) -> Tensor:
    """The imaginary parts, in the same memory. Raises RuntimeError for real tensors."""
    return ops.imag(self)  # type: ignore[no-any-return]


def _set_imag(self: Tensor, value: Any) -> None:
    ops.imag(self)[...] = value


PROPERTIES: dict[str, property] = {
    "H": property(_h),
    "T": property(_t),
    "imag": property(_imag, _set_imag),
    "mH": property(_mh),
    "mT": property(_mt),
    "real": property(_real, _set_real),
}
