"""What a user sees when ranks do not meet: who is missing, where every rank is, and what ended the one that is gone."""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conformance.ranks import ranks
from tests.multiprocess.mpi_ranks import ON_MPI, mpi_ranks, ranks_between
from tests.multiprocess.namespaces import needs_namespaces, two_machines

SOON = {"DISTRT_REPORT_AFTER_S": "1"}
PROMPT_S = 6.0  # on a busy machine; about one second on a quiet one

ON_SHM = "group = join()\n"
RUN = """
import json, traceback
from distrt.core.errors import DistributedError
def report(call):
    begun = time.monotonic()
    try:
        call()
        outcome = "fine"
    except DistributedError as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps([outcome, time.monotonic() - begun]), flush=True)
def ready():
    print("ready", flush=True)
one = np.ones(4, np.float32)
"""


@pytest.fixture
def start(transport, monkeypatch):
    """Starts a program in three ranks (under MPI: two machines), whose ``group`` it finds made."""
    monkeypatch.setenv("DISTRT_REPORT_AFTER_S", "1")

    def start(program):
        if transport == "shm":
            return ranks(3, ON_SHM + RUN + program)
        return mpi_ranks(3, "import numpy as np" + ON_MPI + RUN + program, machines=[0, 0, 1], variables=SOON)

    return start


on_both = pytest.mark.parametrize("transport", ["shm", pytest.param("mpi", marks=pytest.mark.slow)])


def told(started, rank):
    """What a rank reported: the outcome, and the seconds that it took."""
    line = started.line(rank)
    assert line, started.why(rank)
    return json.loads(line)


def report_of(started, until, timeout_s=20.0):
    """What the ranks print to stderr, up to a line that holds ``until``."""
    seen, deadline = dict.fromkeys(range(len(started.processes)), ""), time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for rank, process in enumerate(started.processes):
            os.set_blocking(process.stderr.fileno(), False)
            selector.register(process.stderr, selectors.EVENT_READ, rank)
        while time.monotonic() < deadline:
            for key, _ in selector.select(0.2):
                text = os.read(key.fd, 1 << 16).decode()
                seen[key.data] += text
                if not text:
                    selector.unregister(key.fileobj)
            found = [text for text in seen.values() if until in text]
            if found:
                time.sleep(0.2)
                return found[0]
    raise AssertionError(f"nobody printed {until!r} within {timeout_s} s: {seen}")


STUCK = {
    "an endless loop": "def forever():\n    while True: pass\nforever()",
    "a skipped collective": "def skips():\n    time.sleep(60)\nskips()",
    "blocked in C": "import ctypes\ndef in_c():\n    ctypes.PyDLL(None).sleep(60)\nin_c()",  # and it holds the lock
}


@pytest.mark.parametrize(
    "kind",
    [each if each == "an endless loop" else pytest.param(each, marks=pytest.mark.ci) for each in STUCK],
)
@on_both
def test_a_rank_that_does_something_else_is_shown_with_its_stack(start, transport, kind):
    # A rank of another machine that holds the interpreter's lock cannot answer: one of this machine can.
    odd = 1 if kind == "blocked in C" and transport == "mpi" else 2
    program = f"""
group.all_reduce(one)
if group.rank() == {odd}:
    {STUCK[kind].replace(chr(10), chr(10) + "    ")}
report(lambda: group.all_reduce(one))
"""
    with start(program) as started:
        text = report_of(started, f"rank {odd} (process")
        assert re.search(rf"has waited \d+ s for rank {odd}\n", text), text
        after = text[text.index(f"rank {odd} (process") :]
        assert re.search(r"in (forever|skips|in_c)", after), text
        assert "in all_reduce(SUM, float32, 4 elements) #3" in text, text
        assert text.count("has waited") == 1, text


