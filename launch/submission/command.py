"""``distrt-launch submit``: write a job for a batch system, hand it in, look after it, end it."""

import argparse
import contextlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.command.options import parse_options, split_options
from launch.exit_codes import CANNOT_WRITE, OK, UNREACHABLE
from launch.submission.batch import BatchSystem, State
from launch.submission.following import follow
from launch.submission.kubernetes import KINDS, KUBERNETES, manifest
from launch.submission.lsf import LSF
from launch.submission.pbs import PBS
from launch.submission.plan import Plan, read_array, read_nodes, read_time
from launch.submission.slurm import SLURM

__all__ = ["submit"]

_SYSTEMS = {system.name: system for system in (SLURM, PBS, LSF, KUBERNETES)}
_MARK = "# Written by distrt-launch submit."
_PATIENCE_S = 60.0


def submit(argv: Sequence[str]) -> int:
    """Submit a job, or look after one; return the exit code."""
    parser = _make_parser()
    own, others = split_options(argv, _flags_and_values(parser))
    given = parser.parse_args(own)
    system = _SYSTEMS[given.scheduler]
    try:
        if given.job:
            return _look_after(system, given.job, given.follow, given.cancel)
        plan = _plan(given, others)
    except ValueError as error:
        parser.error(str(error))
    except _BatchError as error:
        return _complain(str(error), UNREACHABLE)
    text = _marked(system.script(plan))
    if given.dry_run:
        print(text, end="")
        return OK
    try:
        return _hand_in(system, plan, text, given.follow)
    except _BatchError as error:
        return _complain(str(error), UNREACHABLE)
    except OSError as error:
        return _complain(f"{error.filename} cannot be written ({error.strerror})", CANNOT_WRITE)


class _BatchError(Exception):
    """The batch system refuses, or is not there; the text is for the user."""


def _hand_in(system: BatchSystem, plan: Plan, text: str, is_followed: bool) -> int:
    path = ""
    if system.reads_stdin:
        if system is KUBERNETES:
            text = manifest(plan, secrets.token_hex(32))
        said = _run(system.submit(""), text)
    else:
        path = _keep(plan.folder / f"{plan.name}{system.suffix}", text)
        said = _run(system.submit(path))
    job = system.read_job(said)
    if not job:
        raise _BatchError(f"{system.submit(path)[0]} names no job: {said.strip()}")
    _say(f"submitted job {job}" + (f", {path}" if path else ""))
    again = f"distrt-launch submit --scheduler {system.name} --job {job}"
    if is_followed:
        return _follow(system, job, again)
    _say(f"its state: {again}; with --follow also its output, with --cancel its end")
    return OK


def _look_after(system: BatchSystem, job: str, is_followed: bool, is_cancelled: bool) -> int:
    if is_cancelled:
        _run(system.cancel(job))
        _say(f"job {job} was told to end")
        return OK
    if is_followed:
        return _follow(system, job, f"distrt-launch submit --scheduler {system.name} --job {job}")
    state = _state(system, job)
    print(state.text)
    return state.exit_code if state.is_over else OK


def _follow(system: BatchSystem, job: str, again: str) -> int:
    try:
        if system.follow is not None:
            subprocess.run(system.follow(job), check=False)
        return follow(lambda: _state(system, job), _say)
    except KeyboardInterrupt:
        _say(f"job {job} goes on; {again} --follow shows it again, --cancel ends it")
        return 130


def _state(system: BatchSystem, job: str) -> State:
    return system.read_state(_run(system.show(job), is_checked=False))


