"""Text and None in data are refused as by PyTorch, whatever dtype is asked for: neither becomes a number or NaN."""

import itertools
import warnings
from types import ModuleType
from typing import Any

import pytest

import distrt
from tests.oracles import builtin_kind


class _Measure:
    """Something with a size, which is no whole number."""

    def __float__(self) -> float:
        return 2.5


DATA: list[Any] = [
    *(
        [1, None],
        [[1], None],
        [None],
        None,
        ["1.5"],
        [1, "2"],
        [[1], "a"],
        [...],
        [[1], 2],
        [1, [2]],
        [1j],
    ),
    [1.5, True],
]
DTYPES = ["none", "float32", "int64", "bool", "complex64"]


def outcome(make: Any) -> Any:
    try:
        found = make()
    except Exception as error:
        return builtin_kind(error)
    return found.tolist(), str(found.dtype)


@pytest.mark.parametrize(("data", "dtype"), list(itertools.product(DATA, DTYPES)), ids=str)
def test_data_is_read_or_refused_as_by_pytorch(data: Any, dtype: str, torch: ModuleType) -> None:
    mine, theirs = (
        outcome(lambda lib=lib: lib.tensor(data, dtype=getattr(lib, dtype, None))) for lib in (distrt, torch)
    )
    assert mine == theirs


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_what_has_a_float_only_is_no_whole_number(dtype: str, torch: ModuleType) -> None:
    mine, theirs = (
        outcome(lambda lib=lib: lib.tensor([_Measure()], dtype=getattr(lib, dtype)))
        for lib in (distrt, torch)
    )
    assert mine == theirs


@pytest.mark.parametrize("name", ["FloatTensor", "LongTensor", "BoolTensor", "Tensor"])
def test_older_constructors_refuse_it_as_well(name: str, torch: ModuleType) -> None:
    for data in ([1, None], ["1.5"], [1, "2"], [[1], None]):
        mine, theirs = (
            outcome(lambda lib=lib, data=data: getattr(lib, name)(data)) for lib in (distrt, torch)
        )
        assert mine == theirs and mine in (TypeError, ValueError)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (("x", True), {}),
        (("x",), {"volatile": False}),
        (("x",), {"volatile": True}),
        (("x", False, True), {}),
        ((), {}),
        (([1],), {}),
    ],
)
def test_variables_are_made_as_in_old_scripts(
    words: tuple[Any, ...], options: dict[str, bool], torch: ModuleType
) -> None:
    results = []
    for lib in (distrt, torch):
        given = [lib.ones(2) if each == "x" else each for each in words]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            results.append([outcome(lambda lib=lib, given=given: lib.autograd.Variable(*given, **options))])
        results[-1].append([str(each.message).partition(" (Triggered")[0] for each in said])
    assert results[0] == results[1]
