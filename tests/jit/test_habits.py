"""What scripts do with ``jit``, run with PyTorch and with distrt: the same results, warnings and classes of errors."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import warnings
from typing import Any

import pytest

import distrt
from tests.jit.libraries import PATH, assert_alike, plain, programs
from tests.oracles import require_torch

torch = require_torch()
_PATH = PATH.with_name("habits.py")


def _made(library: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = programs(library, _PATH)
    sys.modules[made.__name__] = made  # where the classes in it say that they are
    return made


OURS, THEIRS = _made(distrt), _made(torch)
CASES = [name for name in vars(OURS) if name.startswith("case_")]
#: The builtin classes that scripts catch; an error must have the same among its own.
_CAUGHT = (
    AttributeError, ImportError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError,
    ValueError, pickle.PickleError,
)  # fmt: skip


def _outcome(library: Any, made: Any, name: str) -> tuple[Any, set[str]]:
    """What a case gives or raises, and the classes of its warnings."""
    library.manual_seed(0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found: Any = plain(getattr(made, name)())
        except Exception as fault:
            found = fault
    kinds = {each.category.__name__ for each in said if each.category is not DeprecationWarning}
    return found, kinds


@pytest.mark.ci
@pytest.mark.parametrize("name", CASES)
def test_a_script_does_what_it_does_with_pytorch(name: str) -> None:
    ours, our_warnings = _outcome(distrt, OURS, name)
    theirs, their_warnings = _outcome(torch, THEIRS, name)
    if isinstance(theirs, Exception):
        # PyTorch's own class of a script's errors derives from no builtin; distrt's is a RuntimeError.
        is_of_the_script = isinstance(theirs, torch.jit.Error)
        wanted = (
            [RuntimeError] if is_of_the_script else [each for each in _CAUGHT if isinstance(theirs, each)]
        )
        assert wanted, f"{type(theirs)} is none of the classes that are compared"
        assert all(isinstance(ours, each) for each in wanted), (
            f"{ours!r:.300} in the place of {theirs!r:.300}"
        )
        return
    if isinstance(ours, Exception):
        raise ours
    assert_alike(ours, theirs)
    assert our_warnings == their_warnings


def test_a_traced_program_names_the_script_that_it_calls() -> None:
    scripted = distrt.jit.script(OURS.halved_until_small)
    traced = distrt.jit.trace(lambda x: scripted(x) + 1, distrt.ones(2))
    assert "halved_until_small(x)" in traced.code
    cell = distrt.jit.trace(OURS.Cell(distrt.jit.script(OURS.Gate())), (distrt.ones(3, 4), distrt.ones(3, 4)))
    assert "self.gate.forward(" in cell.code and "if " in cell.gate.code


def test_a_trace_keeps_the_control_flow_of_a_script_that_it_calls() -> None:
    first, second = OURS.case_a_traced_function_keeps_the_loop_of_a_scripted_one()
    assert (first.sum(), second.sum()) < (2, 2)


def test_named_tuples_are_made_and_come_back_from_an_archive() -> None:
    assert OURS.case_named_tuples()[1:4:2] == (2, "Pair")
    assert OURS.case_named_tuples_of_a_loaded_model()[1] == 1


def test_keyword_arguments_of_a_trace_are_in_the_order_of_the_function() -> None:
    named, positional = OURS.case_keyword_arguments_in_another_order()
    assert named.tolist() == positional.tolist() == [-1, -1, -1]


def test_a_copied_sequential_is_still_a_container() -> None:
    scripted = copy.deepcopy(
        distrt.jit.script(distrt.nn.Sequential(distrt.nn.Linear(2, 2), distrt.nn.ReLU()))
    )
    assert len(scripted) == 2 and scripted[0].bias is dict(scripted.named_parameters())["0.bias"]


def test_a_hook_cannot_be_saved_and_the_model_is_named() -> None:
    model = OURS.Product()
    model.linear.register_forward_hook(lambda module, given, result: result + 1)
    with pytest.raises(RuntimeError, match="linear: a Linear with forward hooks"):
        distrt.jit.script(model).save(io.BytesIO())


def test_load_says_who_reads_a_program() -> None:
    archive = distrt.jit.script(OURS.Product()).save_to_buffer()
    for weights_only in (True, False, None):
        with pytest.raises(RuntimeError, match=r"jit\.load reads it"):
            distrt.load(io.BytesIO(archive), weights_only=weights_only)
