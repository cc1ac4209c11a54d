"""``distrt-launch submit``: write a job for a batch system, hand it in, look after it, end it."""

import argparse
import contextlib
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.command.options import split_options
from launch.exit_codes import CANNOT_WRITE, OK, UNREACHABLE
from launch.reports.output import say
from launch.reports.run_directory import write_whole
from launch.submission.asking import BatchError, ask, ask_for_state, is_taken
from launch.submission.batch import BatchSystem
from launch.submission.following import FileTail, StreamTail, follow
from launch.submission.kubernetes import kubernetes, manifest
from launch.submission.lsf import LSF
from launch.submission.options import flags_and_values, make_parser, notes, read_plan
from launch.submission.pbs import PBS
from launch.submission.plan import Plan
from launch.submission.slurm import SLURM

__all__ = ["submit"]

_MARK = "# Written by distrt-launch submit."
_INTERRUPTED, _NOBODY_READS = 130, 141  # as of a program that SIGINT or SIGPIPE ends


def submit(argv: Sequence[str]) -> int:
    """Submit a job, or look after one; return the exit code."""
    parser = make_parser()
    own, others = split_options(argv, flags_and_values(parser))
    given = parser.parse_args(own)
    system = kubernetes(given.namespace) if given.scheduler == "k8s" else _SYSTEMS[given.scheduler]
    again = f"distrt-launch submit --scheduler {system.name}"
    again += f" --namespace {given.namespace}" if given.namespace else ""
    try:
        if given.job or given.cancel:
            _refuse_a_second_wish(given, others)
            return _look_after(system, given, f"{again} --job {given.job}")
        plan = read_plan(given, others)
    except ValueError as error:
        parser.error(str(error))
    except BatchError as error:
        return _complain(str(error), UNREACHABLE)
    for note in notes(plan, system.name, others):
        say(note)
    text = _marked(system.script(plan))
    if given.dry_run:
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
        return OK
    try:
        return _hand_in(system, plan, text, given.follow, again)
    except BatchError as error:
        return _complain(str(error), UNREACHABLE)
    except OSError as error:
        return _complain(f"{plan.folder}: the script cannot be kept there ({error.strerror})", CANNOT_WRITE)
    except KeyboardInterrupt:
        return _complain(f"interrupted: whether {system.name} has taken the job is not known", _INTERRUPTED)


_SYSTEMS = {system.name: system for system in (SLURM, PBS, LSF)}


def _refuse_a_second_wish(given: argparse.Namespace, others: Sequence[str]) -> None:
    if not given.job:
        raise ValueError("--cancel ends the job that --job names")
    if others:
        raise ValueError(f"--job looks after a job that was submitted: {' '.join(others)} is too much")
    if given.scheduler == "k8s" and "/" not in given.job:
        raise ValueError(f"--job {given.job}: expected KIND/NAME, as in job.batch/{given.job}")


def _hand_in(system: BatchSystem, plan: Plan, text: str, is_followed: bool, again: str) -> int:
    path = ""
    if is_taken(system, f"{plan.kind}/{plan.name}"):
        raise BatchError(f"there is a {plan.kind}/{plan.name} already: --cancel it, or give another --name")
    if system.reads_stdin:
        if system.name == "k8s":
            text = _marked(manifest(plan, secrets.token_hex(32)))
        said = ask(system.submit(""), text)
    else:
        path = _keep(plan.folder / system.file_name(plan), text)
        said = ask(system.submit(path))
    job = system.read_job(said)
    if not job:
        raise BatchError(f"{system.submit(path)[0]} names no job: {said.strip()}")
    say(f"submitted job {job}" + (f", {path}" if path else ""))
    again += f" --job {job}"
    if is_followed:
        return _follow(system, job, again)
    say(f"its state: {again}; with --follow also its output, with --cancel its end")
    return OK


def _look_after(system: BatchSystem, given: argparse.Namespace, again: str) -> int:
    job = given.job
    state = ask_for_state(system, job)
    if given.cancel:
        if state.is_over:
            return _complain(f"job {job} is over: {state.text}", OK)
        ask(system.cancel(job))
        return _complain(f"job {job} was told to end", OK)
    if given.follow:
        return _follow(system, job, again)
    print(state.text)
    return state.exit_code if state.is_over else OK


def _follow(system: BatchSystem, job: str, again: str) -> int:
    show_output = system.follow
    show = FileTail() if show_output is None else StreamTail(lambda since_s: show_output(job, since_s))
    try:
        return follow(lambda: ask_for_state(system, job), show, say)
    except KeyboardInterrupt:
        say(f"job {job} goes on; {again} --follow shows it again, --cancel ends it")
        return _INTERRUPTED
    except BrokenPipeError:
        return _complain(f"job {job} goes on; nobody reads its output here any more", _NOBODY_READS)


def _keep(path: Path, text: str) -> str:
    """Write the script for the batch system, whole or not at all; a file that a user wrote is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if _MARK not in path.read_text(errors="replace"):
            raise BatchError(f"{path} is there, and not written by this command: give another --name")
    write_whole(path, text.encode(errors="surrogateescape"))
    return str(path)


def _marked(text: str) -> str:
    """The script with a word of where it comes from, below the line that names its interpreter."""
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}{_MARK}\n{rest}" if first.startswith("#!") else f"{_MARK}\n{text}"


def _complain(text: str, exit_code: int) -> int:
    say(text)
    return exit_code
