"""What a trace cannot follow, said in PyTorch's words, where PyTorch says it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import distrt

LEAVING: dict[str, Callable[[Any, Any], Any]] = {
    "bool": lambda t, x: x if x.sum() > 0 else -x,
    "float": lambda t, x: x * float(x.sum()),
    "int": lambda t, x: x * int(x.sum()),
    "item": lambda t, x: x * x.sum().item(),
    "len": lambda t, x: x * len(x),
    "iterating": lambda t, x: sum(each for each in x),
    "comparing a size": lambda t, x: x if x.shape[0] > 1 else -x,
    "size as a boolean": lambda t, x: x if x.size(0) else -x,
    "dropout": lambda t, x: t.nn.functional.dropout(x, 0.5, True),
    "random": lambda t, x: x + t.rand(3),
    "nothing": lambda t, x: x.view(x.size(0), -1) * 2,
    "arithmetic with sizes": lambda t, x: x.reshape(x.size(0) * 1, x.numel() // x.size(0)),
    "rank": lambda t, x: x if x.dim() == 1 else -x,
    "dtype": lambda t, x: x.float() if x.dtype != t.float32 else x,
}


def _said(library: Any, function: Callable[[Any, Any], Any]) -> set[str]:
    """The beginnings of the tracer's warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        traced = library.jit.trace(lambda x: function(library, x), library.ones(3))
        traced(library.ones(3))
    tracers = [each for each in caught if issubclass(each.category, library.jit.TracerWarning)]
    return {str(each.message)[:45] for each in tracers}


@pytest.mark.parametrize("name", LEAVING)
def test_warnings_are_pytorchs(name: str, torch: Any) -> None:
    ours, theirs = _said(distrt, LEAVING[name]), _said(torch, LEAVING[name])
    if name in ("dropout", "random"):  # our check draws the same numbers twice, so its values do not differ
        theirs = {each for each in theirs if not each.startswith("Output nr")}
    assert ours == theirs
