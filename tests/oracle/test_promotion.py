"""Which dtype two operands promote to: every pair of dtypes, in every combination of ranks, against PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.dtype import ALL, PUBLIC_NAMES, of
from distrt.core.promotion import result_dtype

NAMES = [str(each).removeprefix("torch.") for each in ALL]
SCALARS = (True, 2, 2.5, 2j)
RANKS = {"with dims": (2,), "0-d": ()}


def _operands(torch: Any, name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    ours = distrt.ones(shape, dtype=getattr(distrt, name))
    return ours, torch.ones(shape, dtype=getattr(torch, name))


def _name(dtype: Any) -> str:
    """distrt has no complex32 (nor does NumPy): the next wider one stands for it."""
    return "torch.complex64" if str(dtype) == "torch.complex32" else str(dtype)


@pytest.mark.parametrize(("left", "right"), list(itertools.product(RANKS, RANKS)))
def test_two_tensors_promote_as_in_pytorch(left: str, right: str, torch: Any) -> None:
    for first, second in itertools.product(NAMES, NAMES):
        a, their_a = _operands(torch, first, RANKS[left])
        b, their_b = _operands(torch, second, RANKS[right])
        expected = _name(torch.result_type(their_a, their_b))
        found = of(np.empty(0, result_dtype(a._array, b._array)))
        assert str(found) == expected, f"{first} and {second}"
        assert str((a * b).dtype) == expected, f"{first} * {second}"


@pytest.mark.parametrize("rank", RANKS)
def test_a_tensor_and_a_number_promote_as_in_pytorch(rank: str, torch: Any) -> None:
    for name, number in itertools.product(NAMES, SCALARS):
        ours, theirs = _operands(torch, name, RANKS[rank])
        expected = _name(torch.result_type(theirs, number))
        assert str((ours * number).dtype) == expected, f"{name} * {number}"
        assert str((number + ours).dtype) == expected, f"{number} + {name}"


@pytest.mark.parametrize("rank", RANKS)
def test_true_division_makes_integers_float(rank: str, torch: Any) -> None:
    for first, second in itertools.product(NAMES, NAMES):
        a, their_a = _operands(torch, first, RANKS[rank])
        b, their_b = _operands(torch, second, (2,))
        if str(torch.result_type(their_a, their_b)) == "torch.complex32":
            continue  # PyTorch cannot divide in it
        assert str((a / b).dtype) == str((their_a / their_b).dtype), f"{first} / {second}"


@pytest.mark.parametrize("function", ["exp", "sqrt", "sigmoid", "log", "tanh", "sin"])
def test_functions_make_integers_float(function: str, torch: Any) -> None:
    for name in NAMES:
        if "complex" in name:
            continue
        ours, theirs = _operands(torch, name, (2,))
        assert str(getattr(distrt, function)(ours).dtype) == str(getattr(torch, function)(theirs).dtype), name


def test_in_place_results_that_do_not_fit_are_refused(torch: Any) -> None:
    for first, second in itertools.product(NAMES, NAMES):
        a, their_a = _operands(torch, first, (2,))
        b, their_b = _operands(torch, second, (2,))
        try:
            their_a.add_(their_b)
        except RuntimeError:
            with pytest.raises(RuntimeError, match="can't be cast"):
                a.add_(b)
        else:
            assert str(a.add_(b).dtype) == str(their_a.dtype), f"{first}.add_({second})"


def test_sums_of_integers_are_int64(torch: Any) -> None:
    for name in NAMES:
        ours, theirs = _operands(torch, name, (2,))
        assert str(ours.sum().dtype) == str(theirs.sum().dtype), name
        assert ours.sum().item() == theirs.sum().item(), name


def test_every_public_dtype_exists_in_pytorch(torch: Any) -> None:
    for name, dtype in PUBLIC_NAMES.items():
        assert str(getattr(torch, name)) == repr(dtype)