@on_both
def test_a_stopped_rank_is_named_as_such(start):
    program = """
group.all_reduce(one)
ready()
if group.rank() == 1:
    time.sleep(60)
report(lambda: group.all_reduce(one))
"""
    with start(program) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        started.signal(1, signal.SIGSTOP)
        text = report_of(started, "rank 2 (process")
        assert re.search(r"rank 1 \(process \d+, stopped by a signal\): in no call", text), text
        assert "cannot show its stacks" in text
        started.signal(1, signal.SIGCONT)


@pytest.mark.ci
@pytest.mark.parametrize("where", ["shm", pytest.param("mpi", marks=pytest.mark.slow)])
def test_a_rank_that_is_stopped_inside_a_call_keeps_nobody_from_reporting(where, monkeypatch):
    """Of those that wait the lowest reports; rank 0 looks as if it waited, and cannot."""
    monkeypatch.setenv("DISTRT_REPORT_AFTER_S", "1")
    program = """
many = np.ones(1_000_000, np.float32)
group.all_reduce(one)
ready()
if group.rank():
    sys.stdin.readline()
report(lambda: group.all_reduce(many))
"""
    if where == "shm":
        started_ranks = ranks(3, ON_SHM + RUN + program, reads_stdin=True)
    else:
        text = "import numpy as np" + ON_MPI + RUN + program
        started_ranks = mpi_ranks(3, text, machines=[0, 1, 1], variables=SOON, reads_stdin=True)
    with started_ranks as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        time.sleep(0.3)
        started.signal(0, signal.SIGSTOP)
        for rank in (1, 2):
            started.tell(rank, "go")
        text = report_of(started, "rank 2 (process")
        assert re.match(r"rank [12]: all_reduce #3: has waited", text), text
        started.signal(0, signal.SIGCONT)


@pytest.mark.ci
@on_both
def test_ranks_that_receive_from_one_another_are_shown(start):
    program = """
if group.rank() < 2:
    report(lambda: group.recv(one, 1 - group.rank()))
else:
    time.sleep(60)
"""
    with start(program) as started:
        text = report_of(started, "rank 2 (process")
        assert re.search(r"rank 0 \(process \d+\): in recv\(from rank 1, float32, 4 elements\)", text), text
        assert re.search(r"rank 1 \(process \d+\): in recv\(from rank 0, float32, 4 elements\)", text), text


@pytest.mark.ci
def test_an_earlier_group_of_the_same_name_is_not_taken_for_this_one(tmp_path):
    script = tmp_path / "twice.py"
    script.write_text(
        "import time\n"
        "import distrt as torch\n"
        "dist = torch.distributed\n"
        "for count in (4, 8):\n"
        "    dist.init_process_group('gloo')\n"
        "    sub = dist.new_group([0, 1])\n"
        "    time.sleep(0.6 * dist.get_rank())\n"  # long enough for the other one to compare
        "    dist.all_reduce(torch.ones(count))\n"
        "    time.sleep(0.6 * dist.get_rank())\n"
        "    dist.all_reduce(torch.ones(count), group=sub)\n"
        "    dist.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "launch", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


FATES = {
    "raises": ("raise ValueError('boom at rank 1')", "ValueError: boom at rank 1", 1),
    "exits": ("sys.exit(3)", "rank 1 left the group", 3),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "died", -9),
    "leaves at once": ("os._exit(5)", "died", 5),
}
WAITS = {
    "a collective": "group.all_reduce(one)",
    "a large collective": "group.all_reduce(np.ones(1_000_000, np.float32))",
    "an asynchronous collective": "group.all_reduce(np.ones(1_000_000, np.float32), async_op=True).wait()",
    "a receive": "group.recv(one, 1)",
    "a barrier": "group.barrier()",
}


