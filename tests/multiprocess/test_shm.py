"""Shared memory between processes: what happens when a rank dies, stops, leaves or comes late, and what is left."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.conformance.ranks import ranks
from tests.multiprocess.conftest import PROMPT_S, leaked_shared_memory, shared_memory

# Every rank prints "ready" when it is in the middle of things, and then what became of it, with the time.
REPORT = """
from distrt.core.errors import CollectiveTimeout, DistributedError, PeerFailed
def report(call):
    start = time.monotonic()
    try:
        call()
        print("fine", flush=True)
    except DistributedError as error:
        print(type(error).__name__, time.time(), " ".join(str(error).split()), flush=True)
"""

IN_A_LOOP = """
group = join(timeout_s=float(sys.argv[1]))
buffer = group.allocate((300_000,), np.float32)
plain = np.ones(300_000, np.float32)
def loop():
    for step in range(10**9):
        for array in (buffer, plain, plain[:64]):
            group.all_reduce(array)
            array[...] = 1
        if step == 10:
            print("ready", flush=True)
"""

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def nothing_left():
    before = shared_memory()
    yield
    assert not leaked_shared_memory(before, patience_s=1.0)


def wait_until_ready(started, size):
    assert [started.line(rank) for rank in range(size)] == ["ready"] * size


@pytest.mark.parametrize("size", [2, 4])
def test_a_killed_rank_is_named_at_once(size):
    with ranks(size, REPORT + IN_A_LOOP + "report(loop)", "60") as started:
        wait_until_ready(started, size)
        killed_at = time.time()
        started.signal(1, signal.SIGKILL)
        for rank in set(range(size)) - {1}:
            kind, at, text = started.line(rank).split(" ", 2)
            assert kind == "PeerFailed"
            assert "rank 1 " in text and text.startswith(f"rank {rank}: all_reduce #")
            assert float(at) - killed_at < PROMPT_S


def test_a_killed_rank_is_named_even_when_nobody_has_collected_it():
    """Its parent, this test, has not waited for it: it is a zombie."""
    with ranks(2, REPORT + IN_A_LOOP + "report(loop)", "60") as started:
        wait_until_ready(started, 2)
        started.signal(0, signal.SIGKILL)
        assert "(process" in (line := started.line(1)) and "died" in line
        assert Path(f"/proc/{started.processes[0].pid}/stat").read_text().split()[2] == "Z"


@pytest.mark.ci
def test_a_stopped_rank_leads_to_a_timeout_that_names_it():
    with ranks(3, REPORT + IN_A_LOOP + "report(loop)", "1.5") as started:
        wait_until_ready(started, 3)
        started.signal(2, signal.SIGSTOP)
        for rank in (0, 1):
            line = started.line(rank)
            assert line.startswith("CollectiveTimeout") and "waited 1.5 s for rank 2" in line
            assert re.search(rf"rank {rank}: all_reduce #\d+", line)


def test_a_rank_that_leaves_is_named():
    program = REPORT + "group = join()\nif group.rank(): report(group.barrier)"
    with ranks(2, program) as started:
        assert "rank 0 left the group" in started.output()[1]


def test_a_rank_that_leaves_after_its_last_collective_disturbs_nobody():
    program = """
group = join()
array = np.ones(100_000, np.float32)
for _ in range(10):
    group.all_reduce(array)
if group.rank() == 1:
    time.sleep(0.3)
print(array[0])
"""
    with ranks(3, program) as started:
        assert started.output() == [f"{3.0**10}\n"] * 3


def test_a_group_that_failed_refuses_further_calls_and_says_why():
    program = REPORT + "group = join()\nif group.rank(): report(group.barrier); report(group.barrier)"
    with ranks(2, program) as started:
        second = started.output()[1].splitlines()[1]
        assert second.startswith("DistributedError") and "rank 0 left the group" in second


def test_the_rank_that_was_lost_first_is_named_by_those_who_waited_for_others():
    program = (
        REPORT
        + """
group = join()
print("ready", flush=True)
if group.rank() == 2:
    time.sleep(60)
if group.rank() == 0:
    time.sleep(0.4)  # comes when rank 1 has given up already
report(group.barrier)
"""
    )
    with ranks(3, program) as started:
        wait_until_ready(started, 3)
        started.signal(2, signal.SIGKILL)
        assert all("rank 2 (process" in started.line(rank) for rank in (0, 1))


def test_a_wait_with_its_own_timeout_can_be_taken_up_again(pair):
    program = (
        REPORT
        + """
buffer = group.allocate(1000, np.float64)
buffer[...] = group.rank()
if group.rank() == 0:
    time.sleep(0.5)
work = group.all_reduce(buffer, async_op=True)
if group.rank() == 1:
    report(lambda: work.wait(timeout=0.1))
