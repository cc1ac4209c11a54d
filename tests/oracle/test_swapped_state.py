"""Lending an optimizer other parameters and another state, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.oracle.compare import values


def stepped(library: Any) -> tuple[Any, Any]:
    p = library.tensor([1.0, 2.0], requires_grad=True)
    optimizer = library.optim.Adam([p], lr=0.1)
    p.grad = library.tensor([0.5, -1.0])
    optimizer.step()
    return optimizer, p


def test_other_parameters_are_updated_and_the_own_ones_come_back(torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        optimizer, p = stepped(library)
        saved = optimizer.state_dict()
        saved["param_groups"][0]["lr"] = 0.5
        q = library.tensor([3.0, 4.0], requires_grad=True)
        q.grad = library.ones(2)
        own = optimizer.state
        with library.optim.swap_in_optimizer_params_and_state(optimizer, {"q": q}, saved):
            assert optimizer.param_groups[0]["params"][0] is q and optimizer.param_groups[0]["lr"] == 0.5
            optimizer.step()
        assert optimizer.state is own and optimizer.param_groups[0]["params"][0] is p
        assert optimizer.param_groups[0]["lr"] == 0.1
        found.append(values(q).tolist() + values(p).tolist())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


MISFITS: dict[str, Any] = {
    "no dict": lambda s: 3,
    "no state": lambda s: {"param_groups": s["param_groups"]},
    "no groups": lambda s: {"state": s["state"]},
    "more groups": lambda s: {**s, "param_groups": s["param_groups"] * 2},
    "a group that is no dict": lambda s: {**s, "param_groups": [5]},
    "no numbers": lambda s: {**s, "param_groups": [{**s["param_groups"][0], "params": ["x"]}]},
    "more numbers": lambda s: {**s, "param_groups": [{**s["param_groups"][0], "params": [0, 1]}]},
    "another option": lambda s: {**s, "param_groups": [{**s["param_groups"][0], "x": 1}]},
    "state of another": lambda s: {**s, "state": {4: {}}},
    "state that is no dict": lambda s: {**s, "state": {0: 5}},
}


@pytest.mark.parametrize("name", [*MISFITS, "no parameters", "no step"])
def test_what_does_not_fit_is_refused_in_pytorchs_words(name: str, torch: Any) -> None:
    messages = []
    for library in (distrt, torch):
        optimizer, p = stepped(library)
        saved = optimizer.state_dict()
        if name == "no step":
            optimizer = library.optim.Adam([p])
        params = {} if name == "no parameters" else {"p": p}
        saved = MISFITS[name](saved) if name in MISFITS else saved
        with (
            pytest.raises(RuntimeError) as caught,
            library.optim.swap_in_optimizer_params_and_state(optimizer, params, saved),
        ):
            pass
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
