"""The same source, scripted by PyTorch and by distrt: the same values and gradients, before and after saving."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest

import distrt
from tests.jit.libraries import PATH, arguments, assert_alike, gradients, plain, programs, tensors_in
from tests.oracles import require_torch

torch = require_torch()
warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OURS, THEIRS = programs(distrt), programs(torch)
IDIOMS = programs(distrt, PATH.with_name("idioms.py")), programs(torch, PATH.with_name("idioms.py"))


def reloaded(scripted: Any) -> Any:
    """The same program, by way of an archive."""
    return distrt.jit.load(io.BytesIO(scripted.save_to_buffer()))


def _run(library: Any, function: Any, call: str, seed: int, owned: Any = ()) -> tuple[Any, Any]:
    args, kwargs = arguments(library, call, seed)
    result = function(*args, **kwargs)
    inputs = [each for each in tensors_in([args, kwargs]) if each.requires_grad] + list(owned)
    return plain(result), gradients(library, result, inputs)


# A compiled function of PyTorch's says nothing of float(x); here Python runs it.
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
@pytest.mark.parametrize("name", [*OURS.CASES, *IDIOMS[0].CASES])
def test_a_function_gives_what_pytorch_gives(name: str, seed: int) -> None:
    mine, other = (OURS, THEIRS) if name in OURS.CASES else IDIOMS
    theirs = torch.jit.script(getattr(other, name))
    ours = distrt.jit.script(getattr(mine, name))
    loaded = reloaded(ours)
    for call in mine.CASES[name]:
        expected = _run(torch, theirs, call, seed)
        for function in (ours, loaded):
            values, grads = _run(distrt, function, call, seed)
            assert_alike(values, expected[0])
            assert_alike(grads, expected[1])


def _modules(name: str) -> tuple[Any, Any]:
    """The module in both libraries, with the same parameters."""
    made = OURS.MODULES[name][0]
    mine, other = (eval(f"{name.strip()}({made})", vars(each)) for each in (OURS, THEIRS))
    mine.load_state_dict({key: distrt.tensor(value.numpy()) for key, value in other.state_dict().items()})
    return mine, other


@pytest.mark.parametrize("name", OURS.MODULES)
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_a_module_gives_what_pytorch_gives(name: str, mode: bool, seed: int) -> None:
    mine, other = _modules(name)
    ours, theirs = distrt.jit.script(mine).train(mode), torch.jit.script(other).train(mode)
    loaded = reloaded(ours)
    for call in OURS.MODULES[name][1]:
        expected = _run(torch, theirs, call, seed, theirs.parameters())
        for module in (ours, loaded):
            values, grads = _run(distrt, module, call, seed, module.parameters())
            assert_alike(values, expected[0])
            assert_alike(grads, expected[1])
    for module in (ours, loaded):
        assert_alike(plain(dict(module.state_dict())), plain(dict(theirs.state_dict())))


TRACED = [name for name in OURS.MODULES if name not in ("Counting", "DictResult", "Named", "WithMethods")]


@pytest.mark.parametrize("name", TRACED)
def test_a_traced_module_gives_what_pytorch_gives(name: str, seed: int) -> None:
    mine, other = _modules(name)
    call = OURS.MODULES[name][1][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = distrt.jit.trace(mine, arguments(distrt, call, seed)[0], check_trace=False)
        theirs = torch.jit.trace(other, arguments(torch, call, seed)[0], check_trace=False)
    expected = _run(torch, theirs, call, seed, theirs.parameters())
    for module in (ours, reloaded(ours)):
        values, grads = _run(distrt, module, call, seed, module.parameters())
        assert_alike(values, expected[0])
        assert_alike(grads, expected[1])
