"""Signals in a job's first second: before the launcher listens, and before the ranks do."""

import signal
import textwrap
import time
from collections.abc import Callable

import pytest

from launch.ranks.unheard import listens
from tests.multiprocess.conftest import Job

StartJob = Callable[..., Job]
pytestmark = pytest.mark.ci

LATE = textwrap.dedent("""
    import os, signal, time
    open("ready" + os.environ["RANK"], "w").close()
    time.sleep(0.5 + 0.3 * int(os.environ["RANK"]))  # a script that imports much before it listens
    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append("saved"))
    deadline = time.monotonic() + 20
    while not caught and time.monotonic() < deadline: time.sleep(0.02)
    print(*caught)
""")


def test_a_warning_before_the_launcher_listens_reaches_ranks_that_listen_late(start_job: StartJob) -> None:
    job = start_job(LATE, 2, prefix=["env", "--block-signal=USR1"])
    job.wait_for(lambda: listens(job.process.pid, signal.SIGUSR1))
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 0 and run.lines(0) == run.lines(1) == ["saved"], run


def test_a_warning_does_not_end_ranks_that_do_not_listen_yet(start_job: StartJob) -> None:
    job = start_job(LATE, 2)
    folder = job.run_base.parent
    job.wait_for(lambda: all((folder / f"ready{rank}").exists() for rank in range(2)))
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 0 and run.lines(0) == run.lines(1) == ["saved"], run


def test_a_script_that_never_listens_is_not_ended_by_a_warning(start_job: StartJob) -> None:
    script = "import time; open('ready', 'w').close(); time.sleep(0.6); print('done')"
    job = start_job(script, 1)
    job.wait_for((job.run_base.parent / "ready").exists)
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 0 and run.stdout == "done\n", run


def test_ranks_that_are_told_themselves_hear_of_it_when_they_listen(start_job: StartJob) -> None:
    """Slurm signals all processes of a step; libraries see it as free, and a handler may call the one before."""
    script = """
        import os, signal, time
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) in (None, signal.SIG_DFL)
        time.sleep(0.3)
        caught = []
        before = signal.signal(signal.SIGUSR1, lambda *_: (caught.append("heard"), callable(before) and before(*_)))
        while not caught: time.sleep(0.01)
        time.sleep(0.3)
        print(*caught)
    """
    run = start_job(textwrap.dedent(script), 2).finish()
    assert run.exit_code == 0 and run.lines(0) == run.lines(1) == ["heard"], run


def test_a_program_hears_what_the_launcher_passes_on_when_it_has_a_trap(start_job: StartJob) -> None:
    script = "touch ready; sleep 0.4; trap 'echo heard; exit 0' USR1; while :; do sleep 0.02; done"
    job = start_job("", 1, launcher_args=["--no-python", "bash", "-c", script])
    job.wait_for((job.run_base.parent / "ready").exists)
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 0 and run.stdout == "heard\n", run


def test_a_warning_during_the_first_step_has_the_ranks_save(start_job: StartJob) -> None:
    script = """
        import os, sys, time
        open("ready" + os.environ["RANK"], "w").close()
        import distrt.distributed as dist
        dist.init_process_group("gloo")
        time.sleep(0.3)
        for step in range(1000):
            if dist.preemption_requested():
                sys.exit(75)
            time.sleep(0.01)
    """
    job = start_job(textwrap.dedent(script), 2)
    folder = job.run_base.parent
    job.wait_for(lambda: all((folder / f"ready{rank}").exists() for rank in range(2)))
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 75 and "the ranks have saved" in run.stderr, run


def test_control_c_while_the_launcher_starts_prints_no_traceback(start_job: StartJob) -> None:
    for pause_s in (0.02, 0.04, 0.06, 0.1, 0.15):
        job = start_job("import time; time.sleep(60)", 1)
        time.sleep(pause_s)  # whatever it does then, on however slow a machine
        job.process.send_signal(signal.SIGINT)
        run = job.finish()
        if "Could not import runpy module" in run.stderr:  # the interpreter itself had not begun
            continue
        assert run.exit_code in (130, -signal.SIGINT) and "Traceback" not in run.stderr, run
