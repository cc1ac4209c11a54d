"""A store in a process of its own, a job that uses it meanwhile, and what strangers say: for ``test_store_*``."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from distrt.comm.stores import wire
from distrt.comm.stores.client import Store
from tests.multiprocess.conftest import ROOT

SECRET = bytes(range(32))
HANDSHAKE_S = 1.0
SLOW_S = 5.0  # an answer that takes longer on a machine with other work counts as none
LENGTH = struct.Struct(">I")

_PROGRAM = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: a test run that is killed leaves no host
from distrt.comm.stores.server import StoreServer
secret = bytes.fromhex(os.environ["DISTRT_JOB_SECRET"])
server = StoreServer(secret=secret, handshake_timeout_s=float(sys.argv[1]))
print(server.port, flush=True)
sys.stdin.read()
server.close()
"""


class Host:
    """The process that serves the store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.pid, self._process = process.pid, process
        self.port = int(process.stdout.readline())

    def member(self, rank: int | None = None, **options: object) -> Store:
        return Store("127.0.0.1", self.port, rank=rank, **{"secret": SECRET, "timeout_s": 20.0, **options})

    def stranger(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def is_alive(self) -> bool:
        return self._process.poll() is None


@contextlib.contextmanager
def hosting(handshake_s: float = HANDSHAKE_S) -> Iterator[Host]:
    """A store's process; it must end well, and say nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(handshake_s)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DISTRT_JOB_SECRET": SECRET.hex()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Host(process)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Worker(threading.Thread):
    """A member that sets, gets and counts without pause, and checks every answer."""

    def __init__(self, host: Host) -> None:
        super().__init__(daemon=True)
        self.rounds, self.slowest_s = 0, 0.0
        self.error: BaseException | None = None
        self.is_over = False
        self._store = host.member()
        self._store.delete_key("job/count")

    def run(self) -> None:
        try:
            while not self.is_over:
                started = time.monotonic()
                self.rounds += 1
                value = b"%d" % self.rounds
                self._store.set("job/value", value)
                assert self._store.get("job/value") == value
                assert self._store.add("job/count", 1) == self.rounds
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                time.sleep(0.001)
        except BaseException as error:
            self.error = error
        finally:
            self._store.close()


@contextlib.contextmanager
def at_work(host: Host, growth_bytes: int = 32 << 20) -> Iterator[Worker]:
    """A job at work on ``host``: it gets the right answers, and ``host`` is as before when it has left."""
    worker, rss, descriptors = Worker(host), host.resident_bytes(), host.descriptors()
    worker.start()
    try:
        yield worker
    finally:
        worker.is_over = True
        worker.join(30)
    assert worker.error is None, worker.error
    assert host.is_alive() and host.resident_bytes() - rss < growth_bytes
    wait_until(lambda: host.descriptors() < descriptors)  # the worker, too, has left


@contextlib.contextmanager
def going_on(host: Host, growth_bytes: int = 32 << 20) -> Iterator[Worker]:
    """`at_work`: what happens meanwhile must not hold the job up or change a key, either."""
    with host.member() as before:
        before.set("kept", bytes(range(256)))
    with at_work(host, growth_bytes) as worker:
        yield worker
        rounds = worker.rounds
        wait_until(lambda: worker.rounds > rounds + 2 or worker.error is not None)
        with host.member() as after:
            assert after.get("kept") == bytes(range(256))
            assert set(after.list_keys()) == {"kept", "job/value", "job/count"}
    assert worker.slowest_s < SLOW_S


def wait_until(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached in time"
        time.sleep(0.005)


def is_cut(connection: socket.socket, timeout_s: float = 10.0) -> bool:
    """Whether the server hangs up within ``timeout_s``, whatever it says before."""
    connection.settimeout(timeout_s)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def frame(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def sealed(member: Store, body: bytes) -> bytes:
    """A member's next frame, with a text that its own client would never send."""
    assert member._seal is not None
    mark = member._seal.next(body)
    return LENGTH.pack(len(mark) + len(body)) + mark + body


def introduce(connection: socket.socket, nonce: object = "n", rank: object = 0) -> wire.Message:
    """Say hello as a stranger can; returns the server's challenge."""
    connection.sendall(wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": nonce, "rank": rank}))
    return wire.receive(connection, wire.FrameReader())
