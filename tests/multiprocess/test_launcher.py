"""Real jobs of tiny scripts, started through the launcher as a user starts them."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun, clean_environment

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
STUCK = "import time; print('ready', flush=True); time.sleep(60)"
READY = "import os; open('ready' + os.environ['RANK'], 'w').close()\n"  # in the job's working directory
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None)\nwhile True: time.sleep(60)"
FAIL_SOON = "import time; time.sleep(0.5); print(time.monotonic()); sys.exit(5)"
JOIN = """
    import os, sys
    from distrt.comm.environment import read_environment
    from distrt.comm.stores.client import connect_store
    environment = read_environment()
    if environment.rank == 1:
        sys.exit({code})
    with connect_store(environment, 30) as store:
        store.set(f"here/{{environment.rank}}", b"")
        store.wait([f"here/{{rank}}" for rank in range(environment.world_size)])
"""


def script(text: str, **values: object) -> str:
    return textwrap.dedent(text.format(**values) if values else text)


def on_rank_1(action: str, otherwise: str = STUCK) -> str:
    return f"import os, signal, sys\nif os.environ['RANK'] == '1':\n    {action}\n{otherwise}\n"


def test_every_rank_gets_torchruns_variables_and_their_twins(run_ranks: RunRanks) -> None:
    run = run_ranks(SHOW_ENVIRONMENT, 3, env={"OPENBLAS_NUM_THREADS": "7"})
    assert run.exit_code == 0, run
    for rank in range(3):
        seen = json.loads(run.lines(rank)[0])
        assert seen["RANK"] == seen["LOCAL_RANK"] == seen["DISTRT_RANK"] == seen["ROLE_RANK"] == str(rank)
        assert seen["WORLD_SIZE"] == seen["LOCAL_WORLD_SIZE"] == seen["DISTRT_WORLD_SIZE"] == "3"
        assert seen["GROUP_RANK"] == "0" and seen["GROUP_WORLD_SIZE"] == "1"
        assert seen["DISTRT_STORE_ADDR"] == f"{seen['MASTER_ADDR']}:{seen['MASTER_PORT']}"
        assert seen["DISTRT_RUN_DIR"] == str(run.run_dir)
        assert seen["TORCHELASTIC_RUN_ID"] == seen["DISTRT_JOB_ID"]
        assert len(bytes.fromhex(seen["DISTRT_JOB_SECRET"])) == 32
        assert seen["OMP_NUM_THREADS"] == str(max(1, len(os.sched_getaffinity(0)) // 3))
        assert seen["OPENBLAS_NUM_THREADS"] == "7"
        assert seen["PYTHONUNBUFFERED"] == "1"


def test_the_run_directory_is_private_and_records_the_processes(run_ranks: RunRanks) -> None:
    run = run_ranks("import os; print(os.getpid())", 2)
    assert run.run_dir is not None
    assert run.run_dir.stat().st_mode & 0o777 == 0o700
    processes = json.loads((run.run_dir / "procs.json").read_text())
    assert [entry["pid"] for entry in processes["ranks"]] == [int(run.lines(rank)[0]) for rank in range(2)]
    assert json.loads((run.run_dir / "result.json").read_text())["exit_code"] == 0
    assert [path.name for path in sorted((run.run_dir / "attempt_0").iterdir())] == ["0", "1"]
    assert str(run.run_dir.name) in run.stderr


def test_a_single_rank_writes_straight_through(run_ranks: RunRanks) -> None:
    assert run_ranks("print('as it is')", 1).stdout == "as it is\n"


def test_lines_are_never_torn_between_ranks(run_ranks: RunRanks) -> None:
    run = run_ranks("import os\nfor i in range(2000): print(os.environ['RANK'] * 200, flush=i % 7 == 0)", 3)
    expected = {f"[{rank}] {str(rank) * 200}" for rank in range(3)}
    assert set(run.stdout.splitlines()) == expected
    assert len(run.stdout.splitlines()) == 6000


def test_a_flood_loses_nothing_and_a_last_line_without_newline_is_shown(run_ranks: RunRanks) -> None:
    run = run_ranks(
        "import os, sys\nn = 300000 if os.environ['RANK'] == '0' else 1\n"
        "for i in range(n): sys.stdout.buffer.write(b'%07d\\n' % i)\nsys.stdout.write('end')",
        2,
    )
    assert run.exit_code == 0
    assert run.lines(0) == [f"{i:07d}" for i in range(300000)] + ["end"]
    assert run.lines(1) == ["0000000", "end"]


def test_a_stalled_reader_does_not_hide_a_death(start_job: StartJob) -> None:
    flood = "while True: print('x' * 1000)"
    job = start_job(on_rank_1("import time; time.sleep(1); os.kill(os.getpid(), signal.SIGKILL)", flood), 2)
    job.wait_for(lambda: job.run_dir() is not None and (job.run_dir() / "result.json").exists())  # type: ignore[operator]
    assert time.monotonic() - job.started_at < PROMPT_S
    assert job.finish().exit_code == 137


def test_a_traceback_is_printed_once_whole_and_last(run_ranks: RunRanks) -> None:
    text = on_rank_1("raise ValueError('the cause')")
    run = run_ranks(text, 4)
    assert run.exit_code == 1
    assert run.duration_s < PROMPT_S
    tail = run.stderr[run.stderr.index("Traceback") :]
    path = run.run_dir.parent.parent / "script.py"  # type: ignore[union-attr]
    plain = 'Traceback (most recent call last):\n  File "{}", line 3, in <module>\n    {}\nValueError: the cause\n'
    assert tail == plain.format(path, "raise ValueError('the cause')")
    assert run.stderr.count("Traceback") == 1 and "Traceback" not in run.stdout
    assert "rank 1 (pid" in run.stderr and "ranks 0, 2, 3 were ended by the launcher" in run.stderr


def test_all_ranks_raising_gives_one_traceback(run_ranks: RunRanks) -> None:
    run = run_ranks("raise ValueError('everywhere')", 3)
    assert run.exit_code == 1
    assert run.stderr.count("Traceback") == 1


@pytest.mark.parametrize(
    ("text", "last_line"),
    [
        ("x = (", "SyntaxError: '(' was never closed"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_errors_before_the_first_line_are_reported_like_others(
    run_ranks: RunRanks, text: str, last_line: str
) -> None:
    run = run_ranks(text, 2)
    assert run.exit_code == 1
    assert run.stderr.rstrip().endswith(last_line)
    assert run.stderr.count(last_line) <= 3 and "rank.py" not in run.stderr


def test_an_exit_code_of_the_script_becomes_the_jobs(run_ranks: RunRanks) -> None:
    run = run_ranks(on_rank_1("sys.exit(3)"), 3)
    assert run.exit_code == 3
    assert run.duration_s < PROMPT_S
    assert "rank 1 " in run.stderr and "exit code 3" in run.stderr and "Traceback" not in run.stderr


def test_a_killed_rank_is_named_with_its_signal(start_job: StartJob) -> None:
    job = start_job(STUCK, 3)
    job.wait_for(lambda: len(job.pids()) == 4 and _procs(job) is not None)
    time.sleep(0.1)
    os.kill(_procs(job)["ranks"][2]["pid"], signal.SIGKILL)  # type: ignore[index]
    killed_at = time.monotonic()
    run = job.finish()
    assert run.exit_code == 137
    assert time.monotonic() - killed_at < PROMPT_S
    assert "rank 2 " in run.stderr and "killed by SIGKILL (9)" in run.stderr
    assert "ranks 0, 1 were ended by the launcher" in run.stderr


def test_a_crash_in_c_is_reported_as_its_signal(run_ranks: RunRanks) -> None:
    run = run_ranks(on_rank_1("import ctypes; ctypes.string_at(0)"), 2)
    assert run.exit_code == 139
    assert "killed by SIGSEGV (11)" in run.stderr
    assert "[1] Fatal Python error: Segmentation fault" in run.stderr


@pytest.mark.ci
def test_ranks_that_ignore_sigterm_are_killed_in_time(run_ranks: RunRanks) -> None:
    run = run_ranks(on_rank_1(FAIL_SOON, STUBBORN), 3)
    assert run.exit_code == 5
    assert run.ended_at - float(run.lines(1)[0]) < 3


def test_a_stopped_rank_does_not_hold_up_the_end(run_ranks: RunRanks) -> None:
    run = run_ranks(on_rank_1(FAIL_SOON, "os.kill(os.getpid(), signal.SIGSTOP)"), 2)
    assert run.exit_code == 5
    assert run.ended_at - float(run.lines(1)[0]) < 3


@pytest.mark.ci
def test_a_raising_rank_with_a_hanging_thread_ends_in_time(run_ranks: RunRanks) -> None:
    text = (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nraise OSError('x')"
    )
    run = run_ranks(text, 1)
    assert run.exit_code == 1
    assert run.duration_s < PROMPT_S
    assert run.stderr.rstrip().endswith("OSError: x")


def test_a_rank_that_leaves_before_joining_fails_those_who_wait(run_ranks: RunRanks) -> None:
    run = run_ranks(script(JOIN, code=0), 3)
    assert run.exit_code == 69
    assert run.duration_s < PROMPT_S
    assert run.stderr.rstrip().splitlines()[-1].find("rank 1 ended (exit code 0) before joining") > 0


def test_a_rank_that_fails_before_joining_is_said_to(start_job: StartJob) -> None:
    text = script(JOIN, code=4).replace("sys.exit(4)", "import time; time.sleep(0.5); sys.exit(4)")
    run = start_job(text, 2).finish()
    assert run.exit_code == 4
    assert run.duration_s < PROMPT_S
    assert "exit code 4, before joining" in run.stderr


def test_the_launchers_store_wins_over_a_changed_master_port(run_ranks: RunRanks) -> None:
    text = script(JOIN, code=0).replace("rank == 1", "rank == 99")
    run = run_ranks("import os; os.environ['MASTER_PORT'] = '1'\n" + text, 3)
    assert run.exit_code == 0, run


def test_ranks_meet_at_the_launchers_address_if_a_script_says_so(run_ranks: RunRanks) -> None:
    text = """
        import os
        import distrt.distributed as dist
        address = f"tcp://{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size)
        dist.barrier()
        print(dist.get_rank(), dist.get_world_size())
        dist.destroy_process_group()
    """
    run = run_ranks(textwrap.dedent(text), 2)
    assert run.exit_code == 0, run
    assert [run.lines(rank) for rank in range(2)] == [["0 2"], ["1 2"]]


def test_a_failure_ends_what_the_ranks_started(start_job: StartJob) -> None:
    child = "import subprocess; subprocess.Popen(['sleep', '300'])\n"
    run = start_job(child + on_rank_1("import time; time.sleep(0.3); sys.exit(5)"), 2).finish()
    assert run.exit_code == 5


def test_success_ends_what_the_ranks_started(run_ranks: RunRanks) -> None:
    assert run_ranks("import subprocess; subprocess.Popen(['sleep', '300'])", 2).exit_code == 0


def test_a_missing_script_starts_no_rank(run_ranks: RunRanks, tmp_path: Path) -> None:
    run = run_ranks(tmp_path / "missing.py", 2)
    assert run.exit_code == 66
    assert run.duration_s < PROMPT_S
    assert "missing.py" in run.stderr and run.run_dir is None


@pytest.mark.parametrize("count", ["0", "-2", "many"])
def test_a_wrong_number_of_ranks_is_a_usage_error(run_ranks: RunRanks, count: str) -> None:
    run = run_ranks("pass", f"{count}")
    assert run.exit_code == 2
    assert "--nproc-per-node" in run.stderr.splitlines()[-1]


def test_a_taken_port_is_said_to_be(run_ranks: RunRanks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = run_ranks("print('started')", 2, launcher_args=["--master-port", port])
    assert run.exit_code == 69
    assert port in run.stderr and "in use" in run.stderr and "started" not in run.stdout


def test_a_run_directory_that_cannot_be_made_is_said_to_be(run_ranks: RunRanks) -> None:
    run = run_ranks("pass", 2, launcher_args=["--log-dir", "/proc/nowhere"])
    assert run.exit_code == 73
    assert "/proc/nowhere" in run.stderr


def test_ctrl_c_ends_the_job_without_a_traceback(start_job: StartJob) -> None:
    job = start_job(READY + STUCK, 3)
    wait_until_ready(job, 3)
    job.process.send_signal(signal.SIGINT)
    run = job.finish()
    assert run.exit_code == 130
    assert "Traceback" not in run.stderr + run.stdout
    assert "stopped by SIGINT" in run.stderr


def wait_until_ready(job: Job, world_size: int) -> None:
    """Until every rank has run READY."""
    marks = [job.run_base.parent / f"ready{rank}" for rank in range(world_size)]
    job.wait_for(lambda: all(mark.exists() for mark in marks))


def test_ctrl_c_twice_kills(start_job: StartJob) -> None:
    job = start_job("import signal, time; signal.signal(2, lambda *_: None)\n" + READY + STUBBORN, 2)
    wait_until_ready(job, 2)
    job.process.send_signal(signal.SIGINT)
    job.process.send_signal(signal.SIGINT)  # the same key, passed on twice
    time.sleep(0.2)
    assert job.process.poll() is None
    job.process.send_signal(signal.SIGINT)
    run = job.finish()
    assert run.exit_code == 130
    assert run.duration_s < PROMPT_S


def test_sigterm_reaches_the_ranks_and_gives_143(start_job: StartJob) -> None:
    handler = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('saved')))\n"
    # One long sleep would not see a signal that comes just before it.
    job = start_job(handler + READY + "while True: time.sleep(0.05)", 2)
    wait_until_ready(job, 2)
    job.process.send_signal(signal.SIGTERM)
    run = job.finish()
    assert run.exit_code == 143
    assert run.lines(0) == run.lines(1) == ["saved"]


@pytest.mark.parametrize(
    "attempt", [*range(5), *(pytest.param(n, marks=pytest.mark.slow) for n in range(5, 20))]
)
def test_nothing_outlives_a_killed_launcher(start_job: StartJob, attempt: int) -> None:
    """kill -9 of the launcher at a random moment; the seed is printed when the test fails."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    text = (
        "import subprocess, sys, time\n"
        "for _ in range(2): subprocess.Popen(['sleep', '300'])\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
    )
    job = start_job(text, 3, stdout=subprocess.DEVNULL)
    time.sleep(random.Random(seed).uniform(0.0, 0.4))
    job.process.kill()
    job.process.wait()
    job.assert_nothing_left(wait_s=2.0)


