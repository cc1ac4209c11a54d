"""A job for PBS (OpenPBS, PBS Professional): a script that pbsdsh runs once more on each machine.

Source: OpenPBS's manual pages of qsub, pbsdsh, qrerun and qstat, and pbsdsh.c. pbsdsh gives its tasks none of the job's
variables, and none of their exit codes back: both go through a private folder beside the job. It has not run on a PBS.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator

from launch.submission.batch import BatchSystem, State
from launch.submission.plan import HELD, HOLD, SECRET, Plan, shell_words

__all__ = ["PBS"]

_BODY = """\
cd {folder} || exit 73
{secret}
private=$(mktemp -d "$PWD/.distrt-$PBS_JOBID-XXXXXX") || exit 73
trap 'rm -rf "$private"' EXIT
cp "$PBS_NODEFILE" "$private/nodes" && export -p >"$private/variables" || exit 73
cat >"$private/task" <<'{end}' || exit 73
place=$PBS_NODENUM number=$PBS_TASKNUM
. "$1/variables"
export PBS_NODENUM=$place PBS_TASKNUM=$number PBS_NODEFILE=$1/nodes
cd {folder} || exit 73
{command}
echo "$?" >"$1/code-$place"
{end}
pbsdsh -- /bin/bash "$private/task" "$private"
code=$(cat "$private"/code-* | sort -n | tail -n 1)
if [ "${{code:=69}}" -eq 75 ]; then # the ranks have saved, and want to go on
    qrerun "$PBS_JOBID" || qsub {again}{script}
fi
exit "$code"
"""


def _script(plan: Plan) -> str:
    # timeout passes the launcher's exit code on, and warns the ranks of one machine, who tell those of the others.
    command = shell_words(plan.command, "")
    if plan.is_warned:
        warned_s = plan.limit_s - plan.warning_s
        first = f"timeout --preserve-status --signal=USR1 {warned_s} {HELD}"
        command = HOLD + shell_words(plan.command, first)
    end = "DISTRT_TASK"
    while f"\n{end}\n" in command:
        end += "_"
    body = _BODY.format(
        folder=shlex.quote(str(plan.folder)),
        secret=SECRET,
        command=command,
        end=end,
        # One job of an array, and not all of it again; a range has two numbers at least, but for the step.
        again='-J "$PBS_ARRAY_INDEX-$((PBS_ARRAY_INDEX + 1)):2" ' if plan.array else "",
        script=shlex.quote(str(plan.folder / _file_name(plan))),
    )
    lines = ["#!/bin/bash", *(f"#PBS {option}" for option in _options(plan)), "", body]
    return "\n".join(lines)


def _file_name(plan: Plan) -> str:
    """A name of its own for each plan: the job submits this file again, when another of its name may be there."""
    return f"{plan.name}-{hashlib.sha256(repr(plan).encode(errors='replace')).hexdigest()[:8]}.pbs"


def _options(plan: Plan) -> Iterator[str]:
    yield f"-N {shlex.quote(plan.name)}"
    parts = [f"select={plan.nodes[1]}", f"ncpus={plan.cpus or 1}"]
    if plan.gpus:
        parts.append(f"ngpus={plan.gpus}")
    if plan.memory:
        parts.append(f"mem={plan.memory}")
    parts.append("mpiprocs=1")  # one line of PBS_NODEFILE, and one task of pbsdsh, for each machine
    yield f"-l {shlex.quote(':'.join(parts))}"
    yield "-l place=scatter"
    if plan.limit_s:
        hours, rest = divmod(plan.limit_s, 3600)
        yield f"-l walltime={hours:02}:{rest // 60:02}:{rest % 60:02}"
    if plan.queue:
        yield f"-q {shlex.quote(plan.queue)}"
    if plan.account:
        yield f"-A {shlex.quote(plan.account)}"
    if plan.array:
        first, last, at_once = plan.array
        yield f"-J {first}-{last}" + (f"%{at_once}" if at_once else "")
    yield "-r y"
    yield "-S /bin/bash"
    yield "-j oe"
    yield "-k doe"  # written where it belongs from the beginning, and not brought there at the end
    yield f"-o {shlex.quote(plan.log or str(plan.folder))}"
    yield from plan.extra


def _read_state(text: str) -> State:
    """Read what ``qstat -x -f`` says; it goes on in the next line, after a tab, where one gets long."""
    text = text.replace("\n\t", "")
    found = dict(
        re.findall(r"^\s*(Job Id|job_state|Exit_status|Output_Path)(?: =|:) (.*)$", text, re.MULTILINE)
    )
    state = found.get("job_state", "")
    names = {
        "Q": "queued",
        "R": "running",
        "H": "held",
        "E": "ending",
        "F": "over",
        "X": "over",
        "W": "waits",
        "B": "begun",
    }
    code = int(found.get("Exit_status", "0"))
    return State(
        names.get(state, state or "unknown"),
        state in ("F", "X"),
        code if code >= 0 else 1,
        _logs(found.get("Output_Path", ""), found.get("Job Id", "")),
    )


def _logs(output_path: str, job: str) -> tuple[str, ...]:
    """The file that is named, or that with the job's name in it, where a folder is."""
    _, colon, path = output_path.partition(":")
    return (path, f"{path.rstrip('/')}/{job}.OU") if colon else ()


PBS = BatchSystem(
    name="pbs",
    script=_script,
    file_name=_file_name,
    submit=lambda path: ("qsub", path),
    read_job=str.strip,
    show=lambda job: ("qstat", "-x", "-f", job),
    read_state=_read_state,
    unknown="Unknown Job",
    cancel=lambda job: ("qdel", job),
)
