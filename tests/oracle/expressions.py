"""One expression, evaluated with distrt and with PyTorch, and their outcomes compared."""

from __future__ import annotations

import array
import warnings
from typing import Any

import numpy as np

import distrt
from tests.oracle.compare import assert_same, outputs_of
from tests.oracle.test_errors import BUILTINS


def outcome(expression: str, library: Any) -> tuple[Any, Exception | None]:
    """What the expression gives, or raises."""

    def grid(*shape: int) -> Any:
        """The numbers from 0 on."""
        return library.arange(float(np.prod(shape, dtype=int))).reshape(shape)

    def assigned(key: Any, value: Any, base: Any = None) -> Any:
        """A matrix of zeros, or a copy of ``base``, after an assignment."""
        changed = (library.zeros(3, 4) if base is None else base).clone()
        changed[key] = value
        return changed

    names = {
        "t": library,
        "np": np,
        "array": array,
        "grid": grid,
        "cube": lambda: grid(3, 4, 5),
        "assigned": assigned,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return eval(expression, names), None
        except Exception as fault:
            return None, fault


def assert_same_outcome(expression: str, torch: Any) -> None:
    """Compares shapes, dtypes, strides and values, or the class of the error."""
    expected, wrong = outcome(expression, torch)
    found, fault = outcome(expression, distrt)
    if wrong is not None:
        assert fault is not None, f"nothing was raised; PyTorch: {wrong!r}"
        wanted = next(each for each in BUILTINS if isinstance(wrong, each))
        assert isinstance(fault, wanted), f"{fault!r} instead of {wrong!r}"
        return
    assert fault is None, repr(fault)
    ours, theirs = outputs_of(found), outputs_of(expected)
    assert len(ours) == len(theirs)
    for mine, reference in zip(ours, theirs, strict=True):
        if not isinstance(reference, torch.Tensor):
            assert mine == reference or str(mine) == str(reference)
            continue
        assert_same(mine, reference, expression)
        assert mine.stride() == reference.stride()
        assert mine.requires_grad == reference.requires_grad
