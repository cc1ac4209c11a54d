"""Members of a job that send rubbish, do not read, or are killed: the store goes on for the others."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from distrt.comm.stores import wire
from distrt.comm.stores.client import Store
from distrt.comm.stores.memory import HashStore
from distrt.core.errors import AuthenticationError, DistNetworkError, DistStoreError
from tests.multiprocess.conftest import ROOT
from tests.multiprocess.store_host import (
    LENGTH,
    SECRET,
    Host,
    Worker,
    at_work,
    going_on,
    hosting,
    introduce,
    is_cut,
    sealed,
    wait_until,
)


@pytest.fixture(scope="module")
def host():
    with hosting() as found:
        yield found


def wait_for(keys: str, timeout_s: str = "0.01", ranks: str = "[]", value: str = "false") -> bytes:
    return f'{{"op":"wait","keys":{keys},"ranks":{ranks},"timeout_s":{timeout_s},"wants_value":{value}}}'.encode()


MANY = "[" + ",".join(f'"{number}"' for number in range(100_000)) + "]"
REFUSED = {
    "nothing": b"{}",
    "an operation that is none": b'{"op":"pickle"}',
    "an operation that is a list": b'{"op":["set"]}',
    "a long operation": b'{"op":"%s"}' % (b"\x7f\xc2\x80" * 300_000),
    "a key that is a number": b'{"op":"set","key":1,"value":""}',
    "no value": b'{"op":"set","key":"kept"}',
    "a value that is a number": b'{"op":"set","key":"kept","value":0}',
    "a value that is not base64": b'{"op":"set","key":"kept","value":"*"}',
    "an infinite amount": b'{"op":"add","key":"kept","amount":1e999}',
    "half an amount": b'{"op":"add","key":"n","amount":0.5}',
    "a huge amount": b'{"op":"add","key":"n","amount":9223372036854775808}',
    "an amount that is a text": b'{"op":"add","key":"n","amount":"1"}',
    "adding to what is no number": b'{"op":"add","key":"kept","amount":1}',
    "appending too much": b'{"op":"append","key":"kept"}\n' + bytes(wire.MAX_VALUE_BYTES),
    "keys that are a text": b'{"op":"check","keys":"kept"}',
    "a negative start": b'{"op":"list_keys","start":-1}',
    "a value of no key": wait_for("[]", value="true"),
    "a value of two keys": wait_for('["a","b"]', value="true"),
    "a key that is null": wait_for("[null]"),
    "ranks that are texts": wait_for('["a"]', ranks='["0"]'),
    "no end": wait_for('["a"]', "1e999"),
    "a huge end": wait_for('["a"]', "9" * 400),
    "an end that is a text": wait_for('["a"]', '"1"'),
    "nobody's key": wait_for('["a"]'),
    "a time-out before it began": wait_for('["a"]', "-1e308"),
    "very many keys": wait_for(MANY),
    "long keys": wait_for('["%s"]' % ("é" * 400_000)),
    "very many ranks": wait_for('["a"]', ranks=MANY.replace('"', "")),
}
CUT = {
    "no JSON": b"no JSON",
    "a list": b"[]",
    "deep": b"[" * 500_000,
    "deep objects": b'{"a":' * 150_000,
    "no utf-8": b'{"op":"\xff"}',
    "two values": b'{"op":"set","key":"kept","value":""}\nx',
    "a value that is too long": b'{"op":"set","key":"kept"}\n' + bytes(wire.MAX_VALUE_BYTES + 1),
    "a text that is too long": b'{"op":"set","key":"%s"}\nx' % (b"k" * wire.MAX_FRAME_BYTES),
    "twice": b'{"op":"set","key":"kept","key":"kept","value":""}',
    "not a number": b'{"op":"add","key":"n","amount":NaN}',
    "infinite": wait_for('["a"]', "Infinity"),
    "too many digits": b'{"op":"add","key":"n","amount":%s}' % (b"9" * 5000),
}


def test_a_request_that_cannot_be_carried_out_is_refused_and_the_next_one_answered(host: Host) -> None:
    with going_on(host, growth_bytes=64 << 20), host.member(5) as member:
        for name, body in REFUSED.items():
            assert member._connection is not None
            member._connection.sendall(sealed(member, body))
            answer = wire.receive(member._connection, member._reader, time.monotonic() + 10)
            assert "error" in answer and len(answer["text"]) < 3000, (name, answer)
            assert member.get("kept") == bytes(range(256)), name


def test_what_is_no_request_ends_the_members_connection_only(host: Host) -> None:
    with going_on(host, growth_bytes=64 << 20):
        for name, body in CUT.items():
            with host.member(5) as member:
                assert member._connection is not None
                member._connection.sendall(sealed(member, body))
                assert is_cut(member._connection), name
        for raw in (LENGTH.pack(0xFFFFFFFF), LENGTH.pack(0), LENGTH.pack(20) + bytes(20)):
            with host.member(5) as member:
                assert member._connection is not None
                member._connection.sendall(raw)
                assert is_cut(member._connection)


@pytest.mark.ci
def test_a_member_that_does_not_read_its_answers_is_not_read_from(host: Host) -> None:
    with host.member() as big:
        big.set("big", bytes(600_000))
    with going_on_with(host, "big") as worker, host.member(5) as member:
        connection = member._connection
        assert connection is not None
        connection.setblocking(False)
        body = b'{"op":"compare_set","key":"big","expected":"AA==","desired":""}'
        sent, started = 0, time.monotonic()
        requests = b"".join(sealed(member, body) for _ in range(20_000))  # the answers would have 16 GB
        while time.monotonic() < started + 2 and select.select([], [connection], [], 0.5)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += connection.send(requests[sent : sent + (1 << 20)])
        assert sent > 0
        rounds = worker.rounds
        wait_until(lambda: worker.rounds > rounds + 10 or worker.error is not None)


@contextlib.contextmanager
def going_on_with(host: Host, *keys: str):
    """A job at work as in ``going_on``, where ``keys`` are there besides, and go afterwards."""
    worker, rss = Worker(host), host.resident_bytes()
    worker.start()
    try:
        yield worker
        assert host.resident_bytes() - rss < 48 << 20
    finally:
        worker.is_over = True
        worker.join(30)
        with host.member() as member:
            for key in keys:
                member.delete_key(key)
    assert worker.error is None, worker.error


def test_a_member_that_asks_on_while_it_waits_is_cut_off(host: Host) -> None:
    with going_on(host), host.member(5) as member:
        assert member._connection is not None
        member._connection.sendall(sealed(member, wait_for('["never"]', "100")) + sealed(member, GOOD[0]))
        assert is_cut(member._connection)
    with going_on(host), host.member(5) as member:
        assert member._connection is not None
        member._connection.sendall(sealed(member, wait_for('["never"]', "100")))
        time.sleep(0.2)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                member._connection.sendall(bytes(1 << 16))
        assert is_cut(member._connection)


VICTIM = """
import os, signal, sys, time
from distrt.comm.stores import wire
from distrt.comm.stores.client import Store
member = Store("127.0.0.1", int(sys.argv[1]), rank=9, secret=bytes.fromhex(os.environ["DISTRT_JOB_SECRET"]))
what = sys.argv[2]
if what in ("in a frame", "in a length"):
    frame = wire.encode_frame({"op": "set", "key": "torn", "value": "A" * 400_000}, member._seal)
    member._connection.sendall(frame[: len(frame) // 2 if what == "in a frame" else 3])
elif what == "in a wait":
    request = {"op": "wait", "keys": ["torn"], "ranks": [], "timeout_s": 600, "wants_value": True, "pops": True}
    member._connection.sendall(wire.encode_frame(request, member._seal))
elif what == "in an answer":
    member.set("large", bytes(700_000))
    for _ in range(8):
        member._connection.sendall(wire.encode_frame(
            {"op": "compare_set", "key": "large", "expected": "AA==", "desired": ""}, member._seal))
time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["in a frame", "in a length", "in a wait", "in an answer"])
def test_a_member_that_is_killed_leaves_nothing(host: Host, moment: str) -> None:
    with going_on(host):
        before = host.descriptors()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DISTRT_JOB_SECRET": SECRET.hex()}
        command = [sys.executable, "-c", VICTIM, str(host.port), moment]
        assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == -signal.SIGKILL
        wait_until(lambda: host.descriptors() == before)
        with host.member() as member:
            assert not member.check(["torn"])
            member.push("torn", b"x")  # nobody takes it any more
            assert member.queue_length("torn") == 1 and member.pop("torn") == b"x"
            assert member.delete_key("large") == (moment == "in an answer")


def test_a_wait_that_is_too_late_names_key_seconds_and_the_ranks_that_are_away(host: Host) -> None:
    with host.member(20) as member:
        host.member(21).close()
        with host.member(22), pytest.raises(DistStoreError) as error:
            member.wait(["a", "b"], 0.2, ranks=[21, 22, 23])
    assert str(error.value).endswith(
        "rank 20 waited 0.2 s for keys 'a', 'b' of ranks 21, 22, 23; "
        "rank 23 never connected to the store; rank 21 left the store"
    )


def test_a_time_out_of_any_length_is_taken(host: Host) -> None:
    with going_on(host), host.member() as member, host.member() as other:
        for timeout in (timedelta(days=30), timedelta(days=400), timedelta.max):
            timer = threading.Timer(0.05, lambda: other.set("at last", b"x"))
            timer.start()
            assert member.get("at last", timeout.total_seconds()) == b"x"
            timer.join()
            other.delete_key("at last")
        assert member.get("kept", float("inf"))
    store = HashStore()
    store.set_timeout(timedelta.max)
    timer = threading.Timer(0.05, lambda: store.set("at last", b"x"))
    timer.start()
    assert store.get("at last") == b"x"
    timer.join()


def test_many_wait_for_many_keys_and_each_is_told_once_all_are_there(host: Host) -> None:
    members = [host.member(rank) for rank in range(8)]
    keys = [f"many/{number}" for number in range(300)]
    try:
        threads = [threading.Thread(target=member.wait, args=(keys, 30.0), daemon=True) for member in members]
        for thread in threads:
            thread.start()
        with host.member() as setter:
            order = random.Random(3).sample(keys, len(keys))
            for key in order[:-1]:
                setter.set(key, b"")
                if key.endswith("7"):  # a key that goes again is awaited again
                    setter.delete_key(key)
                    setter.set(key, b"")
            assert all(thread.is_alive() for thread in threads)
            setter.set(order[-1], b"")
            for thread in threads:
                thread.join(10)
            assert not any(thread.is_alive() for thread in threads)
            for key in keys:
                setter.delete_key(key)
    finally:
        for member in members:
            member.close()


FORKING = """
import os, signal, sys, time
from distrt.comm.stores.client import Store
from distrt.comm.stores.server import StoreServer
secret = bytes.fromhex(os.environ["DISTRT_JOB_SECRET"])
server = StoreServer(secret=secret)
member = Store(server.host, server.port, rank=0, secret=secret)
child = os.fork()
if not child:
    try:
        member.num_keys()
    except Exception as error:
        os.write(1, f"{type(error).__name__}\\n".encode())
    time.sleep(60)
os.write(1, f"{server.port} {child}\\n".encode())  # print may write it in pieces, and the child's line between them
time.sleep(60)
"""


def test_a_forked_child_neither_speaks_for_its_parent_nor_holds_its_place() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DISTRT_JOB_SECRET": SECRET.hex()}
    parent = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FORKING], env=environment, stdout=subprocess.PIPE, text=True
    )
    child = None
    try:
        lines = sorted(parent.stdout.readline().split() for _ in range(2))
        port, child = map(int, lines[0])
        assert lines[1] == ["DistNetworkError"]
        member = Store("127.0.0.1", port, rank=1, secret=SECRET, timeout_s=20)
        member.set("a", b"b")
        parent.kill()
        started = time.monotonic()
        with pytest.raises(DistNetworkError, match="does not answer"):
            member.get("never", 30)
        assert time.monotonic() - started < 10
        member.close()
    finally:
        if child is not None:
            os.kill(child, signal.SIGKILL)
        parent.kill()
        parent.communicate()


