"""A job for LSF: a script that starts one launcher on each machine, by blaunch.

Source: the manual pages of bsub, blaunch and bjobs. It has not run on an LSF.
"""

import re
import shlex
from collections.abc import Iterator

from launch.submission.batch import BatchSystem, State
from launch.submission.plan import HELD, HOLD, SECRET, Plan, minutes, shell_words

__all__ = ["LSF"]


def _script(plan: Plan) -> str:
    lines = ["#!/bin/bash", *(f"#BSUB {option}" for option in _options(plan)), ""]
    lines += [f"cd {shlex.quote(str(plan.folder))} || exit 73", SECRET]
    held = ""
    if plan.is_warned:
        lines.append(HOLD.rstrip())
        held = f" {HELD}"
    if plan.nodes[1] == 1:
        return "\n".join([*lines, shell_words(plan.command, f"exec{held}")]) + "\n"
    lines.append('hosts=$(awk \'!seen[$1]++ {printf "%s ", $1}\' "$LSB_DJOB_HOSTFILE")')
    return "\n".join([*lines, shell_words(plan.command, f'exec blaunch -z "$hosts"{held}')]) + "\n"


def _options(plan: Plan) -> Iterator[str]:
    name = plan.name
    if plan.array:
        first, last, at_once = plan.array
        name += f"[{first}-{last}]" + (f"%{at_once}" if at_once else "")
    slots = plan.cpus or 1
    yield f"-J {shlex.quote(name)}"
    yield f"-n {plan.nodes[1] * slots}"
    yield f'-R "span[ptile={slots}]"'
    if plan.gpus:
        yield f'-gpu "num={plan.gpus}"'
    if plan.memory:
        yield f"-M {shlex.quote(plan.memory)}"
        yield "-hl"  # of each machine, and not of each slot
    if plan.limit_s:
        whole = minutes(plan.limit_s)
        yield f"-W {whole // 60}:{whole % 60:02}"
    if plan.is_warned:
        yield f"-wa USR1 -wt {minutes(plan.warning_s)}"
    if plan.queue:
        yield f"-q {shlex.quote(plan.queue)}"
    if plan.account:
        yield f"-P {shlex.quote(plan.account)}"
    yield "-r"
    yield '-Q "75"'  # the ranks have saved, and want to go on
    log = plan.log or str(plan.folder / ("lsf-%J_%I.log" if plan.array else "lsf-%J.log"))
    yield f"-o {shlex.quote(log)}"
    yield from plan.extra


def _read_job(said: str) -> str:
    match = re.search(r"Job <(\d+)>", said)
    return match[1] if match else ""


def _read_state(text: str) -> State:
    """Read what ``bjobs -noheader -o "stat exit_code output_file"`` says: a line for each job of an array."""
    rows = [line.split() for line in text.splitlines() if len(line.split()) >= 3]
    states = [row[0] for row in rows]
    codes = [int(row[1]) for row in rows if row[1].isdigit()]
    said = ", ".join(dict.fromkeys(state.lower() for state in states))
    logs = tuple(row[2] for row in rows if row[2] != "-" and "%" not in row[2])
    is_over = bool(rows) and set(states) <= {"DONE", "EXIT"}
    return State(said or "unknown", is_over, max(codes, default=int("EXIT" in states)), logs)


LSF = BatchSystem(
    name="lsf",
    script=_script,
    file_name=lambda plan: f"{plan.name}.lsf",
    submit=lambda path: ("bsub",),
    reads_stdin=True,
    read_job=_read_job,
    show=lambda job: ("bjobs", "-a", "-noheader", "-o", "stat exit_code output_file", job),
    read_state=_read_state,
    unknown="is not found",
    cancel=lambda job: ("bkill", job),
)
