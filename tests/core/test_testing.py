"""``distrt.testing.assert_close`` agrees with PyTorch's, in its verdict and its words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt

nan = float("nan")

PAIRS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "equal": lambda t: (t.ones(3), t.ones(3)),
    "within": lambda t: (t.tensor([1.0]), t.tensor([1.0 + 1e-6])),
    "beyond": lambda t: (t.tensor([1.0, 2.0, 3.0]), t.tensor([1.0, 2.5, 3.25])),
    "of two dims": lambda t: (t.tensor([[1.0, 2.0], [3.0, 4.0]]), t.tensor([[1.0, 2.0], [5.0, 4.0]])),
    "integers": lambda t: (t.tensor([1, 2]), t.tensor([1, 4])),
    "bools": lambda t: (t.tensor([True, False]), t.tensor([True, True])),
    "0-d": lambda t: (t.tensor(1.0), t.tensor(2.0)),
    "0-d integers": lambda t: (t.tensor(1), t.tensor(2)),
    "half within": lambda t: (t.tensor([1.0]).half(), t.tensor([1.0009]).half()),
    "bfloat16 beyond": lambda t: (t.tensor([1.0]).bfloat16(), t.tensor([1.1]).bfloat16()),
    "float64 beyond": lambda t: (t.tensor([1.0]).double(), t.tensor([1.0 + 1e-6]).double()),
    "complex": lambda t: (t.tensor([1 + 1j]), t.tensor([1 + 2j])),
    "not a number": lambda t: (t.tensor([nan]), t.tensor([nan])),
    "not a number, equal": lambda t: (t.tensor([nan]), t.tensor([nan]), {"equal_nan": True}),
    "infinite": lambda t: (t.tensor([float("inf")]), t.tensor([float("inf")])),
    "infinite of other signs": lambda t: (t.tensor([float("inf"), 1.0]), t.tensor([-float("inf"), 1.0])),
    "shapes": lambda t: (t.ones(2), t.ones(3)),
    "shapes that broadcast": lambda t: (t.ones(2, 1), t.ones(2, 2)),
    "dtypes": lambda t: (t.ones(2), t.ones(2).double()),
    "dtypes unchecked": lambda t: (t.ones(2), t.ones(2).double(), {"check_dtype": False}),
    "integer and float unchecked": lambda t: (t.ones(2).long(), t.ones(2), {"check_dtype": False}),
    "strides": lambda t: (t.ones(2, 3), t.ones(3, 2).t(), {"check_stride": True}),
    "own tolerances": lambda t: (t.tensor([1.0]), t.tensor([1.05]), {"rtol": 0.1, "atol": 0.0}),
    "own tolerances beyond": lambda t: (t.tensor([1.0]), t.tensor([1.5]), {"rtol": 0.1, "atol": 0.0}),
    "one tolerance": lambda t: (t.tensor([1.0]), t.tensor([1.5]), {"rtol": 0.1}),
    "exact": lambda t: (t.tensor([1.0]), t.tensor([1.0 + 1e-6]), {"rtol": 0, "atol": 0}),
    "numbers": lambda t: (1.0, 1.0 + 1e-9),
    "numbers beyond": lambda t: (1.0, 1.1),
    "integers as numbers": lambda t: (1, 2),
    "number kinds": lambda t: (1, 1.0),
    "lists": lambda t: ([t.ones(1), t.zeros(1)], [t.ones(1), t.ones(1)]),
    "list lengths": lambda t: ([t.ones(1)], [t.ones(1), t.ones(1)]),
    "tuples and lists": lambda t: ((1.0, 2.0), [1.0, 2.0]),
    "mappings": lambda t: ({"a": t.ones(1)}, {"a": t.zeros(1)}),
    "mapping keys": lambda t: ({"a": t.ones(1)}, {"b": t.ones(1)}),
    "mapping kinds": lambda t: (OrderedDict(a=t.ones(1)), {"a": t.ones(1)}),
    "nested": lambda t: ({"a": [t.ones(1), 3.0]}, {"a": [t.ones(1), 4.0]}),
    "arrays": lambda t: (np.ones(2), np.ones(2)),
    "None": lambda t: (None, None),
    "None and a number": lambda t: (None, 1),
    "text": lambda t: ("a", "a"),
    "a message": lambda t: (t.ones(1), t.zeros(1), {"msg": "own words"}),
    "a message that is made": lambda t: (t.ones(1), t.zeros(1), {"msg": lambda text: "before " + text}),
    "nothing in it": lambda t: (t.ones(0), t.ones(0)),
    "in a graph": lambda t: (t.ones(1, requires_grad=True), t.ones(1)),
}


def _verdict(library: Any, pair: tuple[Any, ...]) -> tuple[str, str]:
    options = pair[2] if len(pair) > 2 else {}
    try:
        library.testing.assert_close(pair[0], pair[1], **options)
    except Exception as fault:
        kinds = (AssertionError, TypeError, ValueError)
        return next(kind.__name__ for kind in kinds if isinstance(fault, kind)), str(fault)
    return "close", ""


@pytest.mark.parametrize("name", PAIRS)
def test_the_verdict_is_pytorchs(name: str, torch: Any) -> None:
    expected, found = (_verdict(library, PAIRS[name](library)) for library in (torch, distrt))
    assert found[0] == expected[0], (found, expected)
    if expected[0] == "AssertionError":
        assert found[1] == expected[1]


def test_assert_allclose_lets_dtypes_differ() -> None:
    with pytest.warns(FutureWarning, match="assert_close"):
        distrt.testing.assert_allclose(distrt.ones(2), [1.0, 1.0])
    with pytest.warns(FutureWarning, match="assert_close"), pytest.raises(AssertionError):
        distrt.testing.assert_allclose(distrt.ones(2), np.zeros(2))
