"""``distrt-launch``: from the command line to the exit code."""

import contextlib
import os
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distrt.comm.stores.client import StoreServer
from launch import exit_codes
from launch.arguments import Arguments, missing_target, parse_arguments
from launch.guard import Guard, remove_shared_memory
from launch.job import Job, choose_threads, rank_environment
from launch.machine import usable_cores
from launch.output import Sink, open_sinks
from launch.processes import RankProcess, adopt_orphans, process_start_time, start_rank
from launch.run_directory import create_run_directory, new_run_id, write_json
from launch.summary import Report, report
from launch.supervisor import SignalInbox, Supervisor

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job and return its exit code (``distrt-launch --help`` lists them)."""
    arguments = parse_arguments(argv)
    if (problem := missing_target(arguments.kind, arguments.target)) is not None:
        return _complain(problem, exit_codes.NO_SCRIPT)
    run_id = new_run_id()
    try:
        run_dir, note = create_run_directory(arguments.run_dir_base, run_id)
    except OSError as error:
        place = arguments.run_dir_base
        reason = f"no run directory can be made in {place} ({error.strerror}); choose another --run-dir"
        return _complain(reason, exit_codes.CANNOT_WRITE)
    sinks = open_sinks()
    inbox = SignalInbox()
    guard = Guard(run_id)  # it forks, so it comes before the store's thread
    try:
        verdict = _run(arguments, run_id, run_dir, note, _Hands(sinks, inbox, guard))
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


@dataclass(frozen=True)
class _Hands:
    """What a run works with."""

    sinks: tuple[Sink, Sink]
    inbox: SignalInbox
    guard: Guard


def _run(arguments: Arguments, run_id: str, run_dir: Path, note: str | None, hands: _Hands) -> Report:
    secret = os.urandom(32)
    try:
        server = StoreServer(arguments.master_addr, arguments.master_port, secret=secret)
    except OSError as error:
        text = (
            f"distrt-launch: the store cannot listen on {arguments.master_addr}:{arguments.master_port}: "
            f"{error.strerror or error}; choose another --master-port, or 0 for any free one\n"
        )
        return Report(text, exit_codes.UNREACHABLE, {})
    job = _job(arguments, run_id, run_dir, server, secret)
    _say(_headline(job, note))
    try:
        ranks = _start_ranks(job, hands.guard)
        outcome = Supervisor(
            ranks,
            hands.sinks,
            hands.inbox,
            arguments.limits,
            on_end=lambda rank, ending: server.rank_ended(rank, str(ending)),
        ).run()
        verdict = report(
            outcome, {process.rank: process.pid for process in ranks}, server.joined_ranks(), run_dir
        )
    finally:
        server.close()
    with contextlib.suppress(OSError):  # a full disk must not hide the verdict itself
        write_json(run_dir / "result.json", verdict.result)
    return verdict


def _job(arguments: Arguments, run_id: str, run_dir: Path, server: StoreServer, secret: bytes) -> Job:
    return Job(
        kind=arguments.kind,
        target=arguments.target,
        arguments=arguments.target_arguments,
        world_size=arguments.world_size,
        threads=choose_threads(usable_cores(), arguments.world_size, os.environ),
        run_id=run_id,
        run_dir=run_dir,
        store_host=server.host,
        store_port=server.port,
        secret=secret.hex(),
    )


def _start_ranks(job: Job, guard: Guard) -> list[RankProcess]:
    """Start every rank; none runs a line of the user's before all are recorded."""
    gate_read, gate_write = os.pipe()
    ranks: list[RankProcess] = []
    try:
        for rank in range(job.world_size):
            environment = rank_environment(job, rank, os.environ)
            ranks.append(start_rank(job, rank, environment, gate_read, is_piped=job.world_size > 1))
            guard.record(ranks[-1])
        adopt_orphans()
        write_json(job.run_dir / "procs.json", _processes(job, ranks, guard))
        os.write(gate_write, b"g" * job.world_size)
    except BaseException:
        for process in ranks:
            process.send_to_group(signal.SIGKILL)
            process.reap()
        raise
    finally:
        os.close(gate_read)
        os.close(gate_write)
    return ranks


def _processes(job: Job, ranks: list[RankProcess], guard: Guard) -> dict[str, object]:
    return {
        "launcher": {"pid": os.getpid(), "start_time": process_start_time(os.getpid())},
        "guard": {"pid": guard.pid},
        "ranks": [{"rank": it.rank, "pid": it.pid, "start_time": it.start_time} for it in ranks],
        "command": [job.kind, job.target, *job.arguments],
    }


def _headline(job: Job, note: str | None) -> str:
    ranks = "1 rank" if job.world_size == 1 else f"{job.world_size} ranks"
    threads = "1 thread" if job.threads == 1 else f"{job.threads} threads"
    where = f"run directory {_short(job.run_dir)}"
    return f"{ranks}, {threads} each, {where}" + (f"; {note}" if note else "")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _complain(problem: str, exit_code: int) -> int:
    _say(problem)
    return exit_code


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"distrt-launch: {text}\n".encode(errors="backslashreplace"))
