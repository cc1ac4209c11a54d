"""What users get under a name: a function that is written at its first call, and that takes no arrays for tensors."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import threading
from types import ModuleType

import numpy as np
import pytest

import distrt
from distrt import fft, linalg, special
from distrt.core import ops

FACADES = (fft, linalg, special)


def _functions(facade: ModuleType) -> list[str]:
    return [name for name in facade.__all__ if inspect.isfunction(getattr(facade, name))]


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.__name__)
def test_a_facade_takes_no_arrays_for_tensors(facade: ModuleType) -> None:
    array, asked = np.eye(3), 0
    for name in _functions(facade):
        function = getattr(facade, name)
        needed = [
            each
            for each in inspect.signature(function).parameters.values()
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        ]
        if len(needed) == 1 and name not in ("fftfreq", "rfftfreq", "multi_dot", "tensorinv"):
            asked += 1
            with pytest.raises(TypeError, match=r"\(position 1\) must be Tensor, not numpy.ndarray"):
                function(array)
    assert asked > 15


@pytest.mark.parametrize("facade", (distrt, *FACADES), ids=lambda facade: facade.__name__)
def test_functions_are_pickled_by_the_name_that_users_type(facade: ModuleType) -> None:
    names = ["add", "exp", "cat", "cov", "ones"] if facade is distrt else _functions(facade)
    for name in names:
        function = getattr(facade, name)
        assert (function.__module__, function.__qualname__) == (facade.__name__, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function


def test_a_function_that_is_held_is_replaced_at_its_first_call() -> None:
    """In a process of its own: elsewhere somebody has called ``add`` already."""
    script = """
import inspect
from distrt import add, ones
before, stub = inspect.signature(add), add.__code__
add(ones(2), 1)
assert add.__code__ is not stub and add.__code__.co_name == "add", add.__code__
assert add.__code__.co_varnames[:2] == ("input", "other") and inspect.signature(add) == before
assert add(ones(2), other=1, alpha=2).tolist() == [3, 3]
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_several_threads_may_call_a_function_first() -> None:
    for _ in range(20):
        function = ops.hypot.definition.for_users()
        gate, found = threading.Barrier(4), []

        def call(function=function, gate=gate, found=found) -> None:  # type: ignore[no-untyped-def]
            gate.wait(10)
            found.append(function(distrt.tensor([3.0]), distrt.tensor([4.0])).item())

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert found == [5.0] * 4


def test_the_rules_own_form_computes_on_arrays() -> None:
    assert ops.exp(np.zeros(2)).tolist() == [1, 1]
    with pytest.raises(TypeError, match=r"exp\(\): argument 'input' \(position 1\) must be Tensor"):
        distrt.exp(np.zeros(2))
    assert ops.sigmoid is not special.expit
