"""Status pages: what they keep, and what becomes of them when they are full."""

import os

import pytest

from distrt.comm.calls import FINGERPRINT_BITS, describe
from distrt.comm.status import PAGE_BYTES, StatusPage, parse


def test_the_last_calls_are_kept_with_all_that_is_known_of_them():
    page = StatusPage(3, started=17)
    for number in range(1, 101):
        entry = page.begin(
            7, number, describe("all_reduce", "SUM", number), page.intern(f"train.py:{number}")
        )
        if number < 100:
            page.end(entry)
    page.took_step(1)
    status = page.read()
    assert (status.rank, status.pid, status.started, status.step) == (3, os.getpid(), 17, 1)
    assert [call.number for call in status.calls] == list(range(37, 101))
    last = status.calls[-1]
    assert (last.text, last.place, last.is_running) == ("all_reduce(SUM, 100 elements)", "train.py:100", True)
    assert not any(call.is_running for call in status.calls[:-1])
    assert last.fingerprint == describe("all_reduce", "SUM", 100).fingerprint


def test_the_optimizer_that_is_furthest_counts_the_steps_until_the_script_does():
    page = StatusPage(0)
    assert page.read()[-2:] == (0, None)
    for count in (1, 2, 1, 3, 2):
        page.took_step(count)
    assert page.read().step == 3
    page.report(0.25, 64, 1000)
    page.took_step(4)
    page.report(None, 32, None)
    status = page.read()
    assert (status.step, status.samples, status.loss) == (1000, 96, 0.25)


def test_a_page_full_of_texts_starts_over_and_keeps_the_fingerprints():
    page = StatusPage(0)
    for number in range(1, 5001):
        page.begin(
            7, number, describe("broadcast", f"from rank {number}", number), page.intern(f"line {number}")
        )
    calls = page.read().calls
    assert calls[-1].text == "broadcast(from rank 5000, 5000 elements)" and calls[-1].place == "line 5000"
    for call in calls:
        expected = describe("broadcast", f"from rank {call.number}", call.number)
        assert call.fingerprint == expected.fingerprint
        assert call.text in (expected.text, "?") and call.place in (f"line {call.number}", "?")


def test_a_long_failure_keeps_its_beginning_and_its_end():
    page = StatusPage(0)
    page.fail("begin" + "x" * 100_000 + "end")
    failure = page.read().failure
    assert failure.startswith("begin") and failure.endswith("end") and len(failure) < PAGE_BYTES


@pytest.mark.parametrize("data", [b"", b"x" * 100, bytes(PAGE_BYTES), os.urandom(PAGE_BYTES)])
def test_what_is_no_page_is_none(data):
    assert parse(data) is None


def test_a_damaged_page_is_read_without_an_error():
    page = StatusPage(0)
    page.begin(7, 1, describe("barrier"), page.intern("train.py:1"))
    good = bytearray(page.snapshot())
    for offset in range(64, 4096, 97):
        parse(bytes(good[:offset]) + b"\xff" * 40 + bytes(good[offset + 40 :]))


def test_calls_that_differ_have_different_fingerprints():
    calls = [
        describe("all_reduce", op, dtype, n)
        for op in ("SUM", "MAX")
        for dtype in ("float32", "int8")
        for n in (1, 2)
    ]
    assert len({call.fingerprint for call in calls}) == len(calls)
    assert all(0 <= call.fingerprint < 1 << FINGERPRINT_BITS for call in calls)
