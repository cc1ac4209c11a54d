"""Parameters of public classes, methods and functions: PyTorch's names, defaults, order, where Python can tell them.

A difference stands in ``KNOWN`` with its reason; one that is no more is a failure, too.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.ci

MODULES = """
nn nn.functional nn.init nn.utils nn.utils.rnn nn.utils.parametrize nn.utils.parametrizations nn.utils.prune nn.grad
nn.parallel optim optim.lr_scheduler optim.swa_utils
optim.adadelta optim.adagrad optim.adam optim.adamax optim.adamw optim.asgd optim.nadam optim.radam optim.rmsprop
optim.rprop optim.sgd
utils.data utils.data.distributed utils.checkpoint utils.tensorboard
distributions distributions.constraints distributions.transforms autograd.functional func linalg amp hub futures
signal.windows random testing serialization accelerator distributed.device_mesh distributed.algorithms.join
distributed.algorithms._checkpoint.checkpoint_wrapper distributed.fsdp.wrap
""".split()

#: "module.name" or "module.Class.method" -> reason.
KNOWN: dict[str, str] = {"utils.data.random_split": "None is the default generator; each thread has one"}

#: What stands for the same default in both.
_SAME = {"Size([])": "()"}  # an empty Size is an empty tuple


@pytest.mark.parametrize("module", MODULES)
def test_parameters_are_pytorchs(module: str, torch: Any) -> None:
    theirs, ours = (importlib.import_module(f"{root}.{module}") for root in ("torch", "distrt"))
    found = {}
    for name, expected, mine in _callables(theirs, ours):
        wrong = _differences(expected, mine)
        if wrong:
            found[f"{module}.{name}"] = wrong
    rooms = (module, *(f"{module}.{each}" for each in dir(theirs) if inspect.isclass(getattr(theirs, each))))
    known = {name for name in KNOWN if name.rpartition(".")[0] in rooms}
    assert not {name: wrong for name, wrong in found.items() if name not in known}
    assert not known - set(found), "known as different, and the same"


def _callables(theirs: Any, ours: Any) -> Iterator[tuple[str, Any, Any]]:
    """Functions, constructors and methods that both have."""
    names = getattr(theirs, "__all__", None) or [each for each in dir(theirs) if not each.startswith("_")]
    for name in names:
        expected, mine = getattr(theirs, name, None), getattr(ours, name, None)
        if (
            mine is None
            or not callable(expected)
            or not str(expected.__module__ or "torch").startswith("torch")
        ):
            continue
        yield name, expected, mine
        if inspect.isclass(expected) and inspect.isclass(mine):
            for method, inner in vars(expected).items():
                pair = [
                    getattr(each, "__func__", each)
                    for each in (inner, inspect.getattr_static(mine, method, None))
                ]
                if not method.startswith("_") and all(inspect.isfunction(each) for each in pair):
                    yield f"{name}.{method}", *pair


def _differences(expected: Any, mine: Any) -> list[str]:
    theirs, ours = _parameters(expected), _parameters(mine)
    if theirs is None or ours is None:
        return []
    kinds = {each.kind for each in ours.values()}
    if kinds >= {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
        return []  # it takes whatever comes, and hands it on
    wrong = []
    for name, each in theirs.items():
        if name.startswith("_") or each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        if name not in ours:
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                wrong.append(f"no {name}")
        elif _told(each.default) != _told(ours[name].default):
            wrong.append(f"{name}={_told(ours[name].default)} instead of {_told(each.default)}")
    by_position = [
        name for name, each in theirs.items() if each.kind == each.POSITIONAL_OR_KEYWORD and name in ours
    ]
    if [name for name in ours if name in by_position] != by_position:
        wrong.append(f"order {list(ours)}")
    return wrong


def _parameters(function: Any) -> Any:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C
        return None


def _told(default: Any) -> str:
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(default)).replace("torch.", "").replace("distrt.", "")
    return _SAME.get(text, text)
