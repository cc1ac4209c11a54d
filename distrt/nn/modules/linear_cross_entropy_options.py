"""How ``linear_cross_entropy`` divides its rows into parts, whose logits exist one part at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

from distrt.core.dtypes import dtype as dt

__all__ = ["LinearCrossEntropyOptions"]

_ACC_POLICIES = ("auto", "accurate", "balanced", "compact")
_ACC_DTYPES = (None, dt.float16, dt.bfloat16, dt.float32, dt.float64)


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """The size of the parts.

    Sums are always kept in float32 at least, and a backward pass may be run again: ``acc_policy``, ``acc_dtype`` and
    ``allow_retain_graph`` are taken, checked, and change nothing.

    Attributes:
        allow_retain_graph: whether the backward pass may be run twice.
        batch_chunk_size: rows in a part; all of them for None, unless ``chunking_method`` says otherwise.
        chunking_method: "aspect_ratio" for parts whose logits take about as much memory as the input,
            "aspect_ratio:N" for an N-th of that, "auto" for a choice by dtype, or None.
        acc_policy: where sums are kept in ``acc_dtype``.
        acc_dtype: the dtype of sums.

    Raises:
        ValueError: for another value.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.acc_policy not in _ACC_POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            _factor(self.chunking_method)
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in _ACC_DTYPES:
            shown = ", ".join(map(str, _ACC_DTYPES))
            raise ValueError(
                f"acc_dtype must be one of {{{shown}}}, got {self.acc_dtype!r}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )

    def rows_at_a_time(self, rows: int, in_features: int, num_classes: int, dtype: Any) -> int:
        """The rows in a part.

        Raises:
            ValueError: where ``batch_chunk_size`` and ``chunking_method`` disagree.
            RuntimeError: for sums in a dtype that the input's cannot have.
        """
        self._check_sums(dtype)
        method, size = self.chunking_method, self.batch_chunk_size
        if method == "auto":
            method = "aspect_ratio" if dtype.itemsize == 2 else "aspect_ratio:2"
            method = method if size is None else None
        if method is None:
            return max(1, rows if size is None else min(size, rows))
        wanted = -(-rows // max(1, -(-num_classes // in_features)))
        chosen = min((1 << max(wanted - 1, 0).bit_length()) // _factor(method), rows)
        if size is not None and min(size, rows) != chosen and size != chosen:
            raise ValueError(
                f"batch_chunk_size (={size}) and chunking_method ('{method}') give different chunk sizes ({size} vs "
                f"{chosen}); pass only one."
            )
        return max(1, chosen)

    def _check_sums(self, dtype: Any) -> None:
        wanted = dtype if self.acc_dtype is None else self.acc_dtype
        if wanted != dtype and not (dtype.itemsize == 2 and wanted == dt.float32):
            raise RuntimeError(
                f"linear_cross_entropy supports float32 acc_dtype with float16/bfloat16 inputs, but got {wanted} "
                f"acc_dtype and {dtype} inputs."
            )


def _factor(method: str | None) -> int:
    """The N of "aspect_ratio:N", 1 without it.

    Raises:
        ValueError: for another text.
    """
    name, colon, factor = str(method).partition(":")
    factor = factor if colon else "1"
    if name != "aspect_ratio" or not factor.isdigit() or not int(factor):
        raise ValueError(f"invalid chunking_method: {method!r}")
    return int(factor)
