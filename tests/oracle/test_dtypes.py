"""Dtypes and what is asked and set about them, against PyTorch."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.dtypes.dtype import ALL, UNSIGNED

NAMES = [str(each).removeprefix("torch.") for each in (*ALL, *UNSIGNED)]


@pytest.fixture(autouse=True)
def _float32_afterwards(torch: Any) -> Iterator[None]:
    yield
    distrt.set_default_dtype(distrt.float32)
    torch.set_default_dtype(torch.float32)


def _outcome(function: Any) -> str:
    try:
        return str(function())
    except (RuntimeError, TypeError) as error:
        return "TypeError" if isinstance(error, TypeError) else "RuntimeError"


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_says_of_itself_what_pytorchs_says(name: str, torch: Any) -> None:
    ours, theirs = getattr(distrt, name), getattr(torch, name)
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert str(ours.to_real()) == str(theirs.to_real())
    if name != "float16":  # complex32, which NumPy lacks
        assert _outcome(ours.to_complex) == _outcome(theirs.to_complex)
    assert pickle.loads(pickle.dumps(ours)) is ours
    assert copy.deepcopy(ours) is ours


@pytest.mark.parametrize("kind", ["finfo", "iinfo"])
@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_pytorchs(kind: str, name: str, torch: Any) -> None:
    found, expected = (
        _outcome(lambda lib=lib: getattr(lib, kind)(getattr(lib, name))) for lib in (distrt, torch)
    )
    assert found == expected
    if found.startswith(kind):
        ours, theirs = (getattr(lib, kind)(getattr(lib, name)) for lib in (distrt, torch))
        for attribute in ("bits", "max", "min", *(("eps", "tiny", "resolution") if kind == "finfo" else ())):
            assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
        assert ours == getattr(distrt, kind)(getattr(distrt, name))


def test_finfo_without_an_argument_is_of_the_default_dtype(torch: Any) -> None:
    distrt.set_default_dtype(distrt.float64)
    assert distrt.finfo().dtype == "float64"
    assert str(distrt.finfo(float)) == str(torch.finfo(float))


def test_casts_and_promotions_are_pytorchs(torch: Any) -> None:
    for first, second in itertools.product(NAMES, NAMES):
        pairs = [(lib, getattr(lib, first), getattr(lib, second)) for lib in (distrt, torch)]
        for ask in ("can_cast", "promote_types"):
            found, expected = (_outcome(functools.partial(getattr(lib, ask), a, b)) for lib, a, b in pairs)
            assert found == expected, f"{ask}({first}, {second})"


def test_result_type_takes_tensors_and_numbers(torch: Any) -> None:
    pairs = [
        lambda lib: (lib.ones(2, dtype=lib.int32), 2.5),
        lambda lib: (2, lib.ones(2, dtype=lib.uint8)),
        lambda lib: (2, 3.5),
        lambda lib: (lib.tensor(1), lib.ones(2, dtype=lib.float16)),
        lambda lib: (lib.ones(2), 1j),
    ]
    for pair in pairs:
        assert str(distrt.result_type(*pair(distrt))) == str(torch.result_type(*pair(torch)))


MADE = {
    "zeros": lambda lib: lib.zeros(2),
    "full": lambda lib: lib.full((2,), 1.5),
    "tensor": lambda lib: lib.tensor([1.5, 2]),
    "tensor of complex": lambda lib: lib.tensor(1j),
    "arange": lambda lib: lib.arange(0.0, 2.0),
    "linspace": lambda lib: lib.linspace(0, 1, 3),
    "rand": lambda lib: lib.rand(2),
    "eye": lambda lib: lib.eye(2),
    "Tensor": lambda lib: lib.Tensor(2),
    "integers divided": lambda lib: lib.tensor([1, 2]) / 2,
    "integers times a float": lambda lib: lib.tensor([1, 2]) * 1.5,
    "integers times a complex number": lambda lib: lib.tensor([1, 2]) * 1j,
    "exp of integers": lambda lib: lib.exp(lib.tensor([1, 2])),
    "a float32 tensor times a float": lambda lib: lib.ones(2, dtype=lib.float32) * 1.5,
    "where of numbers": lambda lib: lib.where(lib.tensor([True]), 1.0, 2),
    "linear layer": lambda lib: lib.nn.Linear(2, 2).weight,
}


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (what, name)
        for what, name in itertools.product(MADE, ("float64", "float32", "float16"))
        if "complex" not in what or name != "float16"  # complex32, which NumPy lacks
    ],
)
def test_the_default_dtype_reaches(what: str, name: str, torch: Any) -> None:
    for library in (distrt, torch):
        library.set_default_dtype(getattr(library, name))
    assert str(MADE[what](distrt).dtype) == str(MADE[what](torch).dtype)
    assert str(distrt.get_default_dtype()) == str(torch.get_default_dtype())


@pytest.mark.parametrize("wrong", ["int32", "complex64", None, "float64 as text"])
def test_a_default_dtype_that_is_not_floating_is_refused(wrong: str | None) -> None:
    given = getattr(distrt, wrong, wrong) if wrong else None
    with pytest.raises(TypeError, match="only floating-point types"):
        distrt.set_default_dtype(given)


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64"])
def test_wide_unsigned_tensors_hold_data_and_promote_with_floats_only(name: str, torch: Any) -> None:
    ours, theirs = (lib.tensor([1, 2, 65535], dtype=getattr(lib, name)) for lib in (distrt, torch))
    assert ours.tolist() == theirs.tolist()
    assert str((ours * 1.5).dtype) == str((theirs * 1.5).dtype)
    assert (ours == 2).tolist() == (theirs == 2).tolist()
    with pytest.raises(RuntimeError, match="not supported"):
        ours + distrt.tensor([1])


INTEGER_FAULTS = {
    "floor division by 0": lambda t: t.tensor([7, -7]) // 0,
    "remainder by 0": lambda t: t.tensor([7]) % t.tensor(0),
    "fmod by 0": lambda t: t.fmod(t.tensor([7]), 0),
    "division, truncated, by 0": lambda t: t.div(t.tensor([7]), 0, rounding_mode="trunc"),
    "a negative power": lambda t: t.tensor([7]) ** -1,
    "an exponent out of range": lambda t: t.tensor([7], dtype=t.uint8) ** 300,
    "minus a bool": lambda t: -t.tensor([True]),
    "plus a bool": lambda t: +t.tensor([True]),
    "bool minus bool": lambda t: t.tensor([True]) - t.tensor([True]),
    "number minus bool": lambda t: 1 - t.tensor([True]),
    "a float as alpha": lambda t: t.add(t.tensor([7]), t.tensor([7]), alpha=1.5),
    "a bool as alpha": lambda t: t.add(t.tensor([7]), t.tensor([7]), alpha=True),
    "complex numbers in order": lambda t: t.tensor([1j]) < 2,
    "inverting floats": lambda t: ~t.ones(2),
    "an integer too large": lambda t: t.tensor([7]) + 10**20,
    "divmod": lambda t: divmod(t.tensor([7]), 2),
    "bits of a list": lambda t: t.tensor([7]) & [1],
}


@pytest.mark.parametrize("what", INTEGER_FAULTS)
def test_arithmetic_that_pytorch_refuses_is_refused(what: str, torch: Any) -> None:
    with pytest.raises((RuntimeError, TypeError, OverflowError)) as expected:
        INTEGER_FAULTS[what](torch)
    kind = next(each for each in (TypeError, OverflowError, RuntimeError) if isinstance(expected.value, each))
    with pytest.raises(kind):
        INTEGER_FAULTS[what](distrt)


def test_changes_in_place_that_would_narrow_the_result_are_refused(torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises(RuntimeError):
            library.ones(2).float_power_(2)
        with pytest.raises(RuntimeError):
            library.tensor([1j]).abs_()
        assert library.tensor([-1.0]).abs_().item() == 1


def test_a_comparison_in_place_cuts_the_tensor_from_its_history(torch: Any) -> None:
    for library in (distrt, torch):
        leaf = library.ones(2, requires_grad=True)
        changed = leaf * 3
        changed.gt_(0)
        (changed * leaf).sum().backward()
        assert leaf.grad.tolist() == [1.0, 1.0]


def test_a_complex_number_that_is_used_twice_gets_both_gradients(torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        leaf = library.tensor(1 + 2j, requires_grad=True)
        shared = leaf * (2 - 1j)
        (shared * shared.exp() + shared).abs().backward()
        found.append(leaf.grad.item())
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_integers_wrap(torch: Any) -> None:
    for run in (
        lambda t: t.tensor([1, 200], dtype=t.uint8) + 300,
        lambda t: t.tensor([1, 200], dtype=t.uint8) * 300,
        lambda t: t.tensor([1, 200], dtype=t.uint8) > 300,
        lambda t: t.tensor([1, 200], dtype=t.uint8) - 2,
        lambda t: -t.tensor([1, -128], dtype=t.int8),
        lambda t: t.tensor([1, -128], dtype=t.int8).abs(),
        lambda t: t.tensor([1, -128], dtype=t.int8) // -1,
        lambda t: t.tensor([3, 4], dtype=t.uint8).add_(300),
        lambda t: t.tensor([2**62, -(2**62)]) * 4,
        lambda t: t.tensor([1, -1, 2, 0]) ** t.tensor([-1, -1, -1, -1]),
    ):
        assert run(distrt).tolist() == run(torch).tolist()


def test_functions_refuse_arguments_without_a_tensor(torch: Any) -> None:
    for name in "exp sin relu isnan frexp erf clone floor maximum".split():
        for wrong in (np.ones(2), 1.0, [1.0], None):
            arguments = (wrong, wrong) if name == "maximum" else (wrong,)
            for library in (distrt, torch):
                with pytest.raises(TypeError):
                    getattr(library, name)(*arguments)
    for wrong in (
        lambda t: t.cat([np.ones(2)]),
        lambda t: t.div(np.ones(2), 2),
        lambda t: t.where(True, 1, 2),
    ):
        for library in (distrt, torch):
            with pytest.raises(TypeError):
                wrong(library)
