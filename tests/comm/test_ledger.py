"""What a rank's time is said to have gone to, and the file that keeps it."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distrt.comm.ledger import Ledger, is_pictured
from distrt.comm.run_record import RunRecord, pause_s, record_of
from distrt.core.process import activity, steps
from distrt.core.process.activity import BACKWARD, DATA, FORWARD, WAITING, doing


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> Iterator[list[dict[str, Any]]]:
    """What a ledger that listens writes."""
    found: list[dict[str, Any]] = []
    ledger = Ledger(found.append, clock=clock)
    activity.listen(ledger)
    steps.listen("run record", ledger.took_step)
    yield found
    activity.leave(ledger)
    steps.leave("run record", ledger.took_step)


def test_time_belongs_to_the_innermost_and_else_to_the_script(
    clock: Clock, lines: list[dict[str, Any]]
) -> None:
    clock.now += 1
    with doing(DATA):
        clock.now += 2
    clock.now += 4
    with doing(BACKWARD):
        clock.now += 8
        with doing(WAITING):
            clock.now += 16
        clock.now += 32
    steps.taken(1)
    (line,) = lines
    assert line["spent"] == {"data": 2, "backward": 40, "waiting": 16, "script": 5}
    assert (line["seconds"], line["steps"], line["step"], line["longest"]) == (63, 1, 1, 63)


def test_the_longest_time_of_the_script_is_placed(clock: Clock, lines: list[dict[str, Any]]) -> None:
    with doing(DATA):
        pass
    here = test_the_longest_time_of_the_script_is_placed.__code__.co_firstlineno
    clock.now += 3
    with doing(FORWARD):
        clock.now += 9
    clock.now += 1
    steps.taken(1)
    seconds, before, after = lines[0]["gap"]
    name = "in test_the_longest_time_of_the_script_is_placed"
    assert (seconds, before, after) == (
        3,
        f"test_ledger.py:{here + 1} {name}",
        f"test_ledger.py:{here + 5} {name}",
    )
    assert lines[0]["places"] == {"data": before, "forward": after}


def test_calls_that_overlap_are_counted_once(clock: Clock, lines: list[dict[str, Any]]) -> None:
    begun = [activity.launched("all_reduce", 100, 7, number, True) for number in (1, 2)]
    assert all(each is not None for each in begun)
    for each in begun:
        assert each is not None
        each.began_ns = 0
    clock.now = 2.0
    for each in begun:
        assert each is not None
        activity.ended(each)
    steps.taken(1)
    assert (lines[0]["calls"], lines[0]["bytes"]) == (2, 200)
    assert lines[0]["moving"] <= 2.0 or lines[0]["moving"] == pytest.approx(2.0)


def test_the_third_step_is_noted_in_detail(clock: Clock, lines: list[dict[str, Any]]) -> None:
    for count in (1, 2, 3):
        with doing(FORWARD):
            clock.now += 1
            with doing(WAITING):
                clock.now += 1
        steps.taken(count)
    (picture,) = [each for each in lines if each["kind"] == "picture"]
    assert (picture["step"], picture["from"], picture["to"]) == (3, 4, 6)
    assert picture["spans"] == [["waiting", 5, 6], ["forward", 4, 6]]
    assert [step for step in range(2, 400) if is_pictured(step)] == [3, 10, 30, 100, 300]


def test_other_threads_are_not_heard(clock: Clock, lines: list[dict[str, Any]]) -> None:
    def other() -> None:
        with doing(DATA):
            clock.now += 5

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    steps.taken(1)
    assert lines[0]["spent"] == {"script": 5}


def test_lines_grow_seldom_with_age() -> None:
    assert (pause_s(0), pause_s(100), pause_s(5_000)) == (0.05, 0.05, 1.0)


def test_steps_between_two_lines_are_added_up(clock: Clock) -> None:
    found: list[dict[str, Any]] = []
    ledger = Ledger(found.append, lambda age_s: 1.0, clock)
    for count in range(1, 7):
        clock.now += 0.3 if count != 6 else 0.5
        ledger.took_step(count)
    assert [(each["step"], each["steps"]) for each in found if each["kind"] == "step"] == [(4, 4)]
    ledger.flush()
    assert [(each["step"], each["steps"]) for each in found if each["kind"] == "step"] == [(4, 4), (6, 2)]
    assert found[-1]["longest"] == pytest.approx(0.5)


def test_the_script_says_its_step_loss_and_samples(clock: Clock) -> None:
    found: list[dict[str, Any]] = []
    ledger = Ledger(found.append, clock=clock)
    ledger.report(loss=0.5, samples=3, step=1000)
    ledger.report(loss=None, samples=4, step=None)
    ledger.took_step(1)
    assert (found[0]["step"], found[0]["loss"], found[0]["samples"]) == (1000, 0.5, 7)


def test_numbers_are_thinned_out_and_the_last_one_is_kept(clock: Clock) -> None:
    found: list[dict[str, Any]] = []
    ledger = Ledger(found.append, lambda age_s: 1.0, clock)
    for number in range(25):
        ledger.note("accuracy", float(number), number)
        clock.now += 0.125
    ledger.flush()
    assert [each["value"] for each in found if each["kind"] == "number"] == [0, 8, 16, 24]


def test_one_loss_that_was_not_finite_is_told_whatever_came_after(clock: Clock) -> None:
    found: list[dict[str, Any]] = []
    ledger = Ledger(found.append, lambda age_s: 1.0, clock)
    for loss in (1.0, float("nan"), 0.5):
        ledger.report(loss=loss, samples=0, step=None)
    ledger.flush()
    assert str(found[0]["loss"]) == "nan"
    for number, value in enumerate((1.0, 2.0, float("inf"), 3.0, float("inf"))):
        ledger.note("norm", value, number)
    assert [each["value"] for each in found if each["kind"] == "number"] == [1.0, float("inf")]


def test_a_record_is_strict_json_whatever_is_said(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "record.jsonl", 3)
    record.ledger.report(loss=float("nan"), samples=1, step=None)
    activity.noted("odd \ud800 name", float("inf"))
    steps.taken(1)
    record.close()
    record.close()

    def refuse(text: str) -> None:
        raise AssertionError(text)

    texts = (tmp_path / "record.jsonl").read_bytes().decode().splitlines()
    lines = [json.loads(line, parse_constant=refuse) for line in texts]
    assert [each["kind"] for each in lines] == ["start", "number", "step", "end"]
    assert (lines[0]["rank"], lines[0]["pid"], lines[2]["loss"], lines[1]["value"]) == (
        3,
        os.getpid(),
        "nan",
        "inf",
    )


def test_a_forked_child_adds_nothing(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "record.jsonl", 0)
    pid = os.fork()
    if not pid:
        with doing(DATA):
            steps.taken(1)
        record.close()
        os._exit(0 if not activity.listeners else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    record.close()
    lines = (tmp_path / "record.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["start", "step", "end"]


@pytest.mark.parametrize("wish", ["off", "0", "No"])
def test_who_wants_no_record_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    monkeypatch.setenv("DISTRT_RECORD", wish)
    assert record_of(0, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens_unless_asked() -> None:
    assert activity.listeners == ()
