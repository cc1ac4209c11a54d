"""The command line, checked: what each option means on this machine, and which of torchrun's are refused, and why."""

import argparse
import importlib.machinery
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launch.command.options import parse_options
from launch.job import Target, own_gpu
from launch.machine import usable_cores, visible_gpus
from launch.machines.hosts import Host, Words, read_hosts
from launch.machines.meeting_place import MeetingPlace, read_meeting_place
from launch.machines.placement import fill_in
from launch.ranks.signals import read_signals
from launch.ranks.supervisor import TimeLimits
from launch.reports.logs import STDERR, STDOUT, OutputPlan, StreamChoice

__all__ = ["Arguments", "missing_target", "parse_arguments"]


@dataclass(frozen=True)
class Arguments:
    """A checked command line.

    Attributes:
        user_id: the job's name, as the user gave it; empty where not.
        signals: the names of the signals that end the job, with commas.
        shows_events: whether starts and ends are shown as JSON.
        variables: the user's own, for the ranks.
        is_dry_run: whether to show what would be started.
        hosts: the machines on which launchers are to be started; then this one runs no ranks.
        host_launcher: "ssh" or "mpiexec".
        words: the command line, before the script and from there on.
        ends_with_stdin: whether the job ends when standard input does, whose first line is the secret.
    """

    target: Target
    local_size: int
    meeting: MeetingPlace
    run_dir_base: str | None
    limits: TimeLimits
    output: OutputPlan
    user_id: str
    role: str
    max_restarts: int
    signals: str
    has_virtual_local_rank: bool
    shows_events: bool
    hang_timeout_s: float | None
    variables: Mapping[str, str]
    is_dry_run: bool
    hosts: tuple[Host, ...]
    host_launcher: str
    words: Words
    ends_with_stdin: bool


def parse_arguments(
    argv: Sequence[str] | None = None, variables: Mapping[str, str] | None = None
) -> Arguments:
    """Read the command line; a wrong one ends the process with a message and exit code 2."""
    variables = os.environ if variables is None else variables
    given = parse_options(sys.argv[1:] if argv is None else argv, variables)
    try:
        _refuse(given)
        hosts = _hosts(given)
        if not hosts:
            fill_in(given, variables)
        local_size = 1 if hosts else _local_size(given.nproc_per_node)
        if given.virtual_local_rank:
            own_gpu(local_size - 1, variables)
        return Arguments(
            target=_target(given),
            local_size=local_size,
            meeting=read_meeting_place(given),
            run_dir_base=given.log_dir,
            limits=_limits(given.shutdown_timeout, variables),
            output=_output(given, variables),
            user_id="" if given.rdzv_id == "none" or given.standalone else given.rdzv_id,
            role=given.role,
            max_restarts=given.max_restarts,
            signals=_signals(given.signals_to_handle),
            has_virtual_local_rank=given.virtual_local_rank,
            shows_events=given.event_log_handler == "console",
            hang_timeout_s=given.hang_timeout,
            variables=_variables(given, variables),
            is_dry_run=given.dry_run,
            hosts=hosts,
            host_launcher=given.host_launcher,
            words=(tuple(given.own_words), tuple(given.other_words)),
            ends_with_stdin=given.end_with_stdin,
        )
    except ValueError as error:
        given.fail(str(error))
        raise


def _variables(given: argparse.Namespace, variables: Mapping[str, str]) -> Mapping[str, str]:
    """The user's own variables, and where ranks find distrt under torch's name if they are to."""
    if not given.as_torch:
        chosen: Mapping[str, str] = given.variables
        return chosen
    path = given.variables.get("PYTHONPATH", variables.get("PYTHONPATH"))
    return {**given.variables, "PYTHONPATH": os.pathsep.join(filter(None, [_shims(), path]))}


def _shims() -> str:
    """Where distrt keeps the modules that stand for torch and torchvision; found without loading it."""
    found = importlib.util.find_spec("distrt")
    assert found is not None and found.submodule_search_locations
    return os.path.join(found.submodule_search_locations[0], "compat", "shims")


def missing_target(target: Target) -> str | None:
    """Return what is wrong with a missing script, module or program, or None; nothing is imported for it."""
    name = target.name
    if target.kind == "module":
        top = name.partition(".")[0]
        if importlib.machinery.PathFinder.find_spec(top, [os.getcwd(), *sys.path]) is None:
            return f"no module named {top!r} in {os.getcwd()} or among the installed packages"
        return None
    if target.kind == "program":
        return None if shutil.which(name) else f"no such program: {name} (looked in {os.getcwd()} and PATH)"
    if os.path.isdir(name):
        has_main = os.path.exists(os.path.join(name, "__main__.py"))
        return None if has_main else f"the directory {name} has no __main__.py"
    if not os.path.exists(name):
        return f"no such script: {name} (looked in {os.getcwd()})"
    return None if os.access(name, os.R_OK) else f"the script {name} cannot be read"


