"""Strangers at the store's port, while a job uses it: they change nothing, and the job does not notice."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import ssl
import threading
import time

import pytest

from distrt.comm.stores import wire
from distrt.comm.stores.client import Store
from distrt.comm.stores.door import MAX_STRANGERS
from distrt.core.errors import AuthenticationError, RendezvousError
from tests.multiprocess.store_host import (
    HANDSHAKE_S,
    LENGTH,
    SECRET,
    Host,
    frame,
    going_on,
    hosting,
    introduce,
    is_cut,
    wait_until,
)


@pytest.fixture(scope="module")
def host():
    with hosting() as found:
        yield found


def tls_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def hello(**changes: object) -> bytes:
    return wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n", "rank": 0, **changes})


SAYINGS = {
    "random": random.Random(1).randbytes(1 << 16),
    "zeros": bytes(1 << 16),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": tls_hello(),
    "4 GB": LENGTH.pack(0xFFFFFFFF) + bytes(1 << 16),
    "2 GB": LENGTH.pack(0x80000000),
    "just too long": LENGTH.pack(wire.MAX_HANDSHAKE_BYTES + 1),
    "nothing": frame(b""),
    "deep": frame(b"[" * 1000),
    "deep objects": frame(b'{"a":' * 200),
    "no utf-8": frame(b'{"protocol":"\xff\xfe\xc3"}'),
    "utf-16": frame('{"protocol":"x"}'.encode("utf-16")),
    "twice": frame(b'{"protocol":"%s","nonce":"a","nonce":"b"}' % wire.PROTOCOL.encode()),
    "not a number": frame(b'{"protocol":"%s","nonce":"a","rank":NaN}' % wire.PROTOCOL.encode()),
    "a huge number": frame(b'{"nonce":"a","rank":%s}' % (b"9" * 900)),
    "rank -1": hello(rank=-1),
    "a huge rank": hello(rank=1 << 40),
    "rank 0.5": hello(rank=0.5),
    "rank true": hello(rank=True),
    "rank x": hello(rank="x"),
    "a nonce that is no text": hello(nonce=[1]),
    "another protocol": hello(protocol="distrt-store/1"),
    "a request": wire.encode_frame({"op": "set", "key": "kept", "value": ""}),
    "a proof first": wire.encode_frame({"proof": "00" * 32}),
    "hello, a request": hello() + wire.encode_frame({"op": "set", "key": "kept", "value": ""}),
    "hello twice": hello() + hello(),
    "hello, no proof": hello() + wire.encode_frame({"proof": None}),
    "hello, half a surrogate": hello() + frame(b'{"proof":"\\ud800"}'),
    "hello, 4 GB": hello() + LENGTH.pack(0xFFFFFFFF),
}


def test_whatever_a_stranger_says_ends_its_connection_only(host: Host) -> None:
    with going_on(host):
        for name, saying in SAYINGS.items():
            for part in (saying, saying[: len(saying) // 2]):
                with host.stranger() as stranger:
                    with contextlib.suppress(ConnectionError):  # cut off while it speaks
                        stranger.sendall(part)
                    if part is saying:
                        assert is_cut(stranger), name


def test_a_proof_under_another_secret_and_one_reflected_are_refused(host: Host) -> None:
    with going_on(host):
        with pytest.raises(AuthenticationError, match="does not hold this job's secret"):
            host.member(secret=b"another")
        for rank in (None, 0):
            with host.stranger() as stranger:
                challenge = introduce(stranger, rank=rank)
                for proof in (challenge["proof"], wire.prove(b"", "client", "n", challenge["nonce"], rank)):
                    with contextlib.suppress(ConnectionError):
                        stranger.sendall(wire.encode_frame({"proof": proof}))
                assert is_cut(stranger)


@pytest.mark.ci
def test_who_says_nothing_or_a_byte_now_and_then_is_cut_off_in_time(host: Host) -> None:
    with going_on(host):
        started = time.monotonic()
        silent = [host.stranger() for _ in range(30)]
        slow = [host.stranger() for _ in range(30)]
        half = [host.stranger() for _ in range(30)]
        for stranger in half:
            introduce(stranger)  # and no proof ever
        for byte in hello():
            for stranger in slow:
                with contextlib.suppress(ConnectionError):
                    stranger.send(bytes([byte]))
            time.sleep(0.1)
            if time.monotonic() - started > 2 * HANDSHAKE_S:
                break
        assert all(is_cut(stranger, 0.5) for stranger in (*silent, *slow, *half))
        assert time.monotonic() - started < HANDSHAKE_S + 10
        for stranger in (*silent, *slow, *half):
            stranger.close()


@pytest.mark.ci
def test_a_thousand_connections_keep_no_member_out(host: Host) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    strangers: list[socket.socket] = []
    try:
        with going_on(host):
            before = host.descriptors()
            for _ in range(1000):
                stranger = socket.socket()
                stranger.setblocking(False)
                stranger.connect_ex(("127.0.0.1", host.port))
                strangers.append(stranger)
            wait_until(lambda: host.descriptors() > before + MAX_STRANGERS // 2)
            assert host.descriptors() <= before + MAX_STRANGERS
            with host.member(timeout_s=30.0) as member:
                assert member.get("kept") == bytes(range(256))
            assert host.descriptors() <= before + MAX_STRANGERS + 1
            for stranger in strangers:
                stranger.close()
    finally:
        for stranger in strangers:
            stranger.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Wiretap:
    """Stands between a member and the host: passes everything on, and keeps what the member said."""

    def __init__(self, host: Host) -> None:
        self.said = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._host = host
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self.inside, _ = self._listener.accept()
        self.outside = self._host.stranger()
        back = threading.Thread(target=self._pass_back, daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while data := self.inside.recv(1 << 16):
                self.said += data
                self.outside.sendall(data)
        with contextlib.suppress(OSError):
            self.outside.shutdown(socket.SHUT_RDWR)
        back.join(10)

    def _pass_back(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.outside.recv(1 << 16):
                self.inside.sendall(data)
        with contextlib.suppress(OSError):
            self.inside.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        for end in (self.inside, self.outside):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._thread.join(10)


def test_a_recorded_conversation_counts_once(host: Host) -> None:
    with going_on(host):
        tap = Wiretap(host)
        with Store("127.0.0.1", tap.port, rank=7, secret=SECRET, timeout_s=10) as member:
            assert member.add("recorded", 1) == 1
        tap.close()
        for pause_s in (0.0, 0.05):  # all at once, and frame by frame as an answer would come
            with host.stranger() as stranger:
                size = LENGTH.unpack_from(tap.said)[0] + LENGTH.size
                stranger.sendall(tap.said[:size])
                time.sleep(pause_s)
                with contextlib.suppress(ConnectionError):
                    stranger.sendall(tap.said[size:])
                assert is_cut(stranger)
        with host.member() as member:
            assert member.add("recorded", 0) == 1
            member.delete_key("recorded")


def test_a_frame_that_is_sent_twice_or_altered_on_the_way_is_refused(host: Host) -> None:
    with going_on(host):
        for change in (
            lambda last: last,
            lambda last: last.replace(b'"amount":1', b'"amount":9'),
            lambda last: wire.encode_frame({"op": "add", "key": "sealed", "amount": 1}),
        ):
            tap = Wiretap(host)
            member = Store("127.0.0.1", tap.port, rank=7, secret=SECRET, timeout_s=10)
            start = len(tap.said)
            member.add("sealed", 1)
            tap.outside.sendall(change(tap.said[start:]))
            with pytest.raises(RendezvousError):
                # The answer to what was injected may be taken for the next one's, but for its seal.
                for _ in range(100):
                    member.num_keys()
                    time.sleep(0.01)
            member.close()
            tap.close()
            with host.member() as other:
                assert other.add("sealed", 0) == 1
                other.delete_key("sealed")


def test_a_host_without_free_descriptors_goes_on_serving_its_members() -> None:
    with hosting() as host, going_on(host):
        limit = host.descriptors() + 5
        resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (limit, limit))
        strangers = [host.stranger() for _ in range(40)]
        wait_until(lambda: host.descriptors() >= limit - 1)
        ticks = cpu_ticks(host.pid)
        time.sleep(0.5)
        assert cpu_ticks(host.pid) - ticks < 0.45 * os.sysconf("SC_CLK_TCK")  # it does not spin at the door
        for stranger in strangers:
            stranger.close()
        host.member(timeout_s=20).close()


def cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


JOB = """
import os, sys, time
from distrt.comm.environment import read_environment
from distrt.comm.stores.client import connect_store
place, rounds = read_environment(), 0
with connect_store(place, 20) as store:
    if place.rank == 0:
        print(os.environ["DISTRT_STORE_ADDR"], os.environ["DISTRT_JOB_SECRET"], flush=True)
    while True:
        rounds += 1
        if place.rank == 0:
            store.set(f"round {rounds}", b"end" if os.path.exists(sys.argv[1]) else b"on")
        word = store.get(f"round {rounds}", 20, ranks=[0])
        assert store.add(f"met {rounds}", 1) <= 2
        if word == b"end":
            break
        if rounds == 50 and place.rank == 0:
            print("on and on", flush=True)
        time.sleep(0.001)
    names = {key.split()[0] for key in store.list_keys()}
    assert rounds > 50 and names == {"round", "met"}, (rounds, names)
