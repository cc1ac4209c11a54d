"""PyTorch's own table of optimizers and options (``common_optimizers.optim_db``), on both libraries.

Each set of options, with each implementation: parameters after some steps, the layout of the state, repr; each
combination of schedules; and the options that must fail: class and message. Nothing of the table is kept here.
"""

from __future__ import annotations

import copy
import pickle
import types
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import quietly
from tests.oracle.translation import Translation, Untranslatable
from tests.oracles import require_torch

torch = require_torch()
pytest.importorskip(
    "expecttest", reason="PyTorch's table of optimizers needs expecttest, which the extra test brings"
)
optim_db = quietly(pytest.importorskip, "torch.testing._internal.common_optimizers").optim_db

pytestmark = [pytest.mark.ci, pytest.mark.filterwarnings("ignore")]

TABLE = {info.optim_cls.__name__: info for info in optim_db}
STEPS = 5

#: All but the optimizer for sparse gradients, which distrt does not have.
TRAINED = [name for name, info in TABLE.items() if not info.only_supports_sparse_grads]

#: Relative tolerance by dtype; LBFGS magnifies rounding from step to step, ASGD's for-each form has another order.
TOLERANCE = {"float32": 2e-5, "float64": 1e-8, "complex64": 2e-4}


@pytest.mark.parametrize("name", TRAINED)
def test_every_set_of_options_trains_as_pytorchs(name: str) -> None:
    info = TABLE[name]
    for dtype in (torch.float32, torch.float64, *([torch.complex64] if info.supports_complex else [])):
        for options in info.optim_inputs_func(device="cpu", dtype=dtype):
            for form in (None, *(each for each in info.supported_impls if each in ("foreach", "fused"))):
                given = options.kwargs | ({form: True} if form else {})
                if not (form and "differentiable" in given) and not (form == "fused" and dtype.is_complex):
                    _assert_same_training(name, dtype, given, None)


@pytest.mark.parametrize("name", TRAINED)
def test_every_combination_of_schedules_trains_as_pytorchs(name: str) -> None:
    for schedules in TABLE[name].scheduler_inputs:
        _assert_same_training(name, torch.float32, {"lr": 0.01}, schedules)


@pytest.mark.parametrize("name", TABLE)
def test_what_is_refused_is_refused_alike(name: str) -> None:
    for case in TABLE[name].optim_error_inputs_func("cpu", torch.float32):
        given = case.optimizer_error_input
        parameters = given.params if given.params is not None else [torch.nn.Parameter(torch.ones(2, 3))]
        if isinstance(parameters, list):
            for each in parameters:
                if isinstance(each, torch.nn.Parameter):
                    each.grad = torch.ones_like(each)
        try:
            mine = Translation()(parameters)
        except Untranslatable:
            continue
        theirs = _fault(getattr(torch.optim, name), parameters, given.kwargs)
        ours = _fault(getattr(distrt.optim, name), mine, Translation()(given.kwargs))
        if theirs is not None:
            assert isinstance(ours, type(theirs)), f"{given.desc}: {ours!r} instead of {theirs!r}"
            assert str(ours) == str(theirs), given.desc


def _fault(kind: Any, parameters: Any, options: dict[str, Any]) -> Exception | None:
    try:
        optimizer = kind(parameters, **options)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = parameter.detach().clone()
        optimizer.step(*([lambda: 1.0] if kind.__name__ == "LBFGS" else []))
    except Exception as fault:
        return fault
    return None


def _assert_same_training(name: str, dtype: Any, options: dict[str, Any], schedules: Any) -> None:
    what = f"{name} {dtype} {options}"
    theirs = [torch.nn.Parameter(each) for each in _start(dtype)]
    ours = Translation()(theirs)
    kinds = getattr(distrt.optim, name), getattr(torch.optim, name)
    optimizers = kinds[0](ours, **Translation()(options)), kinds[1](theirs, **copy.deepcopy(options))
    assert repr(optimizers[0]) == repr(optimizers[1]), what
    for optimizer, parameters, library in zip(optimizers, (ours, theirs), (distrt, torch), strict=True):
        made = [_of(library, each)(optimizer) for each in schedules or []]
        _train(optimizer, parameters, made)
        rates = [each.get_last_lr() for each in made]
        keys = [sorted(each.state_dict()) for each in made]
        if library is distrt:
            told = rates, keys
    np.testing.assert_allclose(told[0], rates, rtol=1e-9, err_msg=what)
    assert told[1] == keys, what
    tolerance = TOLERANCE[str(dtype).removeprefix("torch.")]
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), expected.detach().numpy(), tolerance, tolerance, err_msg=what
        )
    states = [_layout(each.state_dict()) for each in optimizers]
    if name == "LBFGS":  # how often it looks is decided by the last bits of losses
        assert [list(each["state"][0]) for each in states[:1]] == [
            list(each["state"][0]) for each in states[1:]
        ]
    else:
        assert states[0] == states[1], what
    for copied in (pickle.loads(pickle.dumps(optimizers[0])), copy.deepcopy(optimizers[0])):
        assert _layout(copied.state_dict()) == states[0], what


def _start(dtype: Any) -> list[Any]:
    stream = np.random.RandomState(0)
    rows = [stream.standard_normal((2, 5, 4)), stream.standard_normal((2, 3, 4))]
    return [torch.tensor(row[0] + 1j * row[1] if dtype.is_complex else row[0]).to(dtype) for row in rows]


def _train(optimizer: Any, parameters: list[Any], schedules: list[Any]) -> None:
    def loss() -> Any:
        optimizer.zero_grad()
        smooth = type(optimizer).__name__ == "LBFGS"  # it magnifies rounding where there is no curvature
        value = sum((each.abs() ** 2 + (0 if smooth else each.abs())).sum() for each in parameters)
        value.backward()
        return value

    for _ in range(STEPS):
        if type(optimizer).__name__ == "LBFGS":
            value = optimizer.step(loss)
        else:
            value = loss()
            optimizer.step()
        for schedule in schedules:
            schedule.step(*([float(value)] if type(schedule).__name__ == "ReduceLROnPlateau" else []))


def _of(library: Any, make: Any) -> Any:
    """PyTorch's function that makes a schedule, reading the library's classes."""
    if library is torch:
        return make
    space = {
        name: getattr(distrt.optim.lr_scheduler, name, value) for name, value in make.__globals__.items()
    }
    return types.FunctionType(make.__code__, space, make.__name__, make.__defaults__, make.__closure__)


def _layout(value: Any) -> Any:
    """Keys, classes of values, sizes and dtypes; the numbers but those of a state's progress are compared elsewhere."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return tuple(value.shape), str(value.dtype)
    if isinstance(value, dict):
        return {key: _layout(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_layout(each) for each in value]
    return type(value).__name__ if isinstance(value, float) else value