def _run(command: Sequence[str], text: str | None = None, is_checked: bool = True) -> str:
    """Run a command of the batch system, and return what it says."""
    try:
        done = subprocess.run(
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except OSError as error:
        raise _BatchError(
            f"{command[0]} cannot be started ({error.strerror}): is this a login node?"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise _BatchError(f"{command[0]} has not answered for {_PATIENCE_S:.0f} s") from error
    if is_checked and done.returncode:
        why = " ".join((done.stderr or done.stdout).split())
        raise _BatchError(f"{command[0]} refuses (exit code {done.returncode}): {why}")
    return done.stdout


def _keep(path: Path, text: str) -> str:
    """Write the script for the batch system, whole or not at all; a file that a user wrote is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if _MARK not in path.read_text(errors="replace"):
            raise _BatchError(f"{path} is there, and not written by this command: give another --name")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    os.replace(draft, path)
    return str(path)


def _marked(text: str) -> str:
    """The script with a word of where it comes from, below the line that names its interpreter."""
    first, newline, rest = text.partition("\n")
    return f"{first}{newline}{_MARK}\n{rest}" if first.startswith("#!") else f"{_MARK}\n{text}"


def _plan(given: argparse.Namespace, words: Sequence[str]) -> Plan:
    if not words:
        raise ValueError("what is to be run? Give the script, and its arguments, after the options")
    launched = parse_options(words, {})  # which ends the process where they are wrong
    for name in ("standalone", "hosts", "nnodes", "node_rank", "master_addr", "rdzv_endpoint"):
        if getattr(launched, name) not in (False, "", "1:1", 0, "127.0.0.1"):
            raise ValueError(
                f"--{name.replace('_', '-')}: where launchers run and meet is what the job tells them"
            )
    name = given.name or re.sub(r"\W+", "-", Path(launched.script).stem).strip("-").lower() or "distrt"
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name):
        raise ValueError(f"--name {name}: expected letters, digits, and - between them")
    is_container = given.scheduler == "k8s"
    if is_container and not re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?", name):
        raise ValueError(
            f"--name {name}: Kubernetes takes up to 52 small letters, digits, and - between them"
        )
    if is_container and not given.image:
        raise ValueError("--scheduler k8s needs --image, with distrt and the script in it")
    array = read_array(given.array) if given.array else None
    if array and is_container:
        raise ValueError("--array: Kubernetes has none; submit several jobs")
    if array and given.scheduler == "lsf" and array[0] < 1:
        raise ValueError(f"--array {given.array}: LSF counts from 1")
    python = given.python or ("python3" if is_container else sys.executable)
    return Plan(
        command=(python, "-m", "launch", *words),
        folder=Path(given.folder or ("/" if is_container else os.getcwd())),
        name=name,
        nodes=read_nodes(given.nodes),
        ranks=launched.nproc_per_node,
        cpus=given.cpus,
        gpus=given.gpus,
        memory=given.memory,
        limit_s=read_time(given.time) if given.time else 0,
        warning_s=given.warning,
        queue=given.queue,
        account=given.account,
        array=array,
        log=given.log,
        extra=tuple(given.extra),
        image=given.image,
        kind=given.kind,
        namespace=given.namespace,
        attempts=given.attempts,
    )


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distrt-launch submit",
        usage="distrt-launch submit --scheduler slurm|pbs|lsf|k8s [options] [launcher's options] script [args...]\n"
        "       distrt-launch submit --scheduler slurm|pbs|lsf|k8s --job JOB [--follow | --cancel]",
        description="Submit a job to a batch system, or look after one that was submitted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--scheduler", choices=_SYSTEMS, required=True, help="the batch system")
    add("--nodes", "--nnodes", default="1", metavar="N|MIN:MAX", help="how many machines")
    add("--name", default="", help="the job's name (default: the script's)")
    add("--time", default="", metavar="[D-][H:]MM:SS", help="how long it may run, also in minutes")
    add(
        "--warning",
        type=int,
        default=120,
        metavar="SECONDS",
        help="before that, when ranks are told (default 120)",
    )
    add("--cpus", type=int, default=0, help="of each machine")
    add("--gpus", type=int, default=0, help="of each machine")
    add("--memory", default="", help="of each machine, as the batch system writes it")
    add("--queue", "--partition", default="", help="the queue or partition")
    add("--account", default="", help="who pays")
    add(
        "--array",
        default="",
        metavar="FIRST-LAST[%AT_ONCE]",
        help="several jobs, told apart by the array's variable",
    )
    add("--log", default="", metavar="FILE", help="where its output goes")
    add("--folder", default="", help="where it runs (default: here)")
    add("--python", default="", help="the interpreter of launchers and ranks (default: this one)")
    add(
        "--extra",
        action="append",
        default=[],
        metavar="OPTION",
        help="one more of the batch system's options",
    )
    add(
        "--kind",
        choices=KINDS,
        default="job",
        help="of Kubernetes: an Indexed Job, a JobSet, a PyTorchJob, an MPIJob",
    )
    add("--image", default="", help="of Kubernetes: the container's")
    add("--namespace", default="", help="of Kubernetes")
    add(
        "--attempts",
        type=int,
        default=6,
        help="of Kubernetes: how often a failed job is started again (default 6)",
    )
    add("--dry-run", action="store_true", help="print what would be submitted")
    add(
        "--follow",
        action="store_true",
        help="show the job's output and state until its end; its exit code is ours",
    )
    add("--job", default="", help="a job that was submitted: say its state, or --follow or --cancel it")
    add("--cancel", action="store_true", help="end the job of --job")
    return parser


def _flags_and_values(parser: argparse.ArgumentParser) -> dict[str, bool]:
    """Every spelling of our own options, and whether a value follows."""
    return {spelling: action.nargs != 0 for action in parser._actions for spelling in action.option_strings}


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"distrt-launch: {text}\n".encode(errors="backslashreplace"))


def _complain(text: str, exit_code: int) -> int:
    _say(text)
    return exit_code