def mutated(source: random.Random, good: bytes) -> bytes:
    """``good`` with a few bytes changed, cut out, put in or said twice."""
    data = bytearray(good)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(data) + 1)
        kind = source.randrange(4)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << source.randrange(8)
        elif kind == 1:
            del data[place : place + source.randint(1, 8)]
        elif kind == 2:
            data[place:place] = source.randbytes(source.randint(1, 8))
        else:
            data[place:place] = data[place : place + source.randint(1, 8)]
    return bytes(data)


GOOD = [
    b'{"op":"set","key":"fuzz","value":"YWJj"}',
    b'{"op":"set","key":"fuzz"}\nabc',
    b'{"op":"add","key":"fuzz/n","amount":-12}',
    b'{"op":"append","key":"fuzz","value":"YWJj"}',
    b'{"op":"compare_set","key":"fuzz","expected":"YWJj","desired":"eHl6"}',
    b'{"op":"check","keys":["fuzz","fuzz/n"]}',
    b'{"op":"delete_key","key":"fuzz"}',
    b'{"op":"list_keys","start":0}',
    b'{"op":"push","key":"fuzz/q","value":"YWJj"}',
    b'{"op":"queue_length","key":"fuzz/q"}',
    wait_for('["fuzz","fuzz/n"]', "0", "[0,1]"),
    wait_for('["fuzz"]', "0", "[0]", "true"),
]


