"""Small private modules of PyTorch's that scripts import, beside PyTorch's."""

import importlib
import warnings

import pytest

import distrt
from tests.oracle.compare import values
from tests.oracles import require_torch

torch = require_torch()


def module(library, name):
    return importlib.import_module(f"{library.__name__}.{name}")


def test_the_tensor_is_where_editors_import_it_from():
    assert module(distrt, "_tensor").Tensor is distrt.Tensor


def recurrent(t):
    """A layer of one's own, as dropout of weights makes it, runs its parameters by itself."""
    vf, layer, x = module(t, "_VF"), t.nn.LSTM(2, 3, num_layers=2), t.arange(8.0).view(4, 1, 2) / 8
    with t.no_grad():
        weights = [t.full_like(each, 0.1) for each in layer._flat_weights]
    state = (t.zeros(2, 1, 3),) * 2
    found = vf.lstm(x, state, weights, True, 2, 0.0, True, False, False)
    cell = vf.gru_cell(x[0], state[0][0], t.ones(9, 2), t.ones(9, 3), t.zeros(9), t.zeros(9))
    return [*found, cell]


def test_functions_are_at_vf():
    for ours, theirs in zip(recurrent(distrt), recurrent(torch), strict=True):
        assert values(ours) == pytest.approx(values(theirs), rel=1e-5)
    for library in (distrt, torch):
        with pytest.raises(AttributeError, match="nope"):
            _ = module(library, "_VF").nope
    assert distrt._VF is module(distrt, "_VF")


REDUCTIONS = {
    "enum": lambda r: [r.get_enum(each) for each in ("none", "mean", "sum")],
    "older word": lambda r: r.get_enum("elementwise_mean"),
    "unknown": lambda r: r.get_enum("min"),
    "older arguments": lambda r: [
        (r.legacy_get_string(a, b), r.legacy_get_enum(a, b))
        for a in (None, True, False)
        for b in (None, True, False)
    ],
    "quietly": lambda r: r.legacy_get_enum(False, True, emit_warning=False),
}


@pytest.mark.parametrize("case", REDUCTIONS)
def test_reductions_have_pytorchs_numbers(case):
    outcomes = []
    for library in (distrt, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                outcome = REDUCTIONS[case](module(library, "nn._reduction"))
            except ValueError as error:
                outcome = str(error)
        outcomes.append((outcome, [str(each.message) for each in caught]))
    assert outcomes[0] == outcomes[1]
