"""``distrt-launch``: from the command line to the exit code."""

import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch import exit_codes
from launch.attempts import Attempts, Hands, Meeting
from launch.command.arguments import Arguments, missing_target, parse_arguments
from launch.job import Job, World, choose_threads
from launch.machine import usable_cores
from launch.machines.meeting_place import MeetingError
from launch.machines.one_machine import OneMachine
from launch.ranks.guard import Guard, remove_shared_memory
from launch.ranks.processes import StartError, must_be_startable
from launch.ranks.signals import SignalInbox, hang_up_with, read_signals
from launch.reports.events import EventLog
from launch.reports.output import Sink, open_missing_files, open_sinks, say
from launch.reports.run_directory import RunDirectoryError, create_run_directory, new_run_id, write_json
from launch.summary import Report

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job and return its exit code (``distrt-launch --help`` lists them)."""
    open_missing_files()
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        exit_code = _other_command(argv)
        if sys.stdout is not None:  # which nobody has given us
            sys.stdout.flush()
    except BrokenPipeError:  # who reads it, as in `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    if exit_code is not None:
        return exit_code
    arguments = parse_arguments(argv)
    if arguments.hosts:
        return _run_on_hosts(arguments)
    if (problem := missing_target(arguments.target)) is not None:
        return _complain(problem, exit_codes.NO_SCRIPT)
    run_id = new_run_id()
    if arguments.is_dry_run:
        return _show(arguments, run_id)
    os.environ.update(arguments.variables)
    sinks = open_sinks()
    if arguments.ends_with_stdin:  # also where who started this one is under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    inbox = SignalInbox(read_signals(arguments.signals))
    try:
        with must_be_startable("the guard of the ranks"):
            guard = Guard(run_id)  # it forks, so it comes before the store's thread
    except StartError as error:
        return _complain(str(error), exit_codes.INTERNAL)
    if arguments.ends_with_stdin:
        _live_with_stdin()
    try:
        verdict = _run(arguments, run_id, _Tools(sinks, inbox, guard))
    except Exception:
        verdict = Report(f"distrt-launch: internal error\n{traceback.format_exc()}", exit_codes.INTERNAL, {})
    finally:
        inbox.close()
        remove_shared_memory(run_id)
        guard.dismiss()
    sinks[0].drain()
    sinks[1].write(verdict.text.encode(errors="backslashreplace"))
    sinks[1].drain()
    return verdict.exit_code


def _other_command(argv: list[str]) -> int | None:
    """Do what is no job, and return its exit code; None where it is a job, which needs none of these modules."""
    if argv == ["doctor"] and not os.path.exists("doctor"):
        from launch.command.doctor import doctor

        return doctor()
    if argv[:1] == ["top"] and not os.path.exists("top"):
        from launch.command.top import top

        return top(argv[1:])
    if argv[:1] == ["report"] and not os.path.exists("report"):
        from launch.command.report import report

        return report(argv[1:])
    if argv[:1] == ["trace"] and not os.path.exists("trace"):
        from launch.command.trace import trace

        return trace(argv[1:])
    if argv[:1] == ["submit"] and not os.path.exists("submit"):
        from launch.submission.command import submit

        return submit(argv[1:])
    if argv[:1] == ["--print-completion"]:
        from launch.command.completion import SHELLS, completion

        if len(argv) != 2 or argv[1] not in SHELLS:
            return _complain(f"--print-completion: expected one of {', '.join(SHELLS)}", exit_codes.USAGE)
        print(completion(argv[1]), end="")
        return exit_codes.OK
    return None


def _live_with_stdin() -> None:
    """Take the secret from standard input, and see to it that its end is ours; the ranks read nothing from it."""
    secret = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        secret += byte
    os.environ["DISTRT_JOB_SECRET"] = secret.decode(errors="replace")
    hang_up_with(os.dup(0))
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)


def _run_on_hosts(arguments: Arguments) -> int:
    from launch.chief import run_on_hosts  # most jobs are on one machine

    return run_on_hosts(arguments, open_sinks(), say)


@dataclass(frozen=True)
class _Tools:
    """What is there before the run directory is."""

    sinks: tuple[Sink, Sink]
    inbox: SignalInbox
    guard: Guard


def _run(arguments: Arguments, run_id: str, tools: _Tools) -> Report:
    try:
        meeting = _meeting(arguments, tools)
    except MeetingError as error:
        return Report(f"distrt-launch: {error}\n", error.exit_code, {})
    try:
        return _run_with(meeting, arguments, run_id, tools)
    except MeetingError as error:
        return Report(f"distrt-launch: {error}\n", error.exit_code, {})
    except RunDirectoryError as error:
        return Report(f"distrt-launch: {error}\n", exit_codes.CANNOT_WRITE, {})
    except StartError as error:
        return Report(f"distrt-launch: {error}\n", exit_codes.INTERNAL, {})
    finally:
        meeting.close()
        meeting.leave()


def _meeting(arguments: Arguments, tools: _Tools) -> Meeting:
    place = arguments.meeting
    if place.is_one_machine:
        return OneMachine(place, arguments.local_size)
    from launch.machines.several_machines import SeveralMachines  # most jobs are on one

    if not place.host:
        from launch.machines.process_manager import agree_on_place

        place = agree_on_place(place)
    says_verdict = not arguments.ends_with_stdin or place.node_rank == 0  # several would be shown together
    return SeveralMachines(place, arguments.local_size, tools.inbox.wait, say, says_verdict)


def _run_with(meeting: Meeting, arguments: Arguments, run_id: str, tools: _Tools) -> Report:
    run_id, name = meeting.agree(run_id)
    run_dir, note = create_run_directory(arguments.run_dir_base, name)
    if note is not None:
        say(note)
    job = _job(arguments, run_id, run_dir)
    events = EventLog(run_dir, arguments.shows_events)
    events.record("job_began", command=sys.orig_argv, folder=os.getcwd(), host=socket.gethostname())
    hands = Hands(tools.sinks, tools.inbox, tools.guard, events, say)
    attempts = Attempts(job, meeting, hands, arguments.output, arguments.limits)
    verdict = attempts.run()
    result = {**verdict.result, "restarts": max(0, len(attempts.results) - 1), "attempts": attempts.results}
    with contextlib.suppress(OSError):  # a full disk must not hide the verdict itself
        write_json(run_dir / "result.json", result)
    return verdict


def _job(arguments: Arguments, run_id: str, run_dir: Path) -> Job:
    return Job(
        target=arguments.target,
        local_size=arguments.local_size,
        threads=choose_threads(usable_cores(), arguments.local_size, os.environ),
        run_id=run_id,
        run_dir=run_dir,
        user_id=arguments.user_id,
        role=arguments.role,
        max_restarts=arguments.max_restarts,
        signals=arguments.signals,
        has_virtual_local_rank=arguments.has_virtual_local_rank,
        hang_timeout_s=arguments.hang_timeout_s,
    )


def _show(arguments: Arguments, run_id: str) -> int:
    """Show what would be started; several machines are taken to have as many ranks as this one."""
    from launch.command.dry_run import describe

    meeting, size = arguments.meeting, arguments.local_size
    number = meeting.node_rank or 0
    world = World(
        0,
        number * size,
        meeting.max_nodes * size,
        number,
        meeting.max_nodes,
        meeting.host,
        meeting.port,
        secret="",
    )
    job = _job(arguments, run_id, Path(arguments.run_dir_base or "runs").absolute() / run_id)
    print(describe(job, world, os.environ, arguments.variables), end="")
    return exit_codes.OK


def _complain(problem: str, exit_code: int) -> int:
    say(problem)
    return exit_code
