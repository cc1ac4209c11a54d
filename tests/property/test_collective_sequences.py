"""Random collectives on random subgroups, some of them outstanding while others run: every rank's result is right.

A program is a list of steps, the same for every rank; a rank takes part where it is a member. Threads run programs in
this process; processes that share memory read them line by line.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.comm.local import run_local
from distrt.comm.process_group import ProcessGroup, ReduceOp
from tests.conformance.cases import COLLECTIVES, COMPLEX, FLOATS, INTEGERS, Case, has_meaning
from tests.conformance.ranks import Ranks, ranks

SIZE = 4


@dataclasses.dataclass(frozen=True)
class Step:
    members: tuple[int, ...]
    case: Case
    wait_after: int  # how many further steps are launched before this one is waited for

    def to_json(self) -> list:
        case = dataclasses.asdict(self.case) | {"op": self.case.op.name}
        return [self.members, case, self.wait_after]

    @classmethod
    def from_json(cls, found: list) -> Step:
        members, case, wait_after = found
        return cls(tuple(members), Case(**case | {"op": ReduceOp[case["op"]]}), wait_after)


def run_program(
    world: ProcessGroup, program: list[Step], groups: dict[tuple[int, ...], ProcessGroup]
) -> None:
    """Run a program on one rank. ``groups`` keeps the subgroups, which are made at first need."""
    pending: list[tuple[int, object]] = []
    for number, step in enumerate(program):
        for due, finish in [each for each in pending if each[0] <= number]:
            pending.remove((due, finish))
            finish()
        if world.rank() in step.members:
            if step.members not in groups:
                name = f"sub/{'-'.join(map(str, step.members))}"
                transport = world.transport.subgroup(step.members, name, world.timeout_s)
                groups[step.members] = ProcessGroup(transport, world.timeout_s, name, step.members)
            finish = step.case.launch(groups[step.members])
            pending.append((number + (step.wait_after if step.case.is_async else 0), finish))
    for _, finish in pending:
        finish()


@st.composite
def steps(draw: st.DrawFn) -> Step:
    dtype = draw(st.sampled_from((*INTEGERS, *FLOATS, *COMPLEX)))
    op = draw(st.sampled_from([each for each in ReduceOp if has_meaning(each, dtype)]))
    members = draw(st.lists(st.sampled_from(range(SIZE)), min_size=2, max_size=SIZE, unique=True))
    is_async = draw(st.booleans())
    collective = draw(st.sampled_from(COLLECTIVES))
    case = Case(
        collective,
        dtype,
        op,
        draw(st.sampled_from(("contiguous", "strided", "contiguous", "buffer", "view"))),
        draw(st.sampled_from((0, 1, 7, 1021, 8209, 150_001))),
        is_async and collective != "send_recv",
        draw(st.integers(0, 2**32 - 1)),
    )
    return Step(tuple(members), case, draw(st.integers(0, 4)))


programs = st.lists(steps(), min_size=1, max_size=10)


@given(programs)
@pytest.mark.timeout(600)
def test_threads_run_any_program(program: list[Step]) -> None:
    run_local(lambda world: run_program(world, program, {}), SIZE, timeout_s=30)


PROGRAM = """
from tests.property.test_collective_sequences import Step, run_program
import json
world, groups = join(timeout_s=30), {}
for line in sys.stdin:
    run_program(world, [Step.from_json(each) for each in json.loads(line)], groups)
    print("done", flush=True)
"""


@contextmanager
def waiting_ranks() -> Iterator[Ranks]:
    with ranks(SIZE, PROGRAM, reads_stdin=True) as started:
        yield started


@pytest.fixture(scope="module")
def started() -> Iterator[list[Ranks]]:
    """The ranks that run programs; they are started again after a failure."""
    with waiting_ranks() as made:
        yield [made]


@pytest.mark.ci
@given(program=programs)
@pytest.mark.timeout(600)
def test_processes_that_share_memory_run_any_program(started: list[Ranks], program: list[Step]) -> None:
    line = json.dumps([step.to_json() for step in program])
    for rank in range(SIZE):
        started[0].tell(rank, line)
    for rank in range(SIZE):
        answer = started[0].line(rank)
        assert answer == "done", started[0].why(rank)