ODD = [
    None,
    True,
    0,
    -1,
    0.5,
    -1e308,
    1 << 63,
    -(1 << 70),
    10**400,
    "",
    "\0",
    "a" * 5000,
    [],
    [[]],
    {},
    {"op": "set"},
]


def distorted(source: random.Random, good: bytes) -> bytes:
    """``good`` with a field gone, renamed or of another kind: JSON still."""
    text, mark, value = good.partition(b"\n")
    request = json.loads(text)
    name = source.choice(list(request))
    kind = source.randrange(8)
    if kind == 0:
        del request[name]
    elif kind == 1:
        request[name + "s"] = request.pop(name)
    else:
        request[name] = source.choice(ODD)
        if name == "timeout_s" and request[name] in (0.5, 1 << 63):  # it would wait so long
            request[name] = "0.5"
    if "value" in request:
        mark = value = b""
    return json.dumps(request).encode() + mark + value


def test_2500_mutated_conversations_of_strangers_disturb_nobody(host: Host, seed: int) -> None:
    source = random.Random(seed)
    hello = wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n" * 64, "rank": 0})
    proof = wire.encode_frame({"proof": "0f" * 32})
    request = wire.encode_frame({"op": "set", "key": "stranger", "value": ""})
    pairs = ((hello, proof), (proof, request), (request, request), (hello, request))
    with host.member() as member:
        member.delete_key("job/value")
        before = set(member.list_keys()) - {"job/count"}
    with at_work(host) as worker:
        for _ in range(2500):  # of two mutated frames each
            first, second = source.choice(pairs)
            with host.stranger() as stranger, contextlib.suppress(ConnectionError):
                stranger.sendall(mutated(source, first) + mutated(source, second))
    assert worker.rounds > 10
    with host.member() as member:
        assert set(member.list_keys()) == before | {"job/value", "job/count"}


