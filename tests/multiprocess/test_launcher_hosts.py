"""``--hosts``: launchers on other machines, started by ssh or mpiexec, are one job, and end as one.

In place of ssh there is a program that runs the command here, or in the network namespace that has the address.
"""

import os
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun
from tests.multiprocess.namespaces import Machine, needs_namespaces, two_machines

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

SHOW = """
    import os, sys
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK")
    print("place", *(os.environ[name] for name in names), *sys.argv[1:], flush=True)
"""
WAIT = SHOW + "    import time\n    while True: time.sleep(0.05)\n"
ALL_REDUCE = """
    import distrt as torch
    import distrt.distributed as dist
    dist.init_process_group("gloo")
    ones = torch.ones(3)
    dist.all_reduce(ones)
    print("sum", ones.tolist()[0], flush=True)
    dist.destroy_process_group()
"""


def ssh(folder: Path, machines: tuple[Machine, ...] = ()) -> dict[str, str]:
    """Put a program of that name first in PATH; it refuses the host "unreachable"."""
    enter = "".join(f'{it.address}) exec {" ".join(it.prefix)} sh -c "$command";;\n' for it in machines)
    text = f"""#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do case $1 in -o) shift 2;; *) shift;; esac; done
host=$1; shift
command=$*
case $host in
unreachable) echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255;;
{enter}*) exec sh -c "$command";;
esac
"""
    place = folder / "bin"
    place.mkdir()
    (place / "ssh").write_text(text)
    (place / "ssh").chmod(0o755)
    return {"PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}


def shown(run: RankRun, word: str) -> list[str]:
    return sorted(line.split(f"{word} ")[1] for line in run.stdout.splitlines() if f"{word} " in line)


@pytest.mark.ci
def test_launchers_that_ssh_started_are_one_job(start_job: StartJob, tmp_path: Path) -> None:
    hosts = ["--hosts", "127.0.0.1:1,127.0.0.2"]
    run = start_job(
        textwrap.dedent(SHOW), 2, args=["--hosts", "a b"], launcher_args=hosts, env=ssh(tmp_path)
    ).finish()
    assert run.exit_code == 0, run
    assert shown(run, "place") == [
        "0 3 1 0 --hosts a b",
        "1 3 2 1 --hosts a b",
        "2 3 2 1 --hosts a b",
    ], run


@pytest.mark.ci
def test_a_failure_on_one_host_is_told_once_and_is_the_jobs(start_job: StartJob, tmp_path: Path) -> None:
    text = textwrap.dedent(SHOW) + "if os.environ['RANK'] == '1': sys.exit(5)\nimport time; time.sleep(60)"
    run = start_job(text, 1, launcher_args=["--hosts", "127.0.0.1,127.0.0.2"], env=ssh(tmp_path)).finish()
    assert run.exit_code == 5 and run.duration_s < PROMPT_S, run
    assert run.stderr.count("rank 1 (pid") == 1, run


@pytest.mark.ci
@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        (
            "unreachable,127.0.0.1",
            "no launcher on unreachable, or none any more: ssh has ended with exit code 255",
        ),
        (
            "127.0.0.1,unreachable",
            "no launcher on unreachable, or none any more: ssh has ended with exit code 255",
        ),
    ],
)
def test_a_host_that_cannot_be_reached_is_named(
    start_job: StartJob, tmp_path: Path, hosts: str, message: str
) -> None:
    run = start_job("print('started')", 1, launcher_args=["--hosts", hosts], env=ssh(tmp_path)).finish()
    assert run.exit_code == 69 and run.duration_s < PROMPT_S, run
    assert message in run.stderr and "No route to host" in run.stderr and not run.stdout, run


@pytest.mark.ci
@pytest.mark.parametrize("prefix", [(), ("nohup",)], ids=["", "nohup"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_launchers_on_hosts_end_with_the_one_that_started_them(
    start_job: StartJob, tmp_path: Path, number: signal.Signals, prefix: tuple[str, ...]
) -> None:
    text = WAIT.replace('"GROUP_RANK")', '"GROUP_RANK")\n    open("ready" + os.environ["RANK"], "w").close()')
    hosts = ["--hosts", "127.0.0.1,127.0.0.2"]
    job = start_job(textwrap.dedent(text), 1, launcher_args=hosts, env=ssh(tmp_path), prefix=prefix)
    job.wait_for(lambda: (tmp_path / "ready0").exists() and (tmp_path / "ready1").exists(), PROMPT_S)
    job.process.send_signal(number)
    if number == signal.SIGKILL:
        job.process.communicate()
        job.assert_nothing_left(wait_s=5.0)
        return
    run = job.finish()
    assert run.exit_code == 128 + number, run


@pytest.mark.slow
@needs_namespaces
@pytest.mark.parametrize("way", ["ssh", "mpiexec"])
def test_two_machines_on_a_cable_are_one_job(start_job: StartJob, tmp_path: Path, way: str) -> None:
    pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    with two_machines() as machines:
        hosts = ",".join(f"{machine.address}:2" for machine in machines)
        # mpiexec looks for ssh at a place of its own, and gives its host's name for its address.
        hydra = {
            "HYDRA_LAUNCHER_EXEC": str(tmp_path / "bin" / "ssh"),
            "HYDRA_IFACE": machines[0].cable,
        }
        run = start_job(
            textwrap.dedent(ALL_REDUCE),
            1,
            launcher_args=["--hosts", hosts, "--host-launcher", way],
            env={**ssh(tmp_path, machines), **hydra},
            prefix=machines[0].prefix if way == "mpiexec" else (),
        ).finish()
    assert run.exit_code == 0, run
    assert shown(run, "sum") == ["4.0"] * 4, run


def test_a_dry_run_shows_how_hosts_are_reached_and_no_secret(run_ranks: RunRanks) -> None:
    secret = "ab" * 16
    run = run_ranks(
        "pass",
        2,
        launcher_args=["--hosts", "u@a:4,b", "--dry-run", "--master-port", "23456"],
        env={"DISTRT_JOB_SECRET": secret, "OMP_NUM_THREADS": "3"},
    )
    first, second = run.stdout.splitlines()
    assert first.startswith("ssh ") and " u@a " in first and "--nproc-per-node 4" in first
    assert " b " in second and "--nproc-per-node 2" in second and "--node-rank 1" in second
    assert all("--master-addr a --master-port 23456" in line for line in (first, second))
    assert "OMP_NUM_THREADS=3" in first and secret not in run.stdout
