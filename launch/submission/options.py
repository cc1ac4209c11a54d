"""The options of ``distrt-launch submit``, and the plan that they make together with the launcher's."""

import argparse
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from launch.command.options import parse_options
from launch.submission.kubernetes import KINDS
from launch.submission.plan import Plan, read_array, read_nodes, read_time

__all__ = ["flags_and_values", "make_parser", "notes", "read_plan"]

SCHEDULERS = ("slurm", "pbs", "lsf", "k8s")
_OF_KUBERNETES = ("kind", "image", "namespace", "attempts")
_NOT_OF_KUBERNETES = ("array", "account", "log", "extra")
_LONGEST_NAME = 40  # of Kubernetes: pods' names are longer, and end at 63 characters


def read_plan(given: argparse.Namespace, words: Sequence[str]) -> Plan:
    """Make a plan of our own options, and of the launcher's, the script and its arguments.

    Raises:
        ValueError: they make no sense.
    """
    if not words:
        raise ValueError("what is to be run? Give the script, and its arguments, after the options")
    launched = parse_options(words, {})  # which ends the process where they are wrong
    is_container = given.scheduler == "k8s"
    _refuse_what_changes_nothing(given, launched)
    name = given.name or _default_name(launched, is_container)
    _refuse_name(name, is_container)
    if is_container and given.folder and not given.folder.startswith("/"):
        raise ValueError(f"--folder {given.folder}: expected a folder of the container's, from / on")
    if is_container and not given.image:
        raise ValueError("--scheduler k8s needs --image, with distrt and the script in it")
    nodes = read_nodes(given.nodes)
    if nodes[0] < nodes[1] and given.scheduler != "slurm":
        raise ValueError(
            f"--nodes {given.nodes}: only Slurm is asked for as many machines as there are; give a number"
        )
    array = read_array(given.array) if given.array else None
    if array and given.scheduler == "lsf" and array[0] < 1:
        raise ValueError(f"--array {given.array}: LSF counts from 1")
    python = given.python or ("python3" if is_container else sys.executable)
    ranks = launched.nproc_per_node
    plan = Plan(
        command=(python, "-m", "launch", *words),
        folder=Path(given.folder) if is_container else Path(given.folder).absolute(),
        name=name,
        nodes=nodes,
        ranks=ranks,
        cpus=given.cpus or (int(ranks) if ranks.isdecimal() and not is_container else 0),
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
    _refuse_what_no_line_holds(plan, is_container)
    return plan


def notes(plan: Plan, scheduler: str, words: Sequence[str]) -> Iterator[str]:
    """What is odd about a plan as seen from here; the machines that it runs on may see something else."""
    if scheduler == "k8s":
        return
    if 0 < plan.limit_s <= plan.warning_s:
        time = f"the job's time, {plan.limit_s} s,"
        yield f"{time} is no longer than --warning {plan.warning_s}: its ranks are not told before"
    launched = parse_options(words, {})
    is_script = not (launched.module or launched.no_python)
    if is_script and not (plan.folder / launched.script).exists():
        yield f"no such script: {launched.script} (looked in {plan.folder}); the job looks again when it begins"
    log = plan.folder / plan.log
    if plan.log and "%" not in str(log.parent) and not log.parent.is_dir():
        yield f"--log {plan.log}: there is no folder {log.parent}; the job fails unless it is made before"


def _refuse_what_changes_nothing(given: argparse.Namespace, launched: argparse.Namespace) -> None:
    for name in ("standalone", "hosts", "nnodes", "node_rank", "master_addr", "rdzv_endpoint"):
        if getattr(launched, name) not in (False, "", "1:1", 0, "127.0.0.1"):
            raise ValueError(
                f"--{name.replace('_', '-')}: where launchers run and meet is what the job tells them"
            )
    if launched.rdzv_backend != "static":
        raise ValueError(
            f"--rdzv-backend {launched.rdzv_backend}: where launchers meet is what the job tells them"
        )
    usual = make_parser()
    if given.scheduler == "k8s":
        for name in _NOT_OF_KUBERNETES:
            if getattr(given, name) != usual.get_default(name):
                raise ValueError(f"--{name}: Kubernetes has nothing of the kind")
        return
    for name in _OF_KUBERNETES:
        if getattr(given, name) != usual.get_default(name):
            raise ValueError(f"--{name} is of Kubernetes, and changes nothing for {given.scheduler}")


def _default_name(launched: argparse.Namespace, is_container: bool) -> str:
    """The script's or the module's name, in what batch systems take for one."""
    told = launched.script if launched.module else Path(launched.script).stem
    plain = unicodedata.normalize("NFKD", told).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+" if is_container else r"[^a-z0-9_]+", "-", plain).strip("-_") or "distrt"
    if is_container:
        name = (name if name[0].isalpha() else f"job-{name}")[:_LONGEST_NAME].strip("-")
    return name


def _refuse_name(name: str, is_container: bool) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII):
        raise ValueError(f"--name {name}: expected letters, digits, and - between them")
    if is_container and not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name[: _LONGEST_NAME + 1]):
        raise ValueError(f"--name {name}: Kubernetes takes small letters, digits, and - between them")
    if is_container and len(name) > _LONGEST_NAME:
        raise ValueError(
            f"--name {name}: Kubernetes leaves room for {_LONGEST_NAME} letters, not {len(name)}"
        )


