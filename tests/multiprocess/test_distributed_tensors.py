"""Operations on tensors that lie on several ranks, beside PyTorch's and beside plain tensors."""

import json
from typing import Any

import numpy as np
import pytest

from distrt.comm.local import run_local
from tests.multiprocess.conftest import ROOT
from tests.multiprocess.distributed_cases import UNEVEN, groups_for, uneven_for
from tests.multiprocess.side_by_side import for_distrt, run_distrt, run_torch, side_by_side
from tests.oracles import require_torch
from tests.parallel.sharded_models import join

PROGRAM = (ROOT / "tests/multiprocess/distributed_program.py").read_text()


def difference(found: Any, expected: Any) -> str:
    """What differs between two results, but for placements; empty where nothing does."""
    if isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            return f"{len(found)} results, expected {len(expected)}"
        return "; ".join(filter(None, map(difference, found, expected)))
    for name in ("shape", "dtype"):
        if found.get(name) != expected.get(name):
            return f"{name} {found.get(name)}, expected {expected.get(name)}"
    ours, theirs = (np.array(each["value"]) for each in (found, expected))
    if ours.dtype.kind in "US":
        return "" if ours == theirs else f"{ours}, expected {theirs}"
    is_close = ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-6, atol=1e-9, equal_nan=True)
    return "" if is_close else f"{found['value']}, expected {expected['value']}"


def against_whole(found: dict[str, Any], expected: dict[str, Any]) -> str:
    for what, each in (("parts", found), ("plain tensors", expected)):
        if "error" in each:
            return f"{what} raise {each['error'][0]}: {each['text']}"
    pairs = [(name, found[name], expected[name]) for name in expected]
    return "; ".join(f"{name}: {said}" for name, *pair in pairs if (said := difference(*pair)))


def placements_in(value: Any) -> Any:
    if isinstance(value, list):
        return [placements_in(each) for each in value]
    return value.get("placements")


def wrong(case: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """What is wrong with a case; empty where nothing is."""
    mine, other = ours["parts"], theirs["parts"]
    if case.startswith("errors"):
        if "error" not in other:
            return mine["text"] if "error" in mine else difference(mine["result"], other["result"])
        is_same = "error" in mine and other["error"][0] in mine["error"]
        return "" if is_same else f"{mine}, expected {other}"
    said = against_whole(mine, theirs["whole"])
    if said or ": !" in case:
        return said
    if "result" not in other:
        return f"PyTorch raises {other['error'][0]}: {other['text']}"
    expected = placements_in(other["result"])
    is_same = placements_in(mine["result"]) == expected
    return "" if is_same else f"lies as {placements_in(mine['result'])}, expected {expected}"


def on_threads(groups: Any, size: int) -> list[str]:
    """What is wrong with cases that ranks compute which are threads, beside plain tensors."""
    space: dict[str, Any] = {"__name__": "distributed_program"}
    exec(compile(for_distrt(PROGRAM), "<distributed_program>", "exec"), space)

    def run(group: Any) -> list[str]:
        join(group)
        found = space["run"](groups)
        return [
            f"{case}: {text}"
            for case, each in found.items()
            if (text := against_whole(each["parts"], each["whole"]))
        ]

    return [each for said in run_local(run, size) for each in said]


def assert_right(said: list[str]) -> None:
    assert not said, "\n".join(said)


def test_operations_compute_with_the_whole_tensors() -> None:
    cases = [
        case for case in UNEVEN if case.startswith(("x @ w", "F.linear", "x.sum", "x.t", "F.cross_entropy"))
    ]
    assert_right(on_threads([("quick", "gradients", (2,), cases)], 2))


@pytest.mark.ci
@pytest.mark.parametrize("size", [2, 3, 4])
def test_parts_of_several_sizes_give_what_whole_tensors_give(size: int) -> None:
    assert_right(on_threads(uneven_for(size), size))


@pytest.mark.ci
def test_two_dims_of_a_mesh_give_what_whole_tensors_give() -> None:
    assert_right(on_threads([each for each in groups_for(4) if each[1] != "errors"], 4))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_operations_give_pytorchs_values_and_placements(size: int) -> None:
    require_torch()
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + PROGRAM
    theirs = json.loads(run_torch(program, size, timeout_s=100)[0])
    ours = json.loads(run_distrt(program, size, timeout_s=100)[0])
    assert set(ours) == set(theirs)
    said = {case: text for case in theirs if (text := wrong(case, ours[case], theirs[case]))}
    assert not said, "\n".join(f"{case}\n    {text}" for case, text in said.items())


@pytest.mark.slow
def test_a_model_that_is_cut_and_sharded_trains_as_in_pytorch() -> None:
    side_by_side((ROOT / "tests/multiprocess/sharded_and_cut.py").read_text(), 4)
