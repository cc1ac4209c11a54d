"""A job for PBS (OpenPBS, PBS Professional): a script that pbsdsh runs once more on each machine.

Source: the manual pages of qsub, pbsdsh and qstat. pbsdsh gives its tasks none of the job's variables, so the secret
and the list of machines go through a private folder beside the job. It has not run on a PBS.
"""

import re
import shlex
from collections.abc import Iterator

from launch.submission.batch import BatchSystem, State
from launch.submission.plan import Plan, shell_words

__all__ = ["PBS"]

_BODY = """\
cd {folder} || exit 73
self={script}
if [ "${{1:-}}" != task ]; then # the job: this script again, on every machine
    private=$(mktemp -d "$PWD/.distrt-$PBS_JOBID-XXXXXX") || exit 73
    trap 'rm -rf "$private"' EXIT
    od -An -vtx1 -N32 /dev/urandom | tr -d ' \\n' >"$private/secret" && cp "$PBS_NODEFILE" "$private/nodes" || exit 73
    pbsdsh -u -- /bin/bash "$self" task "$PBS_JOBID" "$private"{index}
    code=$?
    if [ "$code" -eq 75 ]; then # the ranks have saved, and want to go on
        qrerun "$PBS_JOBID" || qsub "$self"
    fi
    exit "$code"
fi
export PBS_JOBID=$2 PBS_NODEFILE=$3/nodes{take_index}
DISTRT_JOB_SECRET=$(cat "$3/secret") || exit 77
export DISTRT_JOB_SECRET
"""


def _script(plan: Plan) -> str:
    index = (' "$PBS_ARRAY_INDEX"', " PBS_ARRAY_INDEX=$4") if plan.array else ("", "")
    body = _BODY.format(
        folder=shlex.quote(str(plan.folder)),
        script=shlex.quote(str(plan.folder / f"{plan.name}.pbs")),
        index=index[0],
        take_index=index[1],
    )
    # timeout passes the launcher's exit code on, and warns the ranks of one machine, who tell those of the others.
    first = "exec"
    if plan.is_warned:
        first += f" timeout --preserve-status --signal=USR1 {plan.limit_s - plan.warning_s}"
    lines = ["#!/bin/bash", *(f"#PBS {option}" for option in _options(plan)), "", body]
    return "\n".join(lines) + shell_words(plan.command, first) + "\n"


def _options(plan: Plan) -> Iterator[str]:
    yield f"-N {shlex.quote(plan.name)}"
    parts = [f"select={plan.nodes[1]}", f"ncpus={plan.cpus or 1}"]
    if plan.gpus:
        parts.append(f"ngpus={plan.gpus}")
    if plan.memory:
        parts.append(f"mem={plan.memory}")
    yield f"-l {':'.join([*parts, 'mpiprocs=1'])}"
    yield "-l place=scatter"
    if plan.limit_s:
        hours, rest = divmod(plan.limit_s, 3600)
        yield f"-l walltime={hours:02}:{rest // 60:02}:{rest % 60:02}"
    if plan.queue:
        yield f"-q {plan.queue}"
    if plan.account:
        yield f"-A {plan.account}"
    if plan.array:
        first, last, at_once = plan.array
        yield f"-J {first}-{last}" + (f"%{at_once}" if at_once else "")
    yield "-r y"
    yield "-j oe"
    yield f"-o {shlex.quote(plan.log or str(plan.folder))}"
    yield from plan.extra


def _read_state(text: str) -> State:
    """Read what ``qstat -x -f`` says."""
    found = dict(re.findall(r"^\s*(job_state|Exit_status|Output_Path|comment) = (.*)$", text, re.MULTILINE))
    state = found.get("job_state", "")
    names = {
        "Q": "queued",
        "R": "running",
        "H": "held",
        "E": "ending",
        "F": "over",
        "W": "waits",
        "B": "begun",
    }
    logs = (found["Output_Path"].partition(":")[2],) if ":" in found.get("Output_Path", "") else ()
    code = int(found.get("Exit_status", "0"))
    return State(
        names.get(state, state or "unknown"),
        state == "F" or "Exit_status" in found,
        code if code >= 0 else 1,
        logs,
    )


PBS = BatchSystem(
    name="pbs",
    script=_script,
    suffix=".pbs",
    submit=lambda path: ("qsub", path),
    read_job=str.strip,
    show=lambda job: ("qstat", "-x", "-f", job),
    read_state=_read_state,
    cancel=lambda job: ("qdel", job),
)
