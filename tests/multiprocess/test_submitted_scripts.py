"""The scripts for PBS and LSF, run to their end, with programs of the test in the place of pbsdsh, blaunch, qsub.

These do what their manuals say: pbsdsh starts a task on each machine with none of the job's variables, and ends with 0
whatever becomes of them; blaunch starts it with all variables.
"""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, clean_environment

pytestmark = pytest.mark.ci

TASK = """
import os, sys
import distrt as torch
import distrt.distributed as dist
dist.init_process_group()
ones = torch.ones(1)
dist.all_reduce(ones)
index = os.environ.get("PBS_ARRAY_INDEX")
print("rank", dist.get_rank(), "of", int(ones.item()), "index", index, *sys.argv[1:], flush=True)
assert dist.preemption_requested() is False
dist.destroy_process_group()
sys.exit(int(sys.argv[1]))
"""
PBSDSH = """\
[ "$1" = "--" ] || exit 1
shift
for node in 0 1; do
    env -i PATH="$PATH" PBS_TASKNUM=$((node + 2)) PBS_NODENUM=$node "$@" || echo "task $node exit status $?" &
done
wait
exit 0
"""
BLAUNCH = """\
[ "$1 $2" = "-z 127.0.0.1 127.0.0.2 " ] || exit 99
shift 2
code=0
for task in 1 2; do
    LSF_PM_TASKID=$task "$@" &
    pids="$pids $!"
done
for pid in $pids; do wait $pid || code=$?; done
exit $code
"""


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    programs = tmp_path / "bin"
    programs.mkdir()
    said = tmp_path / "said"
    for name, text in {
        "pbsdsh": PBSDSH,
        "blaunch": BLAUNCH,
        "qrerun": f'echo qrerun "$@" >>{said}; exit 1',
        "qsub": f'echo qsub "$@" >>{said}',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}")
        (programs / name).chmod(stat.S_IRWXU)
    (tmp_path / "task.py").write_text(TASK)
    (tmp_path / "nodes").write_text("127.0.0.1\n127.0.0.1\n127.0.0.2\n127.0.0.2\n")

    def run(scheduler: str, variables: dict[str, str], options: Sequence[str], exit_code: int) -> object:
        environment = clean_environment("none", {"PATH": f"{programs}:{os.environ['PATH']}", **variables})
        words = [
            "--dry-run",
            "--nodes=2",
            *options,
            "--nproc-per-node=2",
            "task.py",
            str(exit_code),
            "it's $HOME",
        ]
        submit = [sys.executable, "-m", "launch", "submit", f"--scheduler={scheduler}", *words]
        text = subprocess.run(
            submit, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        (tmp_path / f"task.{scheduler}").write_text(text.stdout)
        return subprocess.run(
            ["bash", f"{tmp_path}/task.{scheduler}"],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * PROMPT_S,
            check=False,
        )

    return run


def places(text: str) -> list[str]:
    return sorted(line.split("] ")[1] for line in text.splitlines() if "] rank" in line)


@pytest.mark.parametrize("exit_code", [0, 3, 75])
def test_a_script_for_pbs_starts_its_machines_and_is_queued_again(
    run_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, exit_code: int
) -> None:
    variables = {"PBS_JOBID": "7.server", "PBS_NODEFILE": str(tmp_path / "nodes"), "PBS_ARRAY_INDEX": "3"}
    run = run_script("pbs", variables, ["--array=3-4", "--time=1:00:00"], exit_code)
    assert run.returncode == exit_code, run
    assert places(run.stdout) == [f"rank {rank} of 4 index 3 {exit_code} it's $HOME" for rank in range(4)], (
        run
    )
    assert not list(tmp_path.glob(".distrt-*")), "the secret is left"
    again = rf"qrerun 7\.server\nqsub -J 3-4:2 {re.escape(str(tmp_path))}/task-\w{{8}}\.pbs\n"
    said = tmp_path / "said"
    assert re.fullmatch(again if exit_code == 75 else "", said.read_text() if said.exists() else "")


def test_a_script_for_lsf_starts_its_machines(
    run_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    variables = {"LSB_JOBID": "8", "LSB_DJOB_HOSTFILE": str(tmp_path / "nodes")}
    run = run_script("lsf", variables, [], 0)
    assert run.returncode == 0, run
    assert places(run.stdout) == [f"rank {rank} of 4 index None 0 it's $HOME" for rank in range(4)], run
