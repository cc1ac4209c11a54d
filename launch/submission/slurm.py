"""A job for Slurm: a batch script that starts one launcher on each machine, by srun.

Source: Slurm's manual pages of sbatch, srun and scontrol. What it does at preemption was tried on 22.05 (tests/slurm).
"""

import re
import shlex
from collections.abc import Iterator

from launch.submission.batch import BatchSystem, State
from launch.submission.plan import HELD, HOLD, SECRET, Plan, minutes, shell_words

__all__ = ["SLURM"]

# Launchers end together by themselves, with one exit code. srun is to end what is left of them only where one does not.
_SRUN = "srun --ntasks-per-node=1{cpus} --kill-on-bad-exit=0 --wait=90"
_END = """\
code=$?
if [ "$code" -eq 75 ]; then # the ranks have saved, and want to go on
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
_OVER = frozenset(
    "COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL OUT_OF_MEMORY BOOT_FAIL DEADLINE PREEMPTED".split()
)


def _script(plan: Plan) -> str:
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(plan)), ""]
    # A step does not inherit it (since 22.05), and has one core where cores are bound.
    srun = _SRUN.format(cpus=f" --cpus-per-task={plan.cpus}" if plan.cpus else "")
    if plan.is_warned:
        lines.append(HOLD.rstrip())
        srun += f" {HELD}"
    return "\n".join([*lines, SECRET, shell_words(plan.command, srun)]) + "\n" + _END


def _options(plan: Plan) -> Iterator[str]:
    least, most = plan.nodes
    yield f"--job-name={shlex.quote(plan.name)}"
    yield f"--nodes={least}" if least == most else f"--nodes={least}-{most}"
    yield "--ntasks-per-node=1"
    if plan.cpus:
        yield f"--cpus-per-task={plan.cpus}"
    if plan.gpus:
        yield f"--gpus-per-node={plan.gpus}"
    if plan.memory:
        yield f"--mem={shlex.quote(plan.memory)}"
    if plan.limit_s:
        yield f"--time={minutes(plan.limit_s)}"
    if plan.is_warned:
        yield f"--signal=USR1@{plan.warning_s}"
    if plan.queue:
        yield f"--partition={shlex.quote(plan.queue)}"
    if plan.account:
        yield f"--account={shlex.quote(plan.account)}"
    if plan.array:
        first, last, at_once = plan.array
        yield f"--array={first}-{last}" + (f"%{at_once}" if at_once else "")
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--chdir={shlex.quote(str(plan.folder))}"
    folder = str(plan.folder).replace("%", "%%")
    log = plan.log or f"{folder}/{'slurm-%A_%a.log' if plan.array else 'slurm-%j.log'}"
    yield f"--output={shlex.quote(log)}"
    yield from plan.extra


def _read_state(text: str) -> State:
    """Read what ``scontrol show job -o`` says: a line for each task of an array."""
    lines = [line for line in text.splitlines() if line.startswith("JobId=")]
    jobs = [dict(re.findall(r"(?<!\S)(\w+)=(.*?)(?= [A-Z][\w/:]*=|\s*$)", line)) for line in lines]
    states = [job.get("JobState", "") for job in jobs]
    codes = [_exit_code(job) for job in jobs if job.get("JobState") in _OVER]
    said = ", ".join(
        f"{name.lower()} ({states.count(name)})" if len(states) > 1 else _with_reason(name, jobs[0])
        for name in dict.fromkeys(states)
    )
    logs = tuple(path for job in jobs for path in _logs(job))
    return State(said or "unknown", bool(jobs) and set(states) <= _OVER, max(codes, default=0), logs)


def _logs(job: dict[str, str]) -> list[str]:
    """Where a job's output is; a task of an array that waits has a number to come in its file's name.

    Of a folder with a "%" in its name scontrol says something else than where the file is.
    """
    path = job.get("StdOut", "")
    _, _, name = path.rpartition("/")
    if not name or "%" in name:
        return []
    return [path, f"{job['WorkDir']}/{name}"] if "%" in job.get("WorkDir", "") else [path]


def _with_reason(state: str, job: dict[str, str]) -> str:
    reason = job.get("Reason", "None")
    restarts = f", requeued {job['Restarts']} times" if job.get("Restarts", "0") != "0" else ""
    return state.lower() + (f" ({reason})" if reason != "None" else "") + restarts


def _exit_code(job: dict[str, str]) -> int:
    code, _, number = job.get("ExitCode", "1:0").partition(":")
    found = int(code) or (128 + int(number) if int(number or 0) else 0)
    return found if found or job["JobState"] == "COMPLETED" else 1


SLURM = BatchSystem(
    name="slurm",
    script=_script,
    file_name=lambda plan: f"{plan.name}.sbatch",
    submit=lambda path: ("sbatch", "--parsable", path),
    read_job=lambda said: said.strip().rpartition("\n")[2].partition(";")[0],
    show=lambda job: ("scontrol", "show", "job", "-o", job),
    read_state=_read_state,
    unknown="Invalid job id",
    cancel=lambda job: ("scancel", job),
)
