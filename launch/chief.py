"""The chief: starts the launchers of ``--hosts`` by ssh, shows what they say, and ends them together."""

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from distrt.comm.environment import job_secret
from launch.command.arguments import Arguments
from launch.exit_codes import OK, UNREACHABLE
from launch.machines.addresses import any_port
from launch.machines.hosts import Host, launcher_command, mpiexec_command, ssh_command
from launch.ranks.processes import RankProcess
from launch.ranks.signals import SignalInbox, read_signals
from launch.ranks.streams import Stream
from launch.reports.lines import LineCutter
from launch.reports.output import Sink

__all__ = ["run_on_hosts"]

_SSH_FAILED = 255
_TOGETHER_S = (
    75.0  # how long the others may take when one has ended with a failure: longer than launchers wait
)
_END_S = 30.0  # how long a launcher has to end its ranks when its input has ended
_KILL_S = 2.0


def run_on_hosts(arguments: Arguments, sinks: tuple[Sink, Sink], say: Callable[[str], None]) -> int:
    """Run a launcher on each machine and return the job's exit code; with mpiexec this process becomes that."""
    if arguments.host_launcher == "mpiexec":
        return _become(mpiexec_command(arguments.hosts, arguments.words), arguments.is_dry_run, say)
    port = arguments.meeting.port or any_port()
    commands = [
        ssh_command(host, _launcher_command(arguments, number, port), os.environ, os.getcwd())
        for number, host in enumerate(arguments.hosts)
    ]
    if arguments.is_dry_run:
        print(*map(shlex.join, commands), sep="\n")
        return OK
    secret, launchers = (job_secret() or os.urandom(32)).hex(), []
    inbox = SignalInbox(read_signals(arguments.signals))
    try:
        for number, command in enumerate(commands):
            launchers.append(_Launcher(number, command, secret))
    except OSError as error:
        say(f"ssh cannot be started: {error.strerror}")
        return UNREACHABLE
    return _Chief(arguments.hosts, launchers, sinks, inbox, say).run()


def _launcher_command(arguments: Arguments, number: int, port: int) -> list[str]:
    before, after = arguments.words
    return launcher_command(arguments.hosts, number, ((*before, "--end-with-stdin"), after), port)


def _become(command: list[str], is_dry_run: bool, say: Callable[[str], None]) -> int:
    if is_dry_run:
        print(shlex.join(command))
        return OK
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1, signal.SIGUSR2))  # which this launcher held
    try:
        os.execvp(command[0], command)
    except OSError as error:
        say(f"{command[0]} cannot be started: {error.strerror}")
        return UNREACHABLE


class _Launcher:
    """One machine's launcher, as the ssh that leads to it."""

    def __init__(self, number: int, command: Sequence[str], secret: str) -> None:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr, "all three are pipes"
        self.output, self.errors = os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno())
        process.stdout.close()
        process.stderr.close()
        self._input = process.stdin
        with contextlib.suppress(OSError):  # it has ended already, and its exit code says why
            self._input.write(f"{secret}\n".encode())
            self._input.flush()
        self.process = RankProcess(number, process, None, None)

    def tell_to_end(self) -> None:
        """End its input, upon which it ends its ranks."""
        with contextlib.suppress(OSError):
            self._input.close()


class _Chief:
    def __init__(
        self,
        hosts: Sequence[Host],
        launchers: Sequence[_Launcher],
        sinks: tuple[Sink, Sink],
        inbox: SignalInbox,
        say: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._alive = list(launchers)
        self._sinks = sinks
        self._inbox = inbox
        self._say = say
        self._exit_code = OK
        self._tell_at = self._kill_at = float("inf")
        self._has_told = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox, selectors.EVENT_READ, self._on_signal)
        self._streams: list[Stream] = []
        for launcher in launchers:
            for fd, sink in zip((launcher.output, launcher.errors), sinks, strict=True):
                os.set_blocking(fd, False)
                self._streams.append(Stream(fd, LineCutter(b""), sink))
                self._selector.register(fd, selectors.EVENT_READ, self._streams[-1])
            if launcher.process.pidfd is not None:
                self._selector.register(launcher.process.pidfd, selectors.EVENT_READ, lambda: None)

    def run(self) -> int:
        """Wait for all launchers; when one fails, the others have a while to say why."""
        while self._alive:
            for key, _ in self._selector.select(0.1):
                if isinstance(key.data, Stream):
                    self._read(key.data)
                else:
                    key.data()
            for launcher in [each for each in self._alive if each.process.is_dead()]:
                self._on_end(launcher)
            self._look_at_the_clock()
        for stream in list(self._streams):
            while stream in self._streams and self._read(stream):
                pass
        self._selector.close()
        return self._exit_code

    def _read(self, stream: Stream) -> bool:
        may_have_more = stream.read()
        if may_have_more is None:
            self._selector.unregister(stream.fd)
            self._streams.remove(stream)
            stream.close()
        for sink in self._sinks:
            sink.drain()
        return bool(may_have_more)

    def _on_end(self, launcher: _Launcher) -> None:
        self._alive.remove(launcher)
        if launcher.process.pidfd is not None:
            self._selector.unregister(launcher.process.pidfd)
        ending = launcher.process.reap()
        launcher.tell_to_end()
        if not ending.is_failure:
            return
        is_lost = ending.returncode < 0 or ending.returncode == _SSH_FAILED
        if is_lost and not self._has_told:
            host = self._hosts[launcher.process.rank].name
            self._say(f"no launcher on {host}, or none any more: ssh has ended with {ending}")
        self._exit_code = self._exit_code or (UNREACHABLE if is_lost else ending.exit_code)
        self._tell_at = min(self._tell_at, time.monotonic() + (0.0 if is_lost else _TOGETHER_S))

    def _on_signal(self) -> None:
        for number in filter(self._inbox.ends_job, self._inbox.take()):
            if self._exit_code == 128 + number:
                self._kill_at = time.monotonic()
            self._exit_code = 128 + number
            self._tell_at = time.monotonic()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at, self._kill_at = float("inf"), min(self._kill_at, now + _END_S)
            self._has_told = True
            for launcher in self._alive:
                launcher.tell_to_end()
        if now >= self._kill_at:
            self._kill_at = now + _KILL_S
            for launcher in self._alive:
                launcher.process.send_to_group(signal.SIGKILL)
