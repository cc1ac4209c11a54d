"""``finfo`` and ``iinfo``: what the numbers of a dtype can be."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from distrt.core.dtypes import dtype as dt


class finfo:  # noqa: N801 - PyTorch's own spelling
    """The bounds and the precision of a floating dtype (of a complex one's parts); by default the default dtype.

    Attributes:
        bits: the size of a number.
        eps: the distance from 1 to the next larger number.
        max, min: the largest number and its negative.
        tiny, smallest_normal: the smallest positive number of full precision.
        resolution: the precision in decimals, as a power of ten.
        dtype: the dtype's name.

    Raises:
        TypeError: for any other dtype.
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: Any = None) -> None:
        known = _known("finfo", dt.default.floating if type is None else type).to_real()
        if not known.is_floating_point:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        found: Any = ml_dtypes.finfo(known.numpy)  # type: ignore[no-untyped-call]
        self.dtype = repr(known).removeprefix("torch.")
        self.bits = int(found.bits)
        self.eps, self.max, self.min = float(found.eps), float(found.max), float(found.min)
        self.tiny = self.smallest_normal = float(found.smallest_normal)
        self.resolution = float(f"1e-{int(-np.log10(self.eps))}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in shown)}, dtype={self.dtype})"


class iinfo:  # noqa: N801
    """The bounds of an integer dtype.

    Attributes:
        bits: the size of a number.
        max, min: the largest and the smallest number.
        dtype: the dtype's name.

    Raises:
        TypeError: for any other dtype.
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: Any) -> None:
        known = _known("iinfo", type)
        if known.category >= 2:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'"
            )
        if known is dt.bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        found = np.iinfo(known.numpy)
        self.dtype = repr(known).removeprefix("torch.")
        self.bits, self.max, self.min = int(found.bits), int(found.max), int(found.min)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def _known(name: str, given: Any) -> dt.dtype:
    if isinstance(given, dt.dtype):
        return given
    if given in (float, int, bool, complex):
        return dt.named(given)
    raise TypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not {type(given).__name__}")