@pytest.mark.parametrize(
    ("transport", "fate", "waits"),
    [
        *(("shm", "raises", [wait]) for wait in WAITS),
        *(("shm", fate, ["a collective"]) for fate in list(FATES)[1:]),
        *(
            pytest.param(
                "mpi", fate, ["a receive" if fate == "raises" else "a collective"], marks=pytest.mark.ci
            )
            for fate in FATES
        ),
        *(pytest.param("mpi", fate, list(WAITS), marks=pytest.mark.slow) for fate in FATES),
        *(pytest.param("shm", fate, list(WAITS), marks=pytest.mark.slow) for fate in FATES),
    ],
    ids=lambda each: each if isinstance(each, str) else ", ".join(each) if len(each) == 1 else "everywhere",
)
def test_the_end_of_one_rank_is_everybodys_wherever_they_wait(start, fate, waits):
    end, words, code = FATES[fate]
    for call in map(WAITS.get, waits):
        program = f"""
group.all_reduce(one)
ready()
def end():
    time.sleep(0.3)
    {end}
if group.rank() == 1:
    end()
report(lambda: {call})
"""
        with start(program) as started:
            assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
            for rank in (0, 2):
                outcome, seconds = told(started, rank)
                where = f"{fate}, rank {rank}: {outcome}"
                assert outcome.startswith("PeerFailed"), where
                assert seconds < PROMPT_S, f"{where} took {seconds:.1f} s"
                # Rank 2 may hear of rank 0, which ended because of it.
                assert "rank 1" in outcome or rank == 2, where
                if rank == 0:
                    assert words in outcome or "rank 1 failed" in outcome, where
                    if fate == "raises":
                        assert "in end" in outcome and "Traceback" in outcome, f"{where}: no traceback"
                    else:
                        assert "all_reduce(SUM, float32, 4 elements) #2" in outcome, f"{where}: no last call"
            assert started.processes[1].wait(10) == code


def launch(tmp_path, body, size=2):
    """A job in which rank 1 does something, while the others come to a barrier."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from datetime import timedelta\n"
        "import distrt as torch\n"
        "torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=2))\n"
        "print(os.getpid(), flush=True)\n"
        "torch.distributed.all_reduce(torch.ones(4))\n"
        "if torch.distributed.get_rank() == 1:\n"
        f"    {body}\n"
        "torch.distributed.barrier()\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "launch", "--nproc-per-node", str(size), str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )


def test_the_launcher_says_what_a_killed_rank_was_doing(tmp_path):
    done = launch(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == 137, done.stderr
    words = "it was in no call of distrt; its last, all_reduce(SUM, float32, 4 elements) at train.py:6 in <module>"
    assert words in done.stderr


@pytest.mark.ci
@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getpid(), signal.SIGSTOP)",
        pytest.param("time.sleep(60)", marks=pytest.mark.slow),
        pytest.param("while True: pass", marks=pytest.mark.slow),
    ],
)
def test_no_rank_outlives_a_time_out(tmp_path, body):
    begun = time.monotonic()
    done = launch(tmp_path, body)
    assert done.returncode == 1 and time.monotonic() - begun < 25, done.stderr
    assert "CollectiveTimeout: rank 0: barrier #3: waited 2 s for rank 1" in done.stderr
    assert re.search(r"rank 1 \(process \d+.*\): in no call; its last, all_reduce", done.stderr), done.stderr
    assert ("stopped by a signal" in done.stderr) == ("SIGSTOP" in body), done.stderr
    pids = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(pids) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.ci
@needs_namespaces
def test_a_machine_that_the_network_has_lost_is_named():
    program = """
group.all_reduce(one)
ready()
sys.stdin.readline()
report(lambda: group.all_reduce(one))
"""
    join = "import numpy as np\nfrom tests.conformance.ranks import join\n" + ON_SHM
    with (
        two_machines() as machines,
        ranks_between(machines, join + RUN + program, reads_stdin=True, variables=SOON) as started,
    ):
        assert [started.line(rank) for rank in range(4)] == ["ready"] * 4
        machines[1].cut()
        for rank in range(4):
            started.tell(rank, "go")
        text = report_of(started, "rank 3")
        far = (2, 3) if text.startswith("rank 0") else (0, 1)  # each side waits for the other
        for rank in far:
            named = rf"rank {rank} \(.*on another machine\): .*\n +\(it did not answer"
            assert re.search(named, text), text
