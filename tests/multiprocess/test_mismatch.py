"""Ranks that call different things are told so within a second, each with who called what, and where."""

import json

import pytest

from tests.conformance.ranks import ranks
from tests.multiprocess.mpi_ranks import ON_MPI, mpi_ranks

SIZE, ODD = 4, 3

# Every case has a group of its own, since a group whose ranks differed is of no use any more.
CASES = """
import json
from datetime import timedelta
from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.errors import DistributedError
SIZE, ODD = 4, 3
F32, F64 = np.float32, np.float64

def all_reduce(group, dtype=F32, count=4, op=ReduceOp.SUM):
    group.all_reduce(np.ones(count, dtype), op)
def reduce(group, dtype=F32, count=4, root=0, op=ReduceOp.SUM):
    group.reduce(np.ones(count, dtype), root, op)
def broadcast(group, dtype=F32, count=4, root=0):
    group.broadcast(np.ones(count, dtype), root)
def all_gather(group, dtype=F32, count=4):
    group.all_gather(np.ones((SIZE, count), dtype), np.ones(count, dtype))
def gather(group, dtype=F32, count=4, root=0):
    output = np.ones((SIZE, count), dtype) if group.rank() == root else None
    group.gather(output, np.ones(count, dtype), root)
def scatter(group, dtype=F32, count=4, root=0):
    inputs = np.ones((SIZE, count), dtype) if group.rank() == root else None
    group.scatter(np.ones(count, dtype), inputs, root)
def reduce_scatter(group, dtype=F32, count=4, op=ReduceOp.SUM):
    group.reduce_scatter(np.ones(count, dtype), np.ones((SIZE, count), dtype), op)
def all_to_all(group, dtype=F32, count=4):
    group.all_to_all([np.ones(count, dtype) for _ in range(SIZE)], [np.ones(count, dtype) for _ in range(SIZE)])
def barrier(group):
    group.barrier()
def allocate(group, dtype=F32, count=4):
    group.allocate((count,), dtype)

def other_op(group):
    group.all_gather(np.ones((SIZE, 7), F32), np.ones(7, F32))

OPS = [all_reduce, reduce, broadcast, all_gather, gather, scatter, reduce_scatter, all_to_all, barrier, allocate]
ROOTED = [reduce, broadcast, gather, scatter]
REDUCING = [all_reduce, reduce, reduce_scatter]

def cases():
    for op in OPS:
        yield op.__name__, "op", [op], [other_op]
        yield op.__name__, "order", [op, other_op], [other_op, op]
        if op is not barrier:
            yield op.__name__, "dtype", [op], [lambda group, op=op: op(group, dtype=F64)]
        if op not in (barrier, all_to_all):
            yield op.__name__, "shape", [op], [lambda group, op=op: op(group, count=5)]
            yield op.__name__, "size", [op], [lambda group, op=op: op(group, count=300_000)]
        if op in ROOTED:
            yield op.__name__, "root", [op], [lambda group, op=op: op(group, root=1)]
        if op is barrier:
            yield op.__name__, "what", [lambda group: group.barrier(what="a")], [lambda group: group.barrier(what="b")]
        if op in REDUCING:
            yield op.__name__, "reduce op", [op], [lambda group, op=op: op(group, op=ReduceOp.MAX)]

def make_group(parent, number, timeout_s=30.0):
    name = f"case{number}"
    return ProcessGroup(parent.transport.subgroup(range(SIZE), name, 30.0), timeout_s, name)

def run(group, calls):
    begun = time.monotonic()
    try:
        for call in calls:
            call(group)
        group.barrier()  # a rank whose part needs nobody is told at its next call
        outcome = "fine"
    except DistributedError as error:
        outcome = f"{type(error).__name__}: {error}"
    return outcome, time.monotonic() - begun

def run_all(parent):
    rows = []
    chosen = [case for case in cases() if len(sys.argv) < 2 or case[1] in sys.argv[1:]]
    for number, (op, kind, calls, odd) in enumerate(chosen):
        group = make_group(parent, number)
        rows.append([op, kind, *run(group, odd if parent.rank() == ODD else calls)])
        parent.barrier()
        group.close()
    print(json.dumps(rows))
"""

