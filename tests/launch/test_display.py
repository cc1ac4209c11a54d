"""Lines of several ranks, as somebody at a terminal sees them."""

import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

from launch.reports.display import Display, name_of
from launch.reports.output import Sink

Shown = Callable[[], list[str]]


@pytest.fixture
def pipe() -> Iterator[tuple[Sink, Shown]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    sink = Sink(writer)

    def shown() -> list[str]:
        sink.drain()
        try:
            return os.read(reader, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []

    yield sink, shown
    os.close(reader)
    os.close(writer)


def say(display: Display, rank: int, *texts: str) -> None:
    display.add(rank, b"[%d] " % rank, "".join(f"[{rank}] {text}\n" for text in texts).encode())


@pytest.mark.parametrize(
    ("ranks", "name"), [({0}, "0"), ({0, 1, 2, 3}, "0-3"), ({0, 2, 3}, "0,2-3"), ({5, 1, 9}, "1,5,9")]
)
def test_ranks_are_named_shortly(ranks: set[int], name: str) -> None:
    assert name_of(ranks) == name


def test_what_all_ranks_say_is_shown_once_and_at_once(pipe: tuple[Sink, Shown]) -> None:
    sink, shown = pipe
    display = Display(sink, 3, "always")
    for rank in (2, 0):
        say(display, rank, "loading", f"mine {rank}")
    assert shown() == []
    say(display, 1, "loading")
    assert shown() == ["[0-2] loading"]
    display.show_all()
    assert shown() == ["[2] mine 2", "[0] mine 0"]


def test_a_line_does_not_wait_long_for_others(pipe: tuple[Sink, Shown]) -> None:
    sink, shown = pipe
    display = Display(sink, 2, "always")
    say(display, 1, "alone")
    assert display.due_at is not None and display.due_at - time.monotonic() <= 0.1
    display.show_due(display.due_at)
    assert shown() == ["[1] alone"] and display.due_at is None


def test_a_rank_that_repeats_itself_is_not_folded_with_itself(pipe: tuple[Sink, Shown]) -> None:
    sink, shown = pipe
    display = Display(sink, 2, "always")
    say(display, 0, "x", "x")
    say(display, 1, "x", "x", "x")
    display.show_all()
    assert shown() == ["[0-1] x", "[0-1] x", "[1] x"]


def test_the_order_of_each_ranks_lines_stays(pipe: tuple[Sink, Shown], seed: int) -> None:
    sink, shown = pipe
    rng = random.Random(seed)
    display = Display(sink, 3, "always")
    said: dict[int, list[str]] = {rank: [] for rank in range(3)}
    seen: list[str] = []
    for _ in range(200):
        rank, text = rng.randrange(3), rng.choice("abc")
        say(display, rank, text)
        said[rank].append(text)
        if rng.random() < 0.1:
            display.show_all()
        seen += shown()
    display.show_all()
    seen += shown()
    names = {name_of(ranks): ranks for ranks in ({0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2})}
    for rank, texts in said.items():
        assert [line[-1] for line in seen if rank in names[line[1:].partition("]")[0]]] == texts


def test_floods_and_never_are_shown_at_once(pipe: tuple[Sink, Shown]) -> None:
    sink, shown = pipe
    display = Display(sink, 2, "always")
    say(display, 0, "first")
    say(display, 1, *map(str, range(200)))
    assert shown() == ["[0] first", *(f"[1] {number}" for number in range(200))]
    display = Display(sink, 2, "never")
    say(display, 0, "x")
    assert shown() == ["[0] x"]


def test_on_a_terminal_prefixes_have_colours_unless_they_are_unwanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    outer, inner = os.openpty()
    try:
        for unwanted, expected in (("", b"\x1b[36m[0] \x1b[0mtext\r\n"), ("1", b"[0] text\r\n")):
            monkeypatch.setenv("NO_COLOR", unwanted)
            sink = Sink(inner)
            say(Display(sink, 2, "never"), 0, "text")
            sink.drain()
            assert os.read(outer, 4096) == expected
    finally:
        os.close(outer)
        os.close(inner)