@pytest.mark.parametrize("is_module", [False, True])
def test_a_rank_sees_itself_as_plain_python_would(
    run_ranks: RunRanks, tmp_path: Path, is_module: bool
) -> None:
    text = script("""
        import json, sys
        names: list[str] = ["__name__", "__file__", "__doc__", "__package__", "__cached__"]
        loader, spec = type(__loader__).__name__, getattr(__spec__, "name", None)
        main = sys.modules["__main__"]
        own = [main.__dict__ is globals(), type(__builtins__).__name__, sorted(globals())]
        stated = str(main.__annotations__)
        print(json.dumps([sys.argv, sys.path, [globals()[name] for name in names], loader, spec, own, stated]))
    """)
    (tmp_path / "script.py").write_text(text)
    target = ["-m", "script"] if is_module else ["script.py"]
    plain = subprocess.run(
        [sys.executable, *target, "--flag", "a b"],
        cwd=tmp_path,
        env=clean_environment("none"),
        capture_output=True,
        text=True,
        check=True,
    )
    launcher_args, name = (["-m"], Path("script")) if is_module else ([], Path("script.py"))
    run = run_ranks(name, 1, args=["--flag", "a b"], launcher_args=launcher_args)
    assert run.exit_code == 0, run
    assert json.loads(run.stdout) == json.loads(plain.stdout)


def test_spawned_children_and_pickles_of_main_work(run_ranks: RunRanks) -> None:
    run = run_ranks(
        script("""
            import multiprocessing, pickle
            class Point:
                x = 3
            def double(point):
                return 2 * point.x
            if __name__ == "__main__":
                assert type(pickle.loads(pickle.dumps(Point()))) is Point
                with multiprocessing.get_context("spawn").Pool(2) as pool:
                    print(pool.map(double, [Point(), Point()]))
        """),
        2,
    )
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1) == ["[6, 6]"]


def test_the_launcher_loads_neither_numpy_nor_asyncio(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("pass")
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launch", "script.py"],
        cwd=tmp_path,
        env=clean_environment("none"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    loaded = {
        line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time")
    }
    assert "launch.ranks.supervisor" in loaded
    assert not loaded & {"numpy", "asyncio", "multiprocessing", "distrt.core.tensor"}


def _procs(job: Job) -> dict[str, list[dict[str, int]]] | None:
    run_dir = job.run_dir()
    path = run_dir / "procs.json" if run_dir else None
    return json.loads(path.read_text()) if path and path.exists() else None
