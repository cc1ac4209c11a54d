"""What ``compile`` makes of a module: PyTorch's wrapper, as scripts, checkpoints and libraries see it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.scripts import assert_same_outcomes

SCRIPT = """
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    compiled = t.compile(model, backend="eager")
    compiled
    type(compiled).__name__, type(compiled).__module__
    compiled is model, compiled._orig_mod is model, isinstance(compiled, nn.Module)
    isinstance(compiled, t._dynamo.OptimizedModule)
    list(compiled.state_dict()), [name for name, _ in compiled.named_parameters()]
    [name for name, _ in compiled.named_modules()]
    compiled.load_state_dict({key: value * 0 for key, value in compiled.state_dict().items()})
    model[0].weight.sum(), compiled[0] is model[0]
    compiled.load_state_dict(model.state_dict())
    compiled.eval() is compiled, compiled.training, model.training, model[1].training
    model.train() is model, compiled.training
    compiled.note = 5
    model.note, compiled.note
    del compiled.note
    hasattr(model, "note")
    compiled.missing
    "_orig_mod" in dir(compiled)
    copied = copy.deepcopy(compiled)
    copied._orig_mod is model, list(copied.state_dict())
    t.compile(model, backend="eager", disable=True) is model
    class Other(type(compiled)): pass
    other = t.compile(nn.Linear(1, 1), backend="eager")
    other.__class__ = Other
    other.extra_repr = lambda: "extra"
    type(other).__name__, type(other._orig_mod).__name__, other.extra_repr(), other._orig_mod.extra_repr()
    len(compiled), bool(compiled), bool(t.compile(nn.Sequential(), backend="eager"))
    len(t.compile(nn.Linear(1, 1), backend="eager"))
    t.compile(model, mode="fastest")
    t.compile(model, mode="default", options={"a": 1})
"""


@pytest.mark.ci
def test_a_compiled_module_is_pytorchs_wrapper(torch: Any) -> None:
    assert_same_outcomes(SCRIPT, torch)


@pytest.mark.ci
@pytest.mark.filterwarnings(
    "ignore:Using `torch.compile:UserWarning"
)  # PyTorch's, after others' global hooks
def test_training_through_the_wrapper_trains_the_module(torch: Any) -> None:
    import distrt

    found = []
    for library, options in ((distrt, {}), (torch, {"backend": "eager"})):
        library.manual_seed(0)
        model = library.nn.Linear(3, 1)
        compiled = library.compile(model, **options)
        seen: list[Any] = []
        compiled.register_forward_hook(lambda module, given, out, seen=seen: seen.append(out.shape))
        optimizer = library.optim.SGD(compiled.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = (compiled(library.ones(2, 3)) - 1).pow(2).mean()
            loss.backward()
            optimizer.step()
        found.append(
            (round(loss.item(), 5), [round(x, 5) for x in model.weight.flatten().tolist()], len(seen))
        )
    assert found[0] == found[1]
