"""The engine that drives operations: order within a queue, waiting, time-outs, errors, and the helper thread."""

from __future__ import annotations

import threading
import time

import pytest

from distrt.comm.diagnosis import Diagnosis
from distrt.comm.progress import Engine, Look, Operation, Steps, Wait
from distrt.core.errors import CollectiveTimeout, DistributedError, PeerFailed, ShapeError

LABEL = ("test", 1)


class Door(Wait):
    """Over when somebody opens it."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.because: str | None = None

    def is_over(self) -> bool:
        return self.opened.is_set()

    def sleep(self, seconds: float, sleeper: int) -> None:
        self.opened.wait(seconds)

    def missing(self) -> list[int]:
        return [] if self.is_over() else [3]

    def lost(self) -> str | None:
        return self.because


class Alone:
    """A rank that sees nothing of the others."""

    rank, size = 0, 4

    def peek(self, rank: int) -> None:
        return None

    def plight(self, rank: int) -> str:
        return ""

    def is_silent(self, rank: int) -> bool:
        return False

    def stacks(self, rank: int, patience_s: float) -> str:
        return ""

    def give_up(self, because: str) -> None:
        pass


def label(text: str, name: str, number: int | None = None) -> str:
    return f"rank 0: {name} #{number}: {text}"


def make_engine(head_start_s: float = 0.0) -> Engine:
    return Engine(label, 5.0, Look.NEVER, Diagnosis(Alone(), 1, "test", label), head_start_s)


@pytest.fixture
def engine():
    made = make_engine()
    yield made
    made.close()


def passing(log: list[str], name: str, *doors: Door) -> Steps:
    log.append(f"{name} begins")
    yield from doors
    log.append(f"{name} ends")
    return name


def test_an_operation_runs_to_its_end_and_gives_what_it_returns(engine):
    log: list[str] = []
    assert engine.run(Operation(passing(log, "a"), "queue"), LABEL) == "a"
    assert log == ["a begins", "a ends"]
    assert engine.is_idle


def test_operations_of_one_queue_run_in_launch_order_and_other_queues_do_not_wait(engine):
    log: list[str] = []
    door = Door()
    first = engine.launch(Operation(passing(log, "a", door), "one"), LABEL)
    second = engine.launch(Operation(passing(log, "b"), "one"), LABEL)
    third = engine.launch(Operation(passing(log, "c"), "other"), LABEL)
    assert third.is_completed() and not first.is_completed() and not second.is_completed()
    assert log == ["a begins", "c begins", "c ends"]
    door.opened.set()
    assert second.wait() and first.is_completed()
    assert log[3:] == ["a ends", "b begins", "b ends"]


def test_a_blocking_operation_comes_after_those_of_its_queue_that_were_launched(engine):
    log: list[str] = []
    door = Door()
    engine.launch(Operation(passing(log, "a", door), "one"), LABEL)
    threading.Timer(0.05, door.opened.set).start()
    engine.run(Operation(passing(log, "b"), "one"), LABEL)
    assert log == ["a begins", "a ends", "b begins", "b ends"]


def test_the_helper_thread_finishes_a_long_operation_while_the_caller_does_something_else(engine):
    log: list[str] = []
    door, done = Door(), threading.Event()
    finisher: list[str] = []
    work = engine.launch(Operation(passing(log, "a", door), "one", is_long=True), LABEL)
    work.add_done_callback(lambda: (finisher.append(threading.current_thread().name), done.set()))
    door.opened.set()
    assert done.wait(5.0), "nobody moved the operation on"
    assert finisher == ["distrt communication"]
    assert work.is_success() and work.wait()


def test_the_helper_thread_leaves_the_caller_a_head_start():
    engine = make_engine(head_start_s=0.5)
    movers: list[str] = []

    def steps(door: Door) -> Steps:
        yield door
        movers.append(threading.current_thread().name)

    begun = time.monotonic()
    first = engine.launch(Operation(steps(Door()), "one", is_long=True), LABEL)
    first.wait_now.opened.set()
    engine.progress()
    assert movers == ["MainThread"] and time.monotonic() - begun < 0.5
    done = threading.Event()
    second = engine.launch(Operation(steps(Door()), "one", is_long=True), LABEL)
    second.add_done_callback(done.set)
    second.wait_now.opened.set()
    launched = time.monotonic()
    assert done.wait(10.0), "nobody moved the operation on"
    assert movers[1:] == ["distrt communication"] and time.monotonic() - launched > 0.3
    engine.close()


def test_a_short_operation_wakes_no_thread(engine):
    door = Door()
    work = engine.launch(Operation(passing([], "a", door), "one"), LABEL)
    assert "distrt communication" not in {each.name for each in threading.enumerate()}
    door.opened.set()
    work.wait()


def test_a_time_out_names_who_is_missing_and_ends_the_group(engine):
    engine.timeout_s = 0.1
    with pytest.raises(CollectiveTimeout, match=r"rank 0: test #1: waited 0.1 s for rank 3"):
        engine.run(Operation(passing([], "a", Door()), "one"), LABEL)
    assert engine.failed is not None


def test_a_time_out_of_the_callers_own_can_be_followed_by_another_wait(engine):
    door = Door()
    work = engine.launch(Operation(passing([], "a", door), "one"), LABEL)
    with pytest.raises(CollectiveTimeout, match="rank 3"):
        work.wait(timeout=0.05)
    assert engine.failed is None and work.exception() is None
    door.opened.set()
    assert work.wait()


def test_short_waits_in_a_row_see_a_lost_rank_as_a_long_one_does(engine):
    door = Door()
    door.because = "rank 3 left the group"
    work = engine.launch(Operation(passing([], "a", door), "one"), LABEL)
    for _ in range(100):
        try:
            work.wait(timeout=0.005)
        except CollectiveTimeout:
            continue
        except PeerFailed as error:
            assert "rank 3 left the group" in str(error)
            break
    else:
        pytest.fail("half a second of waiting did not see the loss")


def test_the_time_out_starts_again_with_every_step(engine):
    """A long operation may take longer than the time-out, as long as the others keep coming."""
    engine.timeout_s = 0.5
    doors = [Door() for _ in range(4)]
    for number, door in enumerate(doors):
        threading.Timer(0.2 * (number + 1), door.opened.set).start()
    engine.run(Operation(passing([], "a", *doors), "one"), LABEL)


def test_a_lost_rank_is_an_error_that_says_why(engine):
    door = Door()
    door.because = "rank 3 left the group"
    with pytest.raises(PeerFailed, match="rank 3 left the group"):
        engine.run(Operation(passing([], "a", door), "one"), LABEL)
    assert "rank 3 left" in str(engine.failed)


def raising(error: Exception) -> Steps:
    raise error
    yield


def returning(error: Exception) -> Steps:
    return error
    yield


def test_what_steps_raise_ends_the_group_and_what_they_return_does_not(engine):
    with pytest.raises(ShapeError, match="rank 0: test #1: odd"):
        engine.run(Operation(returning(ShapeError("odd")), "one"), LABEL)
    work = engine.launch(Operation(returning(ShapeError("odd")), "one"), LABEL)
    assert work.is_completed() and not work.is_success() and isinstance(work.exception(), ShapeError)
    with pytest.raises(ShapeError, match="odd"):
        work.wait()
    assert engine.failed is None
    with pytest.raises(ZeroDivisionError):
        engine.run(Operation(raising(ZeroDivisionError("mine")), "one"), LABEL)
    assert engine.failed == "mine"


def test_an_error_reaches_the_future(engine):
    work = engine.launch(Operation(raising(ValueError("mine")), "one"), LABEL)
    with pytest.raises(ValueError, match="mine"):
        work.get_future().wait()


def test_a_future_has_the_result(engine):
    work = engine.launch(Operation(passing([], "a"), "one"), LABEL)
    work._result = ["tensors"]
    assert work.get_future().wait() == ["tensors"] == work.result()


def test_closing_wakes_those_who_wait(engine):
    work = engine.launch(Operation(passing([], "a", Door()), "one"), LABEL)
    threading.Timer(0.1, engine.close).start()
    with pytest.raises(DistributedError, match="closed before this was done"):
        work.wait()


def test_the_helper_thread_goes_when_it_is_idle(engine, monkeypatch):
    monkeypatch.setattr("distrt.comm.progress._IDLE_S", 0.05)
    done = threading.Event()
    door = Door()
    work = engine.launch(Operation(passing([], "a", door), "one", is_long=True), LABEL)
    work.add_done_callback(done.set)
    door.opened.set()
    assert done.wait(5.0)
    deadline = time.monotonic() + 5.0
    while "distrt communication" in {each.name for each in threading.enumerate()}:
        assert time.monotonic() < deadline, "the thread stays"
        time.sleep(0.01)


@pytest.mark.parametrize(("wish", "looks"), [("spin", True), ("sleep", False)])
def test_how_to_wait_can_be_chosen(monkeypatch, wish, looks):
    monkeypatch.setenv("DISTRT_WAIT", wish)
    engine = make_engine()
    assert (engine._look_s > 0) == looks


def test_an_unknown_way_of_waiting_is_refused(monkeypatch):
    monkeypatch.setenv("DISTRT_WAIT", "dance")
    with pytest.raises(DistributedError, match="DISTRT_WAIT='dance'"):
        make_engine()
