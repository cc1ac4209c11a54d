"""What optimizers refuse, in PyTorch's classes and words."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

import distrt


def bad_options() -> dict[str, Any]:
    """One option out of its range, for every optimizer that has it."""
    nan = float("nan")
    wrong: dict[str, list[dict[str, Any]]] = {
        "SGD": [
            {"momentum": -0.1},
            {"nesterov": True},
            {"nesterov": True, "momentum": 0.5, "dampening": 0.1},
        ],
        "Adam": [{"betas": (0.9, "x")}, {"betas": (1, 0.9)}, {"betas": (0, 0.9)}, {"lr": nan}],
        "AdamW": [],
        "Adamax": [],
        "NAdam": [{"momentum_decay": -1.0}],
        "RAdam": [],
        "RMSprop": [{"alpha": -1.0}, {"momentum": -0.5}],
        "Adagrad": [{"lr_decay": -1.0}, {"initial_accumulator_value": -1.0}],
        "Adadelta": [{"rho": 1.5}, {"rho": -0.5}],
        "Rprop": [{"etas": (1.2, 0.5)}, {"etas": (0.0, 1.2)}],
        "ASGD": [],
        "LBFGS": [],
        "SparseAdam": [{"lr": 0.0}, {"eps": 0.0}],
        "Adafactor": [{"beta2_decay": 0.5}, {"eps": (-1.0, 1e-3)}, {"eps": (None, -1.0)}, {"d": 0.5}],
        "Muon": [{"momentum": -1.0}, {"adjust_lr_fn": "other"}],
    }
    for name, rows in wrong.items():
        rows.append({"lr": -1.0})
        if name not in ("LBFGS", "Rprop", "SparseAdam"):
            rows.append({"weight_decay": -0.1})
        if name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam"):
            rows += [{"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"eps": -1.0}]
        if name in ("RMSprop", "Adagrad", "Adadelta"):
            rows.append({"eps": -1.0})
        if name in ("SGD", "Adam", "AdamW", "Adagrad"):
            rows += [{"fused": True, "foreach": True}, {"fused": True, "differentiable": True}]
    return {f"{name} {options}": (name, options) for name, rows in wrong.items() for options in rows}


OPTIONS = bad_options()


def required_of(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.optim.optimizer").required


def group_of(t: Any, p: Any, **options: Any) -> Any:
    return t.optim.SGD([p], **options).add_param_group


BAD: dict[str, Any] = {
    "no parameters": lambda t, p: t.optim.SGD([]),
    "no generator's parameters": lambda t, p: t.optim.SGD(x for x in ()),
    "one tensor": lambda t, p: t.optim.SGD(p),
    "one parameter": lambda t, p: t.optim.Adam(t.nn.Parameter(t.ones(2))),
    "a set": lambda t, p: t.optim.SGD([{"params": {p}}]),
    "some names": lambda t, p: t.optim.SGD([("p", p), p * 1]),
    "named after unnamed": lambda t, p: group_of(t, p)({"params": [("q", t.ones(1, requires_grad=True))]}),
    "unnamed after named": lambda t, p: group_of(t, ("p", p))({"params": [t.ones(1, requires_grad=True)]}),
    "numbers": lambda t, p: t.optim.SGD([1, 2]),
    "strings": lambda t, p: t.optim.SGD("ab"),
    "lists": lambda t, p: t.optim.SGD([[p]]),
    "a computed tensor": lambda t, p: t.optim.SGD([p * 2]),
    "a group that is no dict": lambda t, p: group_of(t, p)([p]),
    "a group without parameters": lambda t, p: group_of(t, p)({"lr": 1.0}),
    "a parameter twice": lambda t, p: t.optim.SGD([{"params": [p]}, {"params": [p]}]),
    "a required option": lambda t, p: t.optim.Optimizer([p], {"lr": required_of(t)}),
    "no step": lambda t, p: t.optim.Optimizer([p], {}).step(),
    "another number of groups": lambda t, p: t.optim.SGD([p]).load_state_dict(
        {"state": {}, "param_groups": []}
    ),
    "another size of group": lambda t, p: t.optim.SGD([p]).load_state_dict(
        {"state": {}, "param_groups": [{"params": [0, 1]}]}
    ),
    "a state without groups": lambda t, p: t.optim.SGD([p]).load_state_dict({"state": {}}),
    "rates for two": lambda t, p: t.optim.RMSprop([p], lr=t.ones(2)),
    "a tensor rate for each": lambda t, p: t.optim.Adam([p], lr=t.tensor(0.1), foreach=True),
    "tensor betas for each": lambda t, p: t.optim.Adam(
        [p], betas=(t.tensor(0.1), t.tensor(0.1)), foreach=True
    ),
    "one tensor beta": lambda t, p: t.optim.AdamW([p], betas=(t.tensor(0.1), 0.9)),
    "Muon of vectors": lambda t, p: t.optim.Muon([p]),
    "Muon of cubes": lambda t, p: t.optim.Muon([t.ones(2, 3, 4, requires_grad=True)]),
    "SparseAdam of complex": lambda t, p: t.optim.SparseAdam(
        [p, t.ones(2, dtype=t.complex64, requires_grad=True)]
    ),
    "fused complex": lambda t, p: stepped(t, "Adam", t.complex64, fused=True),
    "fused complex SGD": lambda t, p: stepped(t, "SGD", t.complex64, fused=True),
    "fused complex Adagrad": lambda t, p: stepped(t, "Adagrad", t.complex64, fused=True),
    "Adafactor of complex": lambda t, p: stepped(t, "Adafactor", t.complex64),
    "Muon of complex": lambda t, p: stepped(t, "Muon", t.complex64),
    "SparseAdam of dense": lambda t, p: stepped(t, "SparseAdam", t.float32),
    "a tensor rate given later": lambda t, p: stepped(
        t, "Adam", t.float32, foreach=True, change={"lr": t.tensor(0.1)}
    ),
    "a differentiable leaf": lambda t, p: stepped(t, "Adam", t.float32, differentiable=True),
}
for each in ("Adam", "AdamW", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"):
    BAD[f"{each} captured"] = lambda t, p, name=each: stepped(t, name, t.float32, capturable=True)
for each in ("Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"):
    BAD[f"{each} foreach and differentiable"] = lambda t, p, name=each: stepped(
        t, name, t.float32, foreach=True, differentiable=True
    )


def stepped(library: Any, name: str, dtype: Any, change: Any = (), **options: Any) -> None:
    p = library.ones(2, 2, dtype=dtype, requires_grad=True)
    optimizer = getattr(library.optim, name)([p], **options)
    optimizer.param_groups[0].update(change)
    p.grad = library.ones(2, 2, dtype=dtype)
    optimizer.step()


def raised(library: Any, call: Any) -> Exception:
    with pytest.raises(Exception) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(library, library.ones(2, requires_grad=True))
    return caught.value


def assert_same_error(torch: Any, call: Any) -> None:
    theirs = raised(torch, call)
    ours = raised(distrt, call)
    assert isinstance(ours, type(theirs))
    assert str(ours).replace("distrt", "torch") == str(theirs)


@pytest.mark.parametrize("case", OPTIONS)
def test_options_out_of_range_raise_what_pytorch_raises(case: str, torch: Any) -> None:
    name, options = OPTIONS[case]

    def call(t: Any, p: Any) -> None:
        getattr(t.optim, name)([t.ones(2, 2, requires_grad=True)], **options)

    assert_same_error(torch, call)


@pytest.mark.parametrize("case", BAD)
def test_misuse_raises_what_pytorch_raises(case: str, torch: Any) -> None:
    assert_same_error(torch, BAD[case])


def test_a_parameter_twice_in_one_group_warns(torch: Any) -> None:
    messages = []
    for library in (distrt, torch):
        p = library.ones(2, requires_grad=True)
        with pytest.warns(UserWarning, match="duplicate parameters") as caught:
            library.optim.SGD([p, p])
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]