@pytest.mark.ci
def test_5000_mutated_requests_of_members_disturb_nobody(host: Host, seed: int) -> None:
    """Each bears the right seal: it is the member's own rubbish. Only what is no request ends the connection."""
    source = random.Random(seed)
    with at_work(host) as worker:
        with host.member(5) as member:  # 4,500 that are JSON still: every one is answered
            for _ in range(180):
                bodies = [distorted(source, source.choice(GOOD)) for _ in range(25)]
                assert answers(member, [body for body in bodies if b'"wait"' not in body], 10.0)
                assert all(answers(member, [body], 10.0) for body in bodies if b'"wait"' in body)
        for _ in range(500):  # and 500 that are anything
            with host.member(source.choice((None, 5))) as member:
                answers(member, [mutated(source, source.choice(GOOD))], 0.02)
    assert worker.rounds > 10
    with host.member() as cleaner:
        for key in cleaner.list_keys():
            cleaner.delete_key(key)


def answers(member: Store, bodies: list[bytes], patience_s: float) -> bool:
    """Whether a member gets an answer to each request that it sends."""
    connection = member._connection
    assert connection is not None
    try:
        connection.sendall(b"".join(sealed(member, body) for body in bodies))
        for _ in bodies:
            wire.receive(connection, member._reader, time.monotonic() + patience_s)
    except OSError:  # it is cut off; or it waits, where the time-out was mutated
        return False
    return True


@pytest.mark.ci
def test_a_client_is_not_held_by_a_server_that_trickles_or_lies(host: Host) -> None:
    """Whoever took the port before the store did."""

    def trickle(connection: socket.socket) -> None:
        for _ in range(40):
            connection.send(b"\0")
            time.sleep(0.1)

    sayings = {
        "trickle": trickle,
        "garbage": lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "4 GB": lambda connection: connection.sendall(LENGTH.pack(0xFFFFFFFF)),
        "no proof": lambda connection: connection.sendall(wire.encode_frame({"nonce": "n", "proof": "n"})),
        "the hello back": lambda connection: connection.sendall(connection.recv(4096)),
        "another's proof": lambda connection: connection.sendall(relayed(host)),
    }
    for name, saying in sayings.items():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)

            def serve(listener=listener, saying=saying) -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection, contextlib.suppress(OSError):
                            saying(connection)
                            is_cut(connection, 1)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            started = time.monotonic()
            with pytest.raises((DistNetworkError, AuthenticationError), match="this job's s"):
                Store("127.0.0.1", listener.getsockname()[1], rank=1, secret=SECRET, timeout_s=1.0)
            assert time.monotonic() - started < 5, name
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def relayed(host: Host) -> bytes:
    with host.stranger() as stranger:
        return wire.encode_frame(introduce(stranger))
