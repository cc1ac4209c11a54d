"""Which dtype two operands promote to: every pair of dtypes, in every combination of ranks, against PyTorch."""

from __future__ import annotations

import itertools
import operator
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.dtypes.dtype import ALL, PUBLIC_NAMES, of
from distrt.core.dtypes.promotion import result_dtype

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


OPERATIONS: dict[str, Any] = {
    **{name: operator.attrgetter(name) for name in "add sub mul div floor_divide remainder fmod pow".split()},
    **{
        name: operator.attrgetter(name)
        for name in "float_power copysign xlogy eq lt ge ldexp atan2 fmax".split()
    },
    **{
        name: operator.attrgetter(name) for name in "maximum bitwise_and bitwise_left_shift gcd hypot".split()
    },
    **{
        name: operator.attrgetter(name)
        for name in "logaddexp nextafter heaviside logical_xor isclose".split()
    },
    **{name: operator.attrgetter(name) for name in "clamp_min rsub".split()},
    "where": lambda library: lambda a, b: library.where(library.tensor([True, False]), a, b),
    "lerp": lambda library: lambda a, b: library.lerp(a, b, 0.5),
    "addcmul": lambda library: lambda a, b: library.addcmul(a, b, b),
    "addcdiv": lambda library: lambda a, b: library.addcdiv(a, b, b),
    "clamp": lambda library: lambda a, b: library.clamp(a, b, b),
    "div.floor": lambda library: lambda a, b: library.div(a, b, rounding_mode="floor"),
    "div.trunc": lambda library: lambda a, b: library.div(a, b, rounding_mode="trunc"),
}
IN_PLACE = (
    "add sub mul div floor_divide remainder fmod pow copysign eq lt ldexp atan2 bitwise_and bitwise_left_shift gcd "
    "hypot logical_and clamp_min xlogy nextafter"
).split()


def _outcome(function: Any, *operands: Any) -> str:
    """The dtype of the result, or the kind of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _name(function(*operands).dtype)
    except (RuntimeError, TypeError) as error:
        return "TypeError" if isinstance(error, TypeError) else "RuntimeError"


def _meets_complex_half(*names: str) -> bool:
    """PyTorch computes such pairs in complex32, which NumPy lacks, or raises there alone."""
    return "float16" in names and any("complex" in name for name in names)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_two_tensors_of_any_dtypes_and_ranks_give_pytorchs_dtype_or_error(operation: str, torch: Any) -> None:
    ours, theirs = OPERATIONS[operation](distrt), OPERATIONS[operation](torch)
    for first, second in itertools.product(NAMES, NAMES):
        if _meets_complex_half(first, second):
            continue
        for left, right in itertools.product(RANKS.values(), RANKS.values()):
            a, their_a = _operands(torch, first, left)
            b, their_b = _operands(torch, second, right)
            expected = _outcome(theirs, their_a, their_b)
            assert _outcome(ours, a, b) == expected, f"{operation}: {first}{left} and {second}{right}"


#: A number in the place of the first tensor, or True as an exponent: PyTorch's parser has rules of its own there.
_NUMBER_FIRST = (
    "add sub mul div floor_divide remainder pow float_power bitwise_and bitwise_left_shift where xlogy"
)
_NUMBER_SECOND = (
    f"{_NUMBER_FIRST} fmod copysign eq lt ge rsub atan2 fmax maximum gcd hypot logaddexp nextafter lerp"
)


@pytest.mark.parametrize("operation", _NUMBER_SECOND.split())
def test_a_tensor_and_a_number_give_pytorchs_dtype_or_error(operation: str, torch: Any) -> None:
    ours, theirs = OPERATIONS[operation](distrt), OPERATIONS[operation](torch)
    for name, number, shape in itertools.product(NAMES, (*SCALARS, -1), RANKS.values()):
        if _meets_complex_half(name, type(number).__name__) or (operation == "pow" and number is True):
            continue
        a, their_a = _operands(torch, name, shape)
        assert _outcome(ours, a, number) == _outcome(theirs, their_a, number), (
            f"{operation}: {name}, {number}"
        )
        if operation in _NUMBER_FIRST.split():
            expected = _outcome(theirs, number, their_a)
            assert _outcome(ours, number, a) == expected, f"{operation}: {number}, {name}{shape}"


@pytest.mark.parametrize("name", IN_PLACE)
def test_results_in_place_are_cast_or_refused_as_in_pytorch(name: str, torch: Any) -> None:
    def change(a: Any, b: Any) -> Any:
        return getattr(a, f"{name}_")(b)

    for first, second in itertools.product(NAMES, NAMES):
        if _meets_complex_half(first, second):
            continue
        for left, right in itertools.product(RANKS.values(), RANKS.values()):
            a, their_a = _operands(torch, first, left)
            b, their_b = _operands(torch, second, right)
            expected = _outcome(change, their_a, their_b)
            assert _outcome(change, a, b) == expected, f"{first}{left}.{name}_({second}{right})"


UNARY = (
    "abs neg positive exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan asin "
    "acos atan sinh cosh tanh asinh acosh atanh round floor ceil trunc frac sign sgn signbit deg2rad "
    "rad2deg nan_to_num logit erf erfc erfinv sigmoid lgamma digamma relu i0 sinc isnan isinf isfinite "
    "isposinf isneginf isreal logical_not bitwise_not angle conj conj_physical real imag"
).split()


@pytest.mark.parametrize("function", UNARY)
def test_functions_of_one_tensor_give_pytorchs_dtype_or_error(function: str, torch: Any) -> None:
    for name in NAMES:
        ours, theirs = _operands(torch, name, (2,))
        expected = _outcome(getattr(torch, function), theirs)
        assert _outcome(getattr(distrt, function), ours) == expected, name
        if hasattr(theirs, f"{function}_") and not (function == "abs" and "complex" in name):
            changed = _outcome(getattr(theirs, f"{function}_"))
            assert _outcome(getattr(ours, f"{function}_")) == changed, f"{name}, in place"


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
