"""Cutting a rank's bytes into prefixed lines, and writing them without blocking."""

import os
import random
import time
from pathlib import Path

import pytest

from launch.reports.lines import MAX_LINE_BYTES, LineCutter
from launch.reports.output import Sink, open_sinks


def cut(data: bytes, sizes: list[int] | None = None) -> bytes:
    """Feed ``data`` in pieces (default: whole) and return all that comes out."""
    cutter, output, start = LineCutter(b"[1] "), b"", 0
    for size in sizes or [len(data)]:
        output += cutter.feed(data[start : start + size])
        start += size
    return (
        output + cutter.feed(data[start:]) + cutter.finish()
        if start < len(data)
        else output + cutter.finish()
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"a\n", b"[1] a\n"),
        (b"a\n\nb\n", b"[1] a\n[1] \n[1] b\n"),
        (b"no newline", b"[1] no newline\n"),
        (b"\xff\x00\xfe\n", b"[1] \xff\x00\xfe\n"),
        (b"windows\r\nlines\r\n", b"[1] windows\n[1] lines\n"),
        (b"\r 10%\r 50%\r100%\n", b"[1] 100%\n"),
        (b" 10%\r100%\r", b"[1] 100%\n"),
        (b"before\n\r1\r2\nafter\n", b"[1] before\n[1] 2\n[1] after\n"),
    ],
)
def test_lines_are_prefixed_and_rewritten_lines_show_their_last_state(data: bytes, expected: bytes) -> None:
    assert cut(data) == expected


def test_the_cuts_of_the_pipe_do_not_show() -> None:
    data = b"one\r\ntwo\n\r10%\r20%\r30%\nthree\n" * 20 + b"tail"
    rng = random.Random(0)
    for _ in range(200):
        sizes = [rng.randint(1, 9) for _ in range(len(data) // 5)]
        assert cut(data, sizes) == cut(data)


def test_a_huge_line_is_cut_into_bounded_pieces_and_loses_nothing() -> None:
    line = bytes(random.Random(0).choices(b"abc", k=3 * MAX_LINE_BYTES + 5))
    for data in (line + b"\n", line, b"x\n" + line + b"\ny\n"):
        pieces = cut(data, [100_000] * 3).removesuffix(b"\n").split(b"\n")
        assert max(map(len, pieces)) <= MAX_LINE_BYTES + 4
        assert b"".join(piece.removeprefix(b"[1] ") for piece in pieces) == data.replace(b"\n", b"")


def test_an_endless_progress_bar_is_held_in_bounded_memory() -> None:
    cutter = LineCutter(b"[0] ")
    for step in range(10_000):
        assert cutter.feed(b"\rstep %d" % step) == b""
        assert len(cutter._partial) < 100
    assert cutter.status() == b"[0] step 9999"
    assert cutter.feed(b"\n") == b"[0] step 9999\n"
    assert cutter.status() is None


def test_a_full_pipe_does_not_block_the_sink() -> None:
    reader, writer = os.pipe()
    try:
        sink = Sink(writer)
        data = b"x" * 999 + b"\n"
        started = time.monotonic()
        for _ in range(1000):
            sink.write(data)
            if sink.has_pending and _is_writable(writer):
                sink.pump()
        assert time.monotonic() - started < 5 and sink.has_pending
        received = 0
        while sink.has_pending or received < 1000 * 1000:
            received += len(os.read(reader, 1 << 16))
            if sink.has_pending and _is_writable(writer):
                sink.pump()
        assert received == 1000 * 1000
    finally:
        os.close(reader)
        os.close(writer)


def test_a_sink_says_when_it_is_full() -> None:
    reader, writer = os.pipe()
    try:
        sink = Sink(writer)
        assert not sink.is_full
        sink.write(b"x" * (5 << 20))
        assert sink.is_full
    finally:
        os.close(reader)
        os.close(writer)


def test_a_reader_that_left_ends_the_output_not_the_launcher() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        sink = Sink(writer)
        sink.write(b"line\n")
        sink.drain()
        sink.write(b"line\n")
        assert not sink.has_pending
    finally:
        os.close(writer)


def test_two_names_of_one_file_share_a_sink(tmp_path: Path) -> None:
    with open(tmp_path / "both", "wb") as file, open(tmp_path / "other", "wb") as other:
        again = os.dup(file.fileno())
        try:
            one, two = open_sinks(file.fileno(), again)
            assert one is two
            one, two = open_sinks(file.fileno(), other.fileno())
            assert one is not two
        finally:
            os.close(again)


def test_a_file_is_written_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as file:
        sink = Sink(file.fileno())
        sink.write(b"[0] a\n")
        assert not sink.has_pending
    assert (tmp_path / "log").read_bytes() == b"[0] a\n"


def test_on_a_terminal_the_progress_bar_stays_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    outer, inner = os.openpty()
    try:
        os.set_blocking(outer, False)
        sink = Sink(inner)
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((20, 24)))
        sink.show_status(b"[0] 50% of a long bar that does not fit")
        sink.write(b"[1] line\n")
        sink.show_status(None)
        sink.drain()
        clear, bar = b"\r\x1b[K", b"[0] 50% of a long b"
        assert os.read(outer, 4096) == clear + bar + clear + b"[1] line\r\n" + bar + clear
    finally:
        os.close(outer)
        os.close(inner)


def _is_writable(fd: int) -> bool:
    import select

    return bool(select.select([], [fd], [], 0)[1])


def test_a_progress_bar_that_was_wiped_out_leaves_no_line() -> None:
    cutter = LineCutter(b"[0] ")
    assert cutter.feed(b"\r 50%|#####     |\r 100%|##########|\r                 \r") == b""
    assert cutter.finish() == b""
