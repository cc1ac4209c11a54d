"""The text of a tensor: values, then dtype and graph where they are not the usual ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distrt.core import dtype as dt

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor

_USUAL = (dt.float32, dt.int64, dt.bool_, dt.complex64)


def text_of(tensor: Tensor) -> str:
    """``tensor([1., 2.], requires_grad=True)``, as PyTorch writes it."""
    opening = (
        f"{type(tensor).__name__} containing:\ntensor(" if type(tensor).__name__ == "Parameter" else "tensor("
    )
    array = tensor._array
    shown = array.astype(np.float32) if tensor.dtype is dt.bfloat16 else array
    whole = (
        tensor.dtype.is_floating_point
        and bool(np.isfinite(shown).all())
        and bool((shown == np.trunc(shown)).all())
    )
    body = np.array2string(
        shown,
        precision=4,
        separator=", ",
        prefix="tensor(",
        floatmode="maxprec" if whole else "maxprec_equal",
        threshold=1000,
    )
    notes = []
    if tensor.dtype not in _USUAL:
        notes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return opening + ", ".join([body, *notes]) + ")"
