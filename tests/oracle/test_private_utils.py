"""What libraries take from ``torch._utils``, beside PyTorch's."""

import pytest

import distrt
from distrt import _utils
from tests.oracles import require_torch

torch = require_torch()

LIBRARIES = ((torch, torch._utils), (distrt, _utils))


def tensors(t):
    """Of three dtypes; one is transposed, one without elements, one without dims."""
    return [
        t.arange(6.0).view(2, 3),
        t.arange(4).view(2, 2),
        t.arange(6.0).view(2, 3).t(),
        t.ones(2, dtype=t.float64),
        t.empty(0, 3),
        t.tensor(7.0),
        t.arange(3),
    ]


def told(found):
    return [(tuple(each.shape), str(each.dtype), each.tolist()) for each in found]


CASES = {
    "flatten": lambda t, u: told(
        [u._flatten_dense_tensors([each for each in tensors(t) if each.dtype == t.float32])]
    ),
    "flatten one": lambda t, u: (
        [each.data_ptr() == u._flatten_dense_tensors([each]).data_ptr() for each in tensors(t)[:3]],
        told([u._flatten_dense_tensors([tensors(t)[2]])]),
    ),
    "unflatten": lambda t, u: told(u._unflatten_dense_tensors(t.arange(26), tensors(t))),
    "unflatten views": lambda t, u: [
        each.data_ptr() == flat.data_ptr() + 4 * start
        for flat in [t.arange(10.0)]
        for start, each in zip(
            (0, 4), u._unflatten_dense_tensors(flat, [t.ones(2, 2), t.ones(6)]), strict=True
        )
    ],
    "unflatten too few": lambda t, u: u._unflatten_dense_tensors(t.ones(2), [t.ones(2, 2)]),
    "take": lambda t, u: [
        [told(chunk) for chunk in u._take_tensors(tensors(t), limit)] for limit in (0, 16, 40, 48, 1000)
    ],
    "take none": lambda t, u: list(u._take_tensors([], 8)),
    "reorder": lambda t, u: told(
        u._reorder_tensors_as(
            [each for chunk in u._take_tensors(tensors(t), 30) for each in chunk], tensors(t)
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_private_utilities_do_what_pytorchs_do(case):
    found = []
    for library, utils in LIBRARIES:
        try:
            found.append(CASES[case](library, utils))
        except RuntimeError as error:
            found.append(type(error).__mro__[-4:])
    theirs, ours = found
    assert ours == theirs or (isinstance(theirs, tuple) and RuntimeError in theirs and RuntimeError in ours)