def _refuse(given: argparse.Namespace) -> None:
    """Raise for what cannot be had, or makes no sense, with what to do instead."""
    if given.logs_specs is not None:
        raise ValueError(
            f"--logs-specs {given.logs_specs}: plug-ins of PyTorch's launcher cannot be loaded here; "
            f"use --redirects, --tee, --local-ranks-filter and --log-dir"
        )
    if given.numa_binding is not None:
        raise ValueError(
            f"--numa-binding {given.numa_binding} is not to be had; bind the launcher, whose ranks inherit it: "
            f"numactl --cpunodebind=0 distrt-launch ..."
        )
    if given.event_log_handler not in ("null", "console"):
        raise ValueError(
            f"--event-log-handler {given.event_log_handler}: expected null or console; "
            f"events.jsonl in the run directory has all events in any case"
        )
    if given.max_restarts < 0:
        raise ValueError(f"--max-restarts must be 0 or more, got {given.max_restarts}")
    if not given.monitor_interval > 0:
        raise ValueError(f"--monitor-interval must be more than 0 seconds, got {given.monitor_interval}")
    if given.hang_timeout is not None and not given.hang_timeout > 0:
        raise ValueError(f"--hang-timeout must be more than 0 seconds, got {given.hang_timeout}")
    if given.log_cap_mib < 1:
        raise ValueError(f"--log-cap-mib must be at least 1, got {given.log_cap_mib}")
    if given.no_python and given.module and not given.run_path:
        raise ValueError("--no-python runs a program, and --module a module of Python: give one of them")
    if given.run_path and given.start_method != "spawn":
        raise ValueError(
            f"--start-method {given.start_method}: ranks are new interpreters, since a forked launcher is none of "
            f"the script's; leave it out"
        )


def _target(given: argparse.Namespace) -> Target:
    kinds = (("path", given.run_path), ("program", given.no_python), ("module", given.module))
    kind = next((kind for kind, is_chosen in kinds if is_chosen), "script")
    return Target(kind, given.script, tuple(given.arguments))


def _hosts(given: argparse.Namespace) -> tuple[Host, ...]:
    if not given.hosts:
        return ()
    if given.standalone or given.nnodes != "1:1" or given.rdzv_endpoint or given.rdzv_backend != "static":
        raise ValueError(
            "--hosts says which machines there are, and the launchers that it starts find one another: leave out "
            "--nnodes, --standalone and --rdzv-*"
        )
    return read_hosts(given.hosts, given.nproc_per_node)


def _local_size(text: str) -> int:
    if text == "cpu":
        return usable_cores()
    if text == "auto":
        return visible_gpus() or usable_cores()
    if text == "gpu":
        if not visible_gpus():
            raise ValueError("--nproc-per-node gpu: no GPU is visible here; give a number or cpu")
        return visible_gpus()
    if text == "xpu":
        raise ValueError("--nproc-per-node xpu: Intel's GPUs are not known here; give a number or cpu")
    try:
        count = int(text)
    except ValueError:
        raise ValueError(f"--nproc-per-node takes a number, auto, cpu or gpu, got {text!r}") from None
    if count < 1:
        raise ValueError(f"--nproc-per-node must be at least 1, got {count}")
    return count


def _limits(timeout_s: float | None, variables: Mapping[str, str]) -> TimeLimits:
    name = "--shutdown-timeout"
    if timeout_s is None and (text := variables.get("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "")):
        name = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
        try:
            timeout_s = float(text)
        except ValueError:
            raise ValueError(f"{name}={text!r} is not a number of seconds") from None
    if timeout_s is None:
        return TimeLimits()
    if not timeout_s >= 0:
        raise ValueError(f"{name} must be 0 seconds or more, got {timeout_s}")
    return TimeLimits(timeout_s, timeout_s)


def _output(given: argparse.Namespace, variables: Mapping[str, str]) -> OutputPlan:
    has_own_prefix = bool(
        variables.get("TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE")
    )  # there is none for several ranks
    return OutputPlan(
        redirects=_stream_choice("--redirects", given.redirects),
        tee=_stream_choice("--tee", given.tee),
        shown_ranks=_ranks(given.local_ranks_filter),
        picked={
            STDOUT: _texts(given.duplicate_stdout_filters),
            STDERR: _texts(given.duplicate_stderr_filters),
        },
        cap_bytes=given.log_cap_mib << 20,
        fold="never" if has_own_prefix else given.fold,
    )


def _stream_choice(name: str, text: str) -> StreamChoice:
    try:
        return StreamChoice.read(text)
    except ValueError:
        raise ValueError(
            f"{name} {text}: expected 0 (none), 1 (stdout), 2 (stderr) or 3 (both), or by local rank, as in 0:3,1:2"
        ) from None


def _ranks(text: str) -> frozenset[int] | None:
    if not text:
        return None
    try:
        return frozenset(map(int, text.split(",")))
    except ValueError:
        raise ValueError(f"--local-ranks-filter {text}: expected numbers, as in 0,1,2") from None


def _texts(given: str | list[str]) -> tuple[str, ...]:
    """Split at single commas; a double one stands for itself, as in torchrun."""
    if isinstance(given, list):
        return tuple(given)
    return tuple(filter(None, (text.replace("\0", ",") for text in given.replace(",,", "\0").split(","))))


def _signals(text: str) -> str:
    try:
        return ",".join(number.name for number in read_signals(text))
    except ValueError as error:
        raise ValueError(f"--signals-to-handle {text}: {error}") from None
