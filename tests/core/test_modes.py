"""``no_grad``, ``enable_grad``, ``inference_mode`` and ``set_grad_enabled``: as blocks and decorators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import distrt as torch


def _records() -> bool:
    return bool((torch.ones(1, requires_grad=True) * 2).requires_grad)


def test_no_grad_records_nothing_inside_and_everything_after() -> None:
    with torch.no_grad():
        assert not _records()
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            assert _records()
        assert not _records()
    assert _records()


def test_the_mode_comes_back_after_an_error() -> None:
    with pytest.raises(KeyError), torch.no_grad():
        raise KeyError
    assert torch.is_grad_enabled()


def test_one_object_can_be_entered_twice() -> None:
    mode = torch.no_grad()
    with mode:
        with mode:
            assert not _records()
        assert not _records()
    assert _records()


DECORATORS = {
    "no_grad()": torch.no_grad,
    "no_grad": lambda: torch.no_grad,
    "inference_mode()": torch.inference_mode,
    "set_grad_enabled(False)": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("name", DECORATORS)
def test_decorated_functions_record_nothing(name: str) -> None:
    @DECORATORS[name]()
    def probe(argument: int, *, keyword: int = 0) -> tuple[bool, int]:
        return _records(), argument + keyword

    assert probe(1, keyword=2) == (False, 3)
    assert probe.__name__ == "probe"
    assert _records()


def test_a_decorated_function_may_call_itself() -> None:
    @torch.no_grad()
    def count(depth: int) -> bool:
        return _records() or (depth > 0 and count(depth - 1))

    assert not count(3)
    assert _records()


def test_a_decorated_generator_sets_the_mode_only_while_it_runs() -> None:
    @torch.no_grad()
    def produce() -> Iterator[Any]:
        received = yield _records()
        yield _records(), received
        return "end"

    generator = produce()
    assert next(generator) is False
    assert _records()
    assert generator.send("sent") == (False, "sent")
    with pytest.raises(StopIteration, match="end"):
        next(generator)


def test_a_decorated_generator_sees_errors_thrown_into_it() -> None:
    @torch.no_grad()
    def produce() -> Iterator[Any]:
        try:
            yield 1
        except ValueError:
            yield _records()

    generator = produce()
    next(generator)
    assert generator.throw(ValueError()) is False
    assert _records()


def test_inference_mode_can_be_switched_off() -> None:
    with torch.inference_mode():
        assert not _records()
        with torch.inference_mode(False):
            assert _records()


def test_set_grad_enabled_acts_at_once_or_for_a_block() -> None:
    try:
        torch.set_grad_enabled(False)
        assert not _records()
    finally:
        torch.set_grad_enabled(True)
    assert _records()
    with torch.set_grad_enabled(False):
        assert not _records()
        with torch.set_grad_enabled(True):
            assert _records()
    assert _records()


def test_each_thread_has_its_own_mode() -> None:
    seen: list[bool] = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(_records()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_leaves_made_without_recording_still_require_grad() -> None:
    with torch.no_grad():
        x = torch.ones(2, requires_grad=True)
        y = x * 2
    assert x.requires_grad
    assert y.is_leaf
    assert not y.requires_grad


def test_methods_and_classes_can_be_decorated() -> None:
    class Model:
        @torch.no_grad()
        def probe(self, sign: int = 1) -> tuple[bool, int]:
            return _records(), sign

    assert Model().probe(-1) == (False, -1)
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @torch.no_grad()
        class Whole:
            def __init__(self) -> None:
                self.recorded = _records()

    assert not Whole().recorded
    assert _records()


def test_a_watcher_sees_each_node_in_every_recording_mode() -> None:
    from distrt.core.modes import modes

    seen: list[str] = []
    modes.watch_with("test", lambda node: seen.append(node.name()))
    try:
        x = torch.ones(1, requires_grad=True) * 2
        with torch.no_grad():
            x * 2
            with torch.enable_grad():
                x.exp()
    finally:
        modes.watch_with("test", None)
    x * 2
    assert seen == ["MulBackward0", "ExpBackward0"]
    assert modes.grad is True