"""


def test_strangers_at_a_launchers_store_do_not_disturb_its_job(start_job, tmp_path) -> None:
    stop = tmp_path / "stop"
    job = start_job(JOB, args=[str(stop)])
    place = read_line(job.process.stdout).split()
    address, secret = place[-2].partition(b":"), place[-1].decode()
    strangers = []
    try:
        for saying in (*SAYINGS.values(), *SAYINGS.values()):
            strangers.append(socket.create_connection((address[0].decode(), int(address[2])), timeout=10))
            with contextlib.suppress(ConnectionError):
                strangers[-1].sendall(saying)
        with pytest.raises(AuthenticationError):
            Store(address[0].decode(), int(address[2]), rank=0, secret=b"x", timeout_s=10)
        strangers += [
            socket.create_connection((address[0].decode(), int(address[2])), timeout=10) for _ in range(200)
        ]
        assert read_line(job.process.stdout).endswith(b"on and on\n")
        lines = job.pids().values()
        assert lines and not [line for line in lines if secret in line]
        run_dir = job.run_dir()
        assert run_dir is not None
        # But for the rank's own output, since it has printed the secret for this test.
        files = [path for path in run_dir.rglob("*") if path.is_file() and path.name != "stdout.log"]
        assert files and not [path for path in files if secret in path.read_text()]
    finally:
        stop.touch()
        run = job.finish()
        for stranger in strangers:
            stranger.close()
    assert run.exit_code == 0 and not run.stderr.count("Error"), run


def read_line(pipe) -> bytes:
    """A line, of which a pipe's buffer may take no more: the job's end is read by somebody else."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(pipe.fileno(), 1)
        assert byte, line
        line += byte
    return line


def test_only_the_given_interface_is_bound(host: Host) -> None:
    port = f"{host.port:04X}"
    with open("/proc/net/tcp") as file4:
        bound = [
            line.split()[1]
            for line in file4
            if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"
        ]
    assert bound == [f"0100007F:{port}"]


def test_the_secret_is_on_no_command_line_and_in_no_text(host: Host) -> None:
    secret = SECRET.hex()
    with open(f"/proc/{host.pid}/cmdline") as file:
        assert secret not in file.read()
    with host.member(3) as member:
        texts = [repr(member), str(vars(member))]
        with pytest.raises(RendezvousError) as late:
            member.wait(["none"], 0.01)
        texts.append(repr(late.value))
    for action in (lambda: host.member(3, secret=SECRET[:-1]), member.num_keys):
        with pytest.raises(RendezvousError) as refused:
            action()
        texts.append(repr(refused.value))
    assert not [text for text in texts if secret in text or repr(SECRET) in text]
