"""``distrt-launch submit`` on a real Slurm: jobs are driven out, requeued, lose a node or a rank, and go on."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.multiprocess.test_launcher_surroundings import small_disk
from tests.slurm.conftest import DIRECTORY, PYTHON

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "resumable.py"
SUBMIT = f"{PYTHON} -m launch submit --scheduler slurm"
TWO_BY_TWO = "--nodes 2 --cpus 2 --nproc-per-node 2"
REQUEUED_S = 100.0


class Submitted:
    """A job that is followed by a thread of the test, while that does something to it."""

    def __init__(self, slurm, options, *, pause=0.1, folder="parts"):
        self._slurm = slurm
        self.folder = slurm.folder / folder
        arguments = f"--folder {self.folder} --epochs 2 --every 5 --pause {pause}"
        self._command = f"{SUBMIT} --follow --name {folder} {options} {EXAMPLE} {arguments}"
        self._runs = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self):
        self._runs.append(self._slurm.run(self._command, timeout_s=REQUEUED_S))

    def wait_for_a_checkpoint(self):
        deadline = time.monotonic() + 60
        while not (self.folder / "latest").exists():
            assert time.monotonic() < deadline and self._thread.is_alive(), self._runs
            time.sleep(0.05)
        return self.job

    @property
    def job(self):
        return self._slurm.command(
            "squeue", "--noheader", "--format=%A", f"--name={self.folder.name}"
        ).split()[0]

    def end(self):
        self._thread.join()
        return self._runs[0]


def result(run):
    """The step that the last start began at, and the checksum of the parameters."""
    assert run.exit_code == 0, run
    begun = [int(step) for step in re.findall(r"begins at step (\d+)", run.stdout)]
    (checksum,) = re.findall(r"sha256 (\w{16})", run.stdout)
    return begun, checksum


@pytest.fixture(scope="module")
def whole():
    """The checksum of a run that nothing happened to, once one was made."""
    return []


@pytest.fixture
def undisturbed(slurm, whole):
    if not whole:
        whole.append(result(Submitted(slurm, TWO_BY_TWO, pause=0, folder="whole").end())[1])
    return whole[0]


def require_resumed(run, undisturbed):
    begun, checksum = result(run)
    assert len(begun) == 2 and begun[0] == 0 and 5 <= begun[1] < 32, run
    assert checksum == undisturbed
    assert "requeued 1 times" in run.stderr, run


def test_a_job_that_another_drives_out_saves_and_goes_on(slurm, undisturbed):
    submitted = Submitted(slurm, TWO_BY_TWO)
    submitted.wait_for_a_checkpoint()
    slurm.command(
        "sbatch", "-p", "urgent", "-N2", "--ntasks-per-node=4", "-o", "/dev/null", "--wrap", "sleep 1"
    )
    run = submitted.end()
    require_resumed(run, undisturbed)
    assert run.stdout.count("the ranks have saved, and ended with 75") == 2, run
    assert "Traceback" not in run.stdout + run.stderr


def test_a_job_that_is_requeued_by_hand_goes_on(slurm, undisturbed):
    submitted = Submitted(slurm, TWO_BY_TWO)
    slurm.command("scontrol", "requeue", submitted.wait_for_a_checkpoint())
    require_resumed(submitted.end(), undisturbed)


def test_a_job_whose_time_is_almost_over_saves_and_goes_on(slurm, undisturbed):
    submitted = Submitted(slurm, f"{TWO_BY_TWO} --time 1:00 --warning 55", pause=1.2)
    run = submitted.end()
    begun, checksum = result(run)
    assert checksum == undisturbed and len(begun) >= 2, run
    assert "the ranks have saved, and ended with 75" in run.stdout


def test_a_warning_by_hand_is_a_warning(slurm, undisturbed):
    submitted = Submitted(slurm, TWO_BY_TWO)
    slurm.command("scancel", "--signal=USR1", submitted.wait_for_a_checkpoint())
    run = submitted.end()
    require_resumed(run, undisturbed)
    assert run.stdout.count("the ranks have saved, and ended with 75") == 2, run


def test_a_warning_in_the_first_second_is_neither_deadly_nor_lost(slurm, undisturbed):
    submitted = Submitted(slurm, f"{TWO_BY_TWO} --time 10:00", pause=0.1)
    deadline = time.monotonic() + 60
    while len(launchers_of(submitted)) < 2:
        assert time.monotonic() < deadline
    for _ in range(8):  # Slurm forgets what comes in the first 0.1 s; the next ones find launchers that start
        slurm.command("scancel", "--signal=USR1", submitted.job)
    run = submitted.end()
    begun, checksum = result(run)
    assert checksum == undisturbed and begun[0] == 0 and "requeued 1 times" in run.stderr, run
    assert run.stdout.count("the ranks have saved, and ended with 75") == 2, run


def launchers_of(submitted):
    """The processes that srun has started, whatever they are about to become."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0] != b"srun" and b"--nproc-per-node" in words and b"launch" in words:
                found += [path] * (str(submitted.folder).encode() in words and b"submit" not in words)
    return found


