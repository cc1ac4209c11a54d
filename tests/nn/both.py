"""The same function on distrt and on PyTorch: what it tells of its run must be the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import distrt
from tests.oracle.compare import assert_same
from tests.oracles import builtin_kind


def assert_same_run(torch: Any, run: Callable[..., None], *args: Any, scale: float = 10.0) -> None:
    """Calls ``run(library, tell, *args)`` with both, and holds against each other what it told.

    Tensors are compared by value, errors and warnings (``tell.error(call)``) by class and text, the rest by equality.
    """
    told = []
    for library in (distrt, torch):
        tell = Tell()
        run(library, tell, *args)
        told.append(tell.said)
    ours, theirs = told
    assert len(ours) == len(theirs)
    for number, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        if hasattr(expected, "requires_grad"):
            assert_same(mine, expected, f"{run.__name__}, {number}", scale)
            assert mine.requires_grad == expected.requires_grad
        else:
            assert mine == expected, f"{run.__name__}, {number}"


class Tell:
    """What a run has told so far."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def __call__(self, *values: Any) -> None:
        self.said.extend(values)

    def state(self, module: Any) -> None:
        """Tells the text, the class, and the values of the state in order."""
        state = module.state_dict()
        self(repr(module), type(module).__name__, list(state), *state.values())
        self([name for name, _ in module.named_parameters()])

    def error(self, call: Callable[[], Any]) -> None:
        """Tells the class and the text of the error that the call raises."""
        try:
            call()
        except Exception as caught:
            kind = builtin_kind(caught)
            self(kind.__name__, str(caught).replace("distrt.", "torch."))
        else:
            raise AssertionError("no error was raised")

    def warning(self, call: Callable[[], Any]) -> None:
        """Tells the classes and texts of the warnings that the call gives."""
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            call()
        self([(each.category.__name__, str(each.message)) for each in given])


def numbered(library: Any, *shape: int, start: float = 0.0) -> Any:
    """0, 1, 2, … in float64, of a shape."""
    count = 1
    for size in shape:
        count *= size
    return (library.arange(count, dtype=library.float64) + start).reshape(shape)
