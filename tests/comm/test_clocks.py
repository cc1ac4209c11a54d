"""How far another machine's clock is from ours, and how far off that may be."""

import random

import pytest

from distrt.comm.clocks import machine_clock, offset_to
from distrt.comm.stores.client import Store
from distrt.comm.stores.server import StoreServer


@pytest.mark.parametrize("lead_ns", [0, 5_000_000_000, -3_000_000])
def test_the_offset_is_within_what_it_says(lead_ns: int) -> None:
    chance, now = random.Random(lead_ns), [10**9]

    def ours() -> int:
        return now[0]

    def theirs() -> int:
        """Answers after a delay there, and another one on the way back."""
        now[0] += chance.randrange(20_000, 900_000)
        read = now[0] + lead_ns
        now[0] += chance.randrange(20_000, 900_000)
        return read

    found = offset_to(theirs, ours)
    assert abs(found.ns - lead_ns) <= found.uncertainty_ns
    assert found.uncertainty_ns < 500_000  # the best of sixteen


def test_a_store_tells_its_time_to_within_what_it_says() -> None:
    server = StoreServer()
    try:
        with Store("127.0.0.1", server.port) as store:
            found = offset_to(store.clock_ns)
    finally:
        server.close()
    assert abs(found.ns) <= found.uncertainty_ns  # it is the same clock


def test_processes_of_a_machine_have_one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine_clock()
    assert here.offset_ns is None
    monkeypatch.setenv("DISTRT_MACHINE", "other")
    assert machine_clock().machine != here.machine
