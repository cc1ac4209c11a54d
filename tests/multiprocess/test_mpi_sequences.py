"""Random collectives on random subgroups of two simulated machines, some of them outstanding while others run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given

from tests.conformance.ranks import Ranks
from tests.multiprocess.mpi_ranks import mpi_ranks
from tests.property.test_collective_sequences import PROGRAM, SIZE, Step, programs

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")


@pytest.fixture(scope="module")
def started() -> Iterator[Ranks]:
    join = "from tests.conformance.ranks import join\n"
    with mpi_ranks(SIZE, join + PROGRAM, machines=[0, 0, 1, 1], reads_stdin=True) as made:
        yield made


@given(program=programs)
@pytest.mark.timeout(600)
def test_ranks_on_two_machines_run_any_program(started: Ranks, program: list[Step]) -> None:
    line = json.dumps([step.to_json() for step in program])
    for rank in range(SIZE):
        started.tell(rank, line)
    for rank in range(SIZE):
        answer = started.line(rank)
        assert answer == "done", f"rank {rank}: {started.processes[rank].communicate()[1]}"
