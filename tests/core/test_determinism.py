"""``use_deterministic_algorithms``: what it changes, and how it is asked for, as in PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

import distrt

#: New memory, of a library.
NEW = {
    **{f"empty {name}": lambda t, name=name: t.empty(3, dtype=getattr(t, name)) for name in (
        "float16", "bfloat16", "float32", "float64", "complex64", "uint8", "int8", "int32", "int64", "bool")},
    "empty_like": lambda t: t.empty_like(t.ones(2, 2).t()),
    "empty_strided": lambda t: t.empty_strided((2, 2), (3, 1)),
    "new_empty": lambda t: t.ones(2).new_empty(2),
    "old constructor": lambda t: t.Tensor(2, 2),
    "resize_": lambda t: t.ones(2).resize_(4),
    "nothing": lambda t: t.empty(0, 3),
}  # fmt: skip

#: What is asked for, and what follows.
ASKED = {
    "text": lambda t: t.use_deterministic_algorithms("x"),
    "number": lambda t: t.use_deterministic_algorithms(1),
    "warn_only by number": lambda t: t.use_deterministic_algorithms(True, warn_only=1),
    "by place": lambda t: t.use_deterministic_algorithms(True, True),
    "warn": lambda t: (t.use_deterministic_algorithms(True, warn_only=True), _state(t)),
    "off": lambda t: (t.use_deterministic_algorithms(False, warn_only=True), _state(t)),
    **{f"mode {mode}": lambda t, mode=mode: (t.set_deterministic_debug_mode(mode), _state(t)) for mode in (
        0, 1, 2, 3, "default", "warn", "error", "x", 1.5)},
    "no switch": lambda t: setattr(
        importlib.import_module(f"{t.__name__}.utils.deterministic"), "fill_uninitialized_memory", 3),
}  # fmt: skip


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    yield
    distrt.use_deterministic_algorithms(False)
    distrt.utils.deterministic.fill_uninitialized_memory = True


@pytest.mark.parametrize("name", NEW)
def test_new_memory_is_filled_as_in_pytorch(torch: Any, name: str) -> None:
    found = []
    for library in (torch, distrt):
        library.use_deterministic_algorithms(True)
        try:
            made = NEW[name](library)
            found.append((str(made), made.stride()))
        finally:
            library.use_deterministic_algorithms(False)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ASKED)
def test_the_wish_is_pytorchs(torch: Any, name: str) -> None:
    found: list[Any] = []
    for library in (torch, distrt):
        try:
            found.append(ASKED[name](library))
        except (TypeError, RuntimeError) as error:
            found.append((type(error), str(error) if "positional" not in str(error) else ""))
        finally:
            library.use_deterministic_algorithms(False)
    assert found[0] == found[1]


def test_new_memory_is_left_alone_where_that_is_switched_off() -> None:
    filled = distrt.zeros(3).resize_(0)
    distrt.use_deterministic_algorithms(True)
    assert distrt.empty(2).isnan().all()
    distrt.utils.deterministic.fill_uninitialized_memory = False
    assert filled.resize_(5).numel() == 5
    assert not distrt.zeros(2).resize_(4).isnan().any()


def test_no_operation_is_refused() -> None:
    distrt.use_deterministic_algorithms(True)
    put = [distrt.zeros(3).put_(distrt.tensor([0, 0]), distrt.tensor([1.0, 2.0])).tolist() for _ in range(3)]
    assert put == [[2.0, 0.0, 0.0]] * 3


def _state(t: Any) -> Any:
    return (
        t.get_deterministic_debug_mode(),
        t.are_deterministic_algorithms_enabled(),
        t.is_deterministic_algorithms_warn_only_enabled(),
    )
