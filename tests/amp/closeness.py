"""Comparing what has been rounded to a narrow dtype on its way."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.oracle.compare import values
from tests.oracle.op_cases import TOLERANCE


def assert_close(ours: Any, theirs: Any, what: str, narrow: str, scale: float = 1.0) -> None:
    """Shape and dtype are the same; values up to the narrowest rounding on the way, relative to the largest.

    Args:
        ours: a distrt tensor.
        theirs: PyTorch's.
        what: for the message.
        narrow: the dtype that something on the way may have been rounded to; "" where nothing was.
        scale: widens the tolerance.
    """
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: {ours.shape} instead of {theirs.shape}"
    assert str(ours.dtype) == str(theirs.dtype), f"{what}: {ours.dtype} instead of {theirs.dtype}"
    own = str(theirs.dtype).removeprefix("torch.")
    if own not in TOLERANCE:
        if not narrow:
            np.testing.assert_array_equal(values(ours), values(theirs), what)
        return
    rtol, atol = np.max([TOLERANCE[each] for each in (own, narrow or own)], axis=0) * scale
    expected = values(theirs)
    atol *= max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    np.testing.assert_allclose(values(ours), expected, rtol, atol, equal_nan=True, err_msg=what)
