"""How a rank makes the calls of a group."""

from distrt.comm.caller import Caller
from distrt.comm.progress import Operation, Steps
from distrt.comm.solo import SoloTransport


def nothing() -> Steps:
    return 7
    yield


def test_kinds_of_calls_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("distrt.comm.caller.CACHED_KINDS", 8)
    caller = Caller(SoloTransport(), 1.0, "test")
    for number in range(30):
        call = caller.call("all_reduce", number)
        assert caller.call("all_reduce", number) is call
        caller.run(call, Operation(nothing(), "one", place=f"in shared buffer 1, from byte {number}"), False)
        assert len(caller._calls) <= 8
    assert caller.sequence == 30


def test_only_calls_of_all_ranks_are_numbered():
    caller = Caller(SoloTransport(), 1.0, "test")
    work = caller.run(caller.call("recv"), Operation(nothing(), "one"), False, is_numbered=False)
    assert work.source_rank() == work._source_rank() == 7 and caller.sequence == 0
    assert caller.value_of(caller.call("allocate"), Operation(nothing(), "one")) == 7
    assert caller.label("late", "barrier") == "rank 0: barrier #2: late"
    assert caller.label("late", "recv", 0) == "rank 0: recv: late"
