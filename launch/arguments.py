"""The command line: torchrun's spellings, and what each value means on this machine."""

import argparse
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from launch.exit_codes import EXPLANATION
from launch.machine import usable_cores, visible_gpus
from launch.supervisor import TimeLimits

__all__ = ["Arguments", "missing_target", "parse_arguments"]


@dataclass(frozen=True)
class Arguments:
    """A checked command line."""

    kind: str
    target: str
    target_arguments: tuple[str, ...]
    world_size: int
    master_addr: str
    master_port: int
    run_dir_base: str | None
    limits: TimeLimits


def parse_arguments(argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line; a wrong one ends the process with a message and exit code 2."""
    parser = _parser()
    given = parser.parse_args(argv)
    _refuse_several_machines(parser, given)
    if not 0 <= given.master_port <= 65535:
        parser.error(f"--master-port must be from 0 to 65535 (0: any free port), got {given.master_port}")
    timeout_s = given.shutdown_timeout
    if timeout_s is not None and not timeout_s >= 0:
        parser.error(f"--shutdown-timeout must be 0 seconds or more, got {timeout_s}")
    return Arguments(
        kind="module" if given.module else "script",
        target=given.script,
        target_arguments=tuple(given.arguments),
        world_size=_world_size(parser, given.nproc_per_node),
        master_addr=given.master_addr,
        master_port=given.master_port,
        run_dir_base=given.run_dir,
        limits=TimeLimits() if timeout_s is None else TimeLimits(timeout_s, timeout_s),
    )


def missing_target(kind: str, target: str) -> str | None:
    """Return what is wrong with a missing script or module, or None; nothing is imported for it."""
    if kind == "module":
        top = target.partition(".")[0]
        if importlib.machinery.PathFinder.find_spec(top, [os.getcwd(), *sys.path]) is None:
            return f"no module named {top!r} in {os.getcwd()} or among the installed packages"
        return None
    if os.path.isdir(target):
        has_main = os.path.exists(os.path.join(target, "__main__.py"))
        return None if has_main else f"the directory {target} has no __main__.py"
    if not os.path.exists(target):
        return f"no such script: {target} (looked in {os.getcwd()})"
    return None if os.access(target, os.R_OK) else f"the script {target} cannot be read"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distrt-launch",
        usage="distrt-launch [options] script [args...]  |  distrt-launch [options] -m module [args...]",
        description="Start the ranks of a job on this machine, watch over them, and end them together.\n"
        "With several ranks each output line begins with [rank]; a single rank writes straight through.",
        epilog=EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def option(name: str, **settings: object) -> None:
        spellings = list(dict.fromkeys([f"--{name}", f"--{name.replace('-', '_')}"]))
        parser.add_argument(*spellings, **settings)  # type: ignore[arg-type]

    option(
        "nproc-per-node",
        default="1",
        metavar="N",
        help="ranks to start: a number, cpu, gpu or auto (default 1)",
    )
    option("nnodes", default="1", metavar="N", help="machines; only 1 so far")
    option("node-rank", default=0, type=int, metavar="K", help="this machine's number; only 0 so far")
    option("standalone", action="store_true", help="accepted: one machine is all there is so far")
    option("master-addr", default="127.0.0.1", metavar="HOST", help="interface the store listens on")
    option(
        "master-port", default=0, type=int, metavar="PORT", help="port of the store (default 0: any free one)"
    )
    parser.add_argument(
        *("--run-dir", "--run_dir", "--log-dir", "--log_dir"),
        metavar="DIR",
        help="where the job makes its own run directory (default: runs)",
    )
    option(
        "shutdown-timeout",
        type=float,
        metavar="SECONDS",
        help="from SIGTERM to SIGKILL (default 1.5 after a failure, 25 after Ctrl-C or SIGTERM)",
    )
    parser.add_argument("-m", "--module", action="store_true", help="run a module, as python -m does")
    parser.add_argument("script", help="the script, or with -m the module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="given to the script as they are")
    return parser


def _refuse_several_machines(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.nnodes not in ("1", "1:1"):
        parser.error(f"--nnodes {given.nnodes}: this version starts jobs on one machine only; use --nnodes 1")
    if given.node_rank != 0:
        parser.error(f"--node-rank {given.node_rank}: there is one machine, and its number is 0")


def _world_size(parser: argparse.ArgumentParser, text: str) -> int:
    if text == "cpu":
        return usable_cores()
    if text == "auto":
        return visible_gpus() or usable_cores()
    if text == "gpu":
        return visible_gpus() or parser.error(
            "--nproc-per-node gpu: no GPU is visible here; give a number or cpu"
        )
    try:
        count = int(text)
    except ValueError:
        parser.error(f"--nproc-per-node takes a number, auto, cpu or gpu, got {text!r}")
    if count < 1:
        parser.error(f"--nproc-per-node must be at least 1, got {count}")
    return count