MISSING = """
from concurrent.futures import ThreadPoolExecutor
def run_all(parent):  # all at once: each waits for a time-out
    groups = [make_group(parent, number, timeout_s=1.5) for number in range(len(OPS))]
    late = [lambda group: time.sleep(3.0)] if parent.rank() == ODD else []
    with ThreadPoolExecutor(len(OPS)) as threads:
        found = list(threads.map(lambda group, op: run(group, late + [op]), groups, OPS))
    parent.barrier()
    print(json.dumps([[op.__name__, "missing", *each] for op, each in zip(OPS, found)]))
"""


def outcomes(transport, program, *kinds):
    """Per rank, a list of (op, what differs, what came of it, seconds)."""
    if transport == "shm":
        with ranks(SIZE, CASES + program + "run_all(join())", *kinds) as started:
            found = started.output(120.0)
    else:
        with mpi_ranks(
            SIZE,
            f"import numpy as np, sys\nsys.argv[1:] = {list(kinds)}\n{ON_MPI}{CASES}{program}run_all(group)",
            machines=[0, 0, 1, 1],
        ) as started:
            found = started.output(120.0)
    return [json.loads(text) for text in found]


@pytest.mark.parametrize(
    ("transport", "kinds"),
    [
        ("shm", ()),
        pytest.param("mpi", ("root",), marks=pytest.mark.ci),
        pytest.param("mpi", (), marks=pytest.mark.slow),
    ],  # (): every kind
)
def test_every_rank_is_told_within_a_second_who_called_what(transport, kinds):
    told = outcomes(transport, "", *kinds)
    for row in zip(*told, strict=True):
        op, kind = row[0][:2]
        for rank, (_, _, outcome, seconds) in enumerate(row):
            where = f"{transport}: {op}, other {kind}, rank {rank}: {outcome}"
            assert outcome.startswith("CollectiveMismatch"), where
            assert "called different things as number 1:" in outcome, where
            assert f"ranks 0, 1, 2: {op}(" in outcome, where
            assert f"rank {ODD}: " in outcome and "in the minority" in outcome, where
            assert "<string>:" in outcome, f"{where} names no line"
            # On a busy machine; on a quiet one it is 0.5 s.
            assert seconds < 5.0, f"{where} took {seconds:.1f} s"


@pytest.mark.ci
@pytest.mark.parametrize("transport", ["shm", pytest.param("mpi", marks=pytest.mark.slow)])
def test_a_rank_that_does_not_come_is_named(transport):
    told = outcomes(transport, MISSING)
    for row in zip(*told, strict=True):
        for rank, (op, _, outcome, _) in enumerate(row):
            where = f"{transport}: {op}, rank {rank}: {outcome}"
            if rank != ODD and "fine" not in outcome:
                assert f"rank {ODD}" in outcome, where
        assert any("CollectiveTimeout" in outcome for _, _, outcome, _ in row), row


PLACES = """
from distrt.core.errors import CollectiveMismatch
group = join()
rank = group.rank()
first, second = (group.allocate((300_000,), np.float32) for _ in range(2))
def told(array):
    try:
        group.all_reduce(array)
    except CollectiveMismatch as error:
        return str(error).splitlines()[1:]
    return "fine"
print(told(ARRAYS), flush=True)
"""


@pytest.mark.parametrize(
    ("arrays", "places"),
    [
        ("first if rank < 2 else np.ones(300_000, np.float32)", (" in shared buffer 1", "")),
        ("first if rank < 2 else second", (" in shared buffer 1", " in shared buffer 2")),
        (
            "first[1000:] if rank < 2 else first[:-1000]",
            (" in shared buffer 1, from byte 4000", " in shared buffer 1"),
        ),
    ],
    ids=["a buffer and a plain array", "two buffers", "two parts of one"],
)
def test_ranks_whose_arrays_lie_in_different_places_are_told(arrays, places):
    with ranks(3, PLACES.replace("ARRAYS", arrays)) as started:
        for rank in range(3):
            text = started.line(rank)
            elements = 299_000 if "from byte" in text else 300_000
            for ranks_text, place in zip(("ranks 0, 1", "rank 2"), places, strict=True):
                assert (
                    f"{ranks_text}: all_reduce(SUM, float32, {elements} elements){place} at <string>" in text
                ), text