def test_a_job_that_loses_a_node_goes_on_when_there_is_one_again(slurm, undisturbed):
    submitted = Submitted(slurm, TWO_BY_TWO)
    submitted.wait_for_a_checkpoint()
    daemon = int(Path(f"{DIRECTORY}/slurmd.node2.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    try:
        slurm.command("scontrol", "update", "nodename=node2", "state=down", "reason=test")
    finally:
        slurm.command("slurmd", "-N", "node2")
    slurm.wait_for_nodes()
    require_resumed(submitted.end(), undisturbed)


def test_a_killed_rank_is_started_again_within_the_job(slurm, undisturbed):
    submitted = Submitted(slurm, f"{TWO_BY_TWO} --max-restarts 1")
    submitted.wait_for_a_checkpoint()
    os.kill(rank_of(submitted, 3), signal.SIGKILL)
    run = submitted.end()
    begun, checksum = result(run)
    assert len(begun) == 2 and begun[1] >= 5 and checksum == undisturbed, run
    assert "rank 3 (pid" in run.stdout and "restart 1 of 1" in run.stdout and "requeued" not in run.stderr


def test_a_killed_rank_is_the_jobs_failure_without_restarts(slurm):
    submitted = Submitted(slurm, TWO_BY_TWO)
    submitted.wait_for_a_checkpoint()
    os.kill(rank_of(submitted, 0), signal.SIGKILL)
    run = submitted.end()
    assert run.exit_code == 137 and "the job is failed" in run.stderr, run
    assert "killed by SIGKILL (9)" in run.stdout


def rank_of(submitted, rank):
    """The process of a rank: the one with its number and the folder of the job in its environment and command line."""
    for path in Path("/proc").iterdir():
        try:
            variables = (path / "environ").read_bytes().split(b"\0")
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={rank}".encode() in variables and str(submitted.folder).encode() in words:
            return int(path.name)
    raise AssertionError(f"rank {rank} is not there")


def test_an_array_is_several_jobs_with_logs_of_their_own(slurm):
    (slurm.folder / "task.py").write_text(
        "import os\nprint('task', os.environ['SLURM_ARRAY_TASK_ID'], 'rank', os.environ['RANK'])\n"
    )
    run = slurm.run(f"{SUBMIT} --follow --array 3-5 --nproc-per-node 2 task.py", timeout_s=REQUEUED_S)
    assert run.exit_code == 0 and "the job is completed (3)" in run.stderr, run
    said = [path.read_text() for path in slurm.folder.glob("slurm-*_?.log")]
    found = sorted(re.findall(r"task (\d) rank (\d)", "".join(said)))
    assert len(said) == 3 and found == [(task, rank) for task in "345" for rank in "01"]


def test_a_job_is_seen_and_cancelled_by_its_number(slurm):
    (slurm.folder / "wait.py").write_text("import time\ntime.sleep(300)\n")
    run = slurm.run(f"{SUBMIT} wait.py")
    (job,) = re.findall(r"submitted job (\d+)", run.stderr)
    deadline = time.monotonic() + 30
    while (state := slurm.run(f"{SUBMIT} --job {job}")).stdout != "running\n":
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert slurm.run(f"{SUBMIT} --job {job} --cancel").exit_code == 0
    ended = slurm.run(f"{SUBMIT} --job {job} --follow", timeout_s=30)
    assert ended.exit_code == 143 and "the job is cancelled" in ended.stderr, ended


def test_odd_names_reach_the_job_and_its_output_comes_back(slurm):
    folder = slurm.folder / "a b 100%j \u00e9$HOME'q#h"
    folder.mkdir()
    script = "import os, sys\nprint(sys.argv[1:], [os.environ['ODD']], os.getcwd())\n"
    (folder / "mein tr\u00e4in.py").write_text(script)
    words = ["it's $HOME", '"q" `x`', "new\nline", "", "*"]
    command = f"cd {shlex.quote(str(folder))}; {SUBMIT} --follow 'mein tr\u00e4in.py' {shlex.join(words)}"
    run = slurm.run(command, timeout_s=REQUEUED_S, variables={"ODD": "a\nb=c $x"})
    assert run.exit_code == 0 and f"{words} {['a' + chr(10) + 'b=c $x']} {folder}\n" in run.stdout, run


def test_a_job_that_was_cancelled_while_its_ranks_saved_stays_so(slurm):
    """Its launchers end with 75, but the batch script is told to end, too, and asks for no other run."""
    submitted = Submitted(slurm, TWO_BY_TWO)
    job = submitted.wait_for_a_checkpoint()
    assert slurm.run(f"{SUBMIT} --job {job} --cancel").exit_code == 0
    run = submitted.end()
    assert run.exit_code == 143 and run.stderr.endswith("the job is cancelled\n"), run
    assert "requeued" not in run.stderr


def test_a_refusal_of_slurms_is_told_in_one_line(slurm):
    (slurm.folder / "wait.py").write_text("pass\n")
    run = slurm.run(f"{SUBMIT} --queue nowhere wait.py")
    assert run.exit_code == 69 and len(run.stderr.splitlines()) == 1, run
    assert "sbatch refuses (exit code 1): " in run.stderr and "invalid partition" in run.stderr
    assert subprocess.run(["bash", "-n", str(slurm.folder / "wait.sbatch")], check=False).returncode == 0


#: What may go wrong where the launchers start: what is done to the script, the exit code, and what one line says.
WRONG = {
    "another secret on each machine": (
        "s/^srun .*wait=90/& bash -c 'export DISTRT_JOB_SECRET=$(printf %064d $SLURM_PROCID); exec \"$@\"' sh/",
        77,
        "does not hold this machine's DISTRT_JOB_SECRET; set the same on every machine",
    ),
    "a name that nobody knows": (
        "s/wait=90/& env SLURM_STEP_NODELIST=no-such-host SLURM_LAUNCH_NODE_IPADDR= PATH=/",
        69,
        "no-such-host",
    ),
    "a port that is taken": ("s/wait=90/& env PET_MASTER_PORT={port}/", 69, "the store cannot listen on"),
    "a full disk": ("", 73, "No space left on device"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_at_the_start_gets_one_line(slurm, tmp_path, name):
    edit, exit_code, message = WRONG[name]
    (slurm.folder / "wait.py").write_text("print('started')\n")
    with socket.create_server(("", 0)) as taken, small_disk(tmp_path / "disk", "64k") as disk:
        with contextlib.suppress(OSError):
            (disk / "filling").write_bytes(bytes(1 << 20))
        logs = disk if "disk" in name else slurm.folder / "runs"
        options = f"--nodes 2 --rdzv-conf join_timeout=3 --log-dir {logs}"
        text = slurm.run(f"{SUBMIT} --dry-run --name wrong {options} wait.py").stdout
        (slurm.folder / "wrong.sbatch").write_text(text)
        edit = edit.format(port=taken.getsockname()[1])
        slurm.run(f"sed -i {shlex.quote(edit)} wrong.sbatch")
        run = slurm.run("sbatch --wait --parsable wrong.sbatch")
        said = "".join(path.read_text() for path in slurm.folder.glob("slurm-*.log"))
    assert run.exit_code == exit_code, f"{run}\n{said}\n{text}"
    told = [line for line in said.splitlines() if message in line]
    assert told and "Traceback" not in said and "started" not in said, said