def _refuse_what_no_line_holds(plan: Plan, is_container: bool) -> None:
    """A line break would begin another option, or a command; Kubernetes takes nothing that is no text."""
    lines = {"folder": str(plan.folder), "memory": plan.memory, "queue": plan.queue, "account": plan.account}
    lines |= {"log": plan.log, "image": plan.image, "namespace": plan.namespace}
    for name, value in [*lines.items(), *(("extra", each) for each in plan.extra)]:
        if any(each in value for each in "\n\r"):
            raise ValueError(f"--{name} {value!r}: a batch script's options have no room for a line break")
    if is_container:
        for word in plan.command:
            if word != word.encode(errors="replace").decode():
                raise ValueError(f"{word!r} is no text, and a manifest holds nothing else")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of our own options; the launcher's stand among them."""
    parser = argparse.ArgumentParser(
        prog="distrt-launch submit",
        usage="distrt-launch submit --scheduler slurm|pbs|lsf|k8s [options] [launcher's options] script [args...]\n"
        "       distrt-launch submit --scheduler slurm|pbs|lsf|k8s --job JOB [--follow | --cancel]",
        description="Submit a job to a batch system, or look after one that was submitted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--scheduler", choices=SCHEDULERS, required=True, help="the batch system")
    add("--nodes", "--nnodes", default="1", metavar="N|MIN:MAX", help="how many machines")
    add("--name", default="", help="the job's name (default: the script's)")
    add("--time", default="", metavar="D-H:M:S", help="how long it may run; also H:M:S, M:S, or minutes")
    add(
        "--warning",
        type=int,
        default=120,
        metavar="SECONDS",
        help="before that, when ranks are told (default 120)",
    )
    add(
        "--cpus", type=int, default=0, help="of each machine (default: one for each rank; of Kubernetes, any)"
    )
    add("--gpus", type=int, default=0, help="of each machine")
    add("--memory", default="", help="of each machine, as the batch system writes it")
    add("--queue", "--partition", default="", help="the queue or partition; of Kubernetes, that of Kueue")
    add("--account", default="", help="who pays")
    add(
        "--array",
        default="",
        metavar="FIRST-LAST[%AT_ONCE]",
        help="several jobs, told apart by the array's variable",
    )
    add("--log", default="", metavar="FILE", help="where its output goes")
    add("--folder", default="", help="where it runs (default: here; of Kubernetes, where the image says)")
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


def flags_and_values(parser: argparse.ArgumentParser) -> dict[str, bool]:
    """Every spelling of our own options, and whether a value follows."""
    return {spelling: action.nargs != 0 for action in parser._actions for spelling in action.option_strings}