work.wait()
print(buffer.sum())
"""
    )
    first, second = pair.output(program)
    assert first == "1000.0\n"
    assert second.startswith("CollectiveTimeout") and second.endswith("1000.0\n")


def test_outstanding_buffers_are_independent_and_may_be_awaited_in_any_order(pair):
    program = """
buffers = [group.allocate(50_000, np.float32) for _ in range(4)]
plain = [np.full(n, 1.0 + group.rank()) for n in (10, 300_000, 1000)]
for trial in range(5):
    for i, buffer in enumerate(buffers):
        buffer[...] = i + group.rank()
    for array in plain:
        array[...] = 1 + group.rank()
    works = [group.all_reduce(array, async_op=True) for array in (*buffers, *plain)]
    if group.rank():
        works.reverse()
        group.progress()
    for work in works[trial:]:
        work.wait()
    group.barrier()
    for work in works:
        work.wait()
    assert [buffer.mean() for buffer in buffers] == [1 + 2 * i for i in range(4)]
    assert all((array == 3).all() for array in plain)
"""
    pair.output(program)


def test_a_second_operation_on_a_busy_buffer_follows_the_first(pair):
    program = """
buffer = group.allocate(100_000, np.float32)
buffer[...] = 1
first = group.all_reduce(buffer, async_op=True)
second = group.all_reduce(buffer[:50_000], async_op=True)
second.wait()
assert first.is_completed()
assert (buffer[:50_000] == 4).all() and (buffer[50_000:] == 2).all()
"""
    pair.output(program)


def test_a_buffer_that_does_not_fit_is_refused_on_every_rank_and_the_group_goes_on(pair):
    program = REPORT + "report(lambda: group.allocate(1 << 50, np.uint8))\ngroup.barrier()"
    for line in pair.output(program):
        assert line.startswith("DistributedError") and "MB of shared memory" in line


def test_freed_memory_goes_back_to_the_machine(pair):
    program = """
def held():
    return os.stat(group.transport._segment.path).st_blocks * 512
before = held()
buffer = group.allocate((8 << 20,), np.uint8)
buffer[...] = 1
group.barrier()
assert held() - before >= 16 << 20
group.barrier()
group.free(buffer)
group.barrier()
assert held() - before < 1 << 20
"""
    pair.output(program)


def test_a_renewed_buffer_is_the_same_to_all_and_leaves_its_old_values(pair):
    program = """
for size in 100, 300_000:
    buffer = group.allocate(size, np.float32)
    views = []
    for step in range(4):
        buffer[...] = group.rank() + 1 + step
        group.all_reduce(buffer)
        assert (buffer == 3 + 2 * step).all()
        if step % 2 == group.rank():
            views.append((3 + 2 * step, buffer[1:]))
            buffer = group.renew(buffer)
            assert (buffer == 3 + 2 * step).all()
    assert all((view == value).all() for value, view in views) and len(views) == 2
    if group.rank() == 1:  # comes when the other has tried
        group.recv(np.empty(1), 0)
    work = group.all_reduce(buffer, async_op=True)
    if group.rank() == 0:
        try:
            group.renew(buffer)
        except RuntimeError as error:
            assert "outstanding" in str(error)
        else:
            raise AssertionError
        group.send(np.empty(1), 1)
    work.wait()
    group.free(buffer)
    assert all((view == value).all() for value, view in views)
"""
    pair.output(program)


def test_waiting_ranks_sleep(pair):
    program = """
if group.rank() == 0:
    time.sleep(1.0)
before = time.process_time()
group.barrier()
print(time.process_time() - before)
"""
    assert float(pair.output(program)[1]) < 0.1


def test_nothing_of_a_job_has_a_name():
    program = "group = join()\nbuffer = group.allocate(1000, np.float32)\nprint('ready', flush=True)\ntime.sleep(60)"
    before = set(os.listdir("/dev/shm"))
    with ranks(2, program) as started:
        wait_until_ready(started, 2)
        assert set(os.listdir("/dev/shm")) <= before


def test_a_forked_child_does_not_make_its_parent_leave():
    program = """
import warnings
warnings.simplefilter("ignore")  # forking is the point
group = join()
child = os.fork()
if child == 0:
    sys.exit()  # runs the exit handlers that it inherited
os.waitpid(child, 0)
group.barrier()
print("fine")
"""
    with ranks(2, program) as started:
        assert started.output() == ["fine\n"] * 2


def test_memory_without_memfd_is_an_unnamed_file_and_says_so():
    program = """
import logging, warnings
logging.basicConfig(format="%(message)s", stream=sys.stdout)
def refuse(*arguments):
    raise OSError("not here")
os.memfd_create = refuse
group = join()
array = np.ones(100_000, np.float32)
group.all_reduce(array)
print(array[0])
"""
    with ranks(2, program) as started:
        first, second = started.output()
        assert "no memfd (not here)" in first and second.splitlines()[-1] == "2.0"
