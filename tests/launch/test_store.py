"""The store: its operations, its time-outs, and what it does with strangers."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from distrt.comm.environment import Environment
from distrt.comm.stores import wire
from distrt.comm.stores.client import Store, connect_store
from distrt.comm.stores.server import StoreServer
from distrt.core.errors import AuthenticationError, RendezvousError
from tests.ports import free_port

SECRET = b"s" * 32


@pytest.fixture
def server() -> Iterator[StoreServer]:
    server = StoreServer(secret=SECRET, handshake_timeout_s=0.3)
    yield server
    server.close()


@pytest.fixture
def connect(server: StoreServer) -> Iterator[Callable[..., Store]]:
    with contextlib.ExitStack() as stack:
        yield lambda rank=None: stack.enter_context(
            Store(server.host, server.port, rank=rank, secret=SECRET, timeout_s=5)
        )


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run ``action`` beside the test; its result or exception lands in the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(action())
        except RendezvousError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_what_one_rank_sets_another_gets(connect: Callable[..., Store]) -> None:
    first, second = connect(0), connect(1)
    every_byte = bytes(range(256))
    first.set("key", every_byte)
    assert second.get("key") == every_byte
    first.set("text", "grün")
    assert second.get("text") == "grün".encode()


def test_add_counts_across_ranks(connect: Callable[..., Store]) -> None:
    first, second = connect(0), connect(1)
    assert [first.add("n", 2), second.add("n", 3), first.add("n", -1)] == [2, 5, 4]
    assert second.get("n") == b"4"


def test_check_delete_and_count(connect: Callable[..., Store]) -> None:
    store = connect(0)
    store.set("a", b"")
    assert store.check(["a"]) and not store.check(["a", "b"])
    assert store.num_keys() == 1
    assert store.delete_key("a") and not store.delete_key("a")
    assert store.num_keys() == 0


def test_get_waits_until_the_key_is_set(connect: Callable[..., Store]) -> None:
    first, second = connect(0), connect(1)
    thread, results = in_thread(lambda: first.get("late", 5))
    time.sleep(0.05)
    assert not results
    second.set("late", b"v")
    thread.join()
    assert results == [b"v"]


def test_a_wait_that_times_out_names_keys_and_ranks(connect: Callable[..., Store]) -> None:
    store = connect(0)
    store.set("a", b"")
    started = time.monotonic()
    with pytest.raises(RendezvousError, match=r"rank 0 waited 0.1 s for keys 'b', 'c' of ranks 1, 2"):
        store.wait(["a", "b", "c"], 0.1, ranks=[1, 2])
    assert 0.1 <= time.monotonic() - started < 1
    assert store.check(["a"])


def test_a_rank_that_ended_before_joining_fails_waits_under_way_and_later_ones(
    server: StoreServer, connect: Callable[..., Store]
) -> None:
    store = connect(0)
    thread, results = in_thread(lambda: store.get("k", 30))
    time.sleep(0.05)
    server.rank_ended(1, "exit code 0")
    thread.join(2)
    assert "rank 1 ended (exit code 0) before joining" in str(results[0])
    with pytest.raises(RendezvousError, match="before joining"):
        store.wait(["k"], 30)


def test_a_rank_that_ended_after_joining_fails_only_waits_for_it(
    server: StoreServer, connect: Callable[..., Store]
) -> None:
    store = connect(0)
    connect(1).set("from 1", b"v")
    assert server.joined_ranks() == {0, 1}
    server.rank_ended(1, "killed by SIGKILL (9)")
    assert store.get("from 1", ranks=[1]) == b"v"
    with pytest.raises(RendezvousError, match=r"rank 1 ended \(killed by SIGKILL \(9\)\)"):
        store.get("more from 1", 30, ranks=[1])
    with pytest.raises(RendezvousError, match="waited"):
        store.get("from someone", 0.05)


def test_a_wrong_secret_is_refused_by_the_client(server: StoreServer) -> None:
    with pytest.raises(AuthenticationError, match="secret"):
        Store(server.host, server.port, rank=1, secret=b"other", timeout_s=5)
    assert server.joined_ranks() == frozenset()


def test_a_wrong_proof_is_refused_by_the_server(server: StoreServer) -> None:
    with socket.create_connection((server.host, server.port), timeout=5) as stranger:
        reader = wire.FrameReader()
        stranger.sendall(wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n", "rank": 0}))
        challenge = wire.receive(stranger, reader)
        stranger.sendall(wire.encode_frame({"proof": challenge["proof"]}))  # its own proof, reflected
        assert wire.receive(stranger, reader)["error"] == "authentication"
        assert stranger.recv(1) == b""
    assert server.joined_ranks() == frozenset()


def test_a_proof_holds_for_the_claimed_rank_only() -> None:
    assert wire.prove(SECRET, "client", "a", "b", 0) != wire.prove(SECRET, "client", "a", "b", 1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 1 << 31),
        struct.pack(">I", wire.MAX_HANDSHAKE_BYTES + 1),
        struct.pack(">I", 4) + b"null",
        struct.pack(">I", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack(">I", 900) + b"[" * 900,
        struct.pack(">I", 13) + b'{"op": "get"}',
        wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": 1}),
        wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n", "rank": "root"}),
    ],
)
def test_garbage_from_a_stranger_ends_its_connection_only(
    server: StoreServer, connect: Callable[..., Store], garbage: bytes
) -> None:
    store = connect(0)
    with socket.create_connection((server.host, server.port), timeout=5) as stranger:
        stranger.sendall(garbage)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    store.set("still", b"here")
    assert store.get("still") == b"here"


def test_a_proof_that_is_not_text_is_refused(server: StoreServer, connect: Callable[..., Store]) -> None:
    for proof in (None, 7, ["x"], "\ud800"):
        with socket.create_connection((server.host, server.port), timeout=5) as stranger:
            reader = wire.FrameReader()
            stranger.sendall(wire.encode_frame({"protocol": wire.PROTOCOL, "nonce": "n"}))
            wire.receive(stranger, reader)
            stranger.sendall(wire.encode_frame({"proof": proof}))
            assert "error" in wire.receive(stranger, reader)
    assert connect(0).num_keys() == 0


def test_a_silent_stranger_is_dropped(server: StoreServer) -> None:
    with socket.create_connection((server.host, server.port), timeout=5) as stranger:
        started = time.monotonic()
        assert stranger.recv(1) == b""
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "request_",
    [{}, {"op": "pickle"}, {"op": "set", "key": "k"}, {"op": "wait", "keys": 3}, {"op": "add", "key": "a"}],
)
def test_a_malformed_request_gets_an_error_and_the_next_one_an_answer(
    connect: Callable[..., Store], request_: dict[str, object]
) -> None:
    store = connect(0)
    with pytest.raises(RendezvousError):
        store._request({"op": "none", **request_})
    assert store.num_keys() == 0


def test_a_value_over_the_bound_is_refused_before_it_is_sent(connect: Callable[..., Store]) -> None:
    store = connect(0)
    with pytest.raises(ValueError, match="a store value may have 8388608 bytes, this one has 8388609"):
        store.set("big", bytes(wire.MAX_VALUE_BYTES + 1))
    with pytest.raises(ValueError, match="a store message may have"):
        store.set("k" * (wire.MAX_FRAME_BYTES + 1), b"")
    most = bytes(range(256)) * (wire.MAX_VALUE_BYTES // 256)
    store.set("most", most)
    assert store.get("most") == most
    with pytest.raises(RendezvousError, match="would have 8388609 bytes"):
        store.append("most", b"x")


def test_a_store_that_goes_away_is_an_error_not_a_hang(
    server: StoreServer, connect: Callable[..., Store]
) -> None:
    store = connect(0)
    thread, results = in_thread(lambda: store.get("k", 30))
    time.sleep(0.05)
    server.close()
    thread.join(2)
    assert "does not answer" in str(results[0])
    with pytest.raises(RendezvousError, match="is closed"):
        store.num_keys()


def test_nobody_at_the_address_is_an_error_after_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(RendezvousError, match=r"rank 1 could not reach the store .* within 0.2 s"):
        Store("127.0.0.1", port, rank=1, timeout_s=0.2)
    assert time.monotonic() - started < 2


@pytest.mark.ci
def test_a_stranger_at_the_address_is_not_taken_for_the_store() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=lambda: other.accept()[0].close())  # noqa: PLW0108 - accept in the thread
        thread.start()
        with pytest.raises(RendezvousError, match="is not this job's store"):
            Store("127.0.0.1", other.getsockname()[1], rank=1, timeout_s=2)
        thread.join()


def test_without_a_secret_only_loopback_is_served() -> None:
    with pytest.raises(RendezvousError, match="DISTRT_JOB_SECRET"):
        StoreServer("0.0.0.0")


def test_without_a_launcher_rank_0_hosts_and_the_others_may_come_first() -> None:
    port = free_port()
    places = [Environment(rank, 2, rank, 2, "127.0.0.1", port) for rank in range(2)]
    thread, results = in_thread(lambda: _get_and_close(connect_store(places[1], 5)))
    time.sleep(0.1)
    with connect_store(places[0], 5) as store:
        store.set("hello", b"from 0")
        thread.join()
    assert results == [b"from 0"]


def test_rank_0_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RendezvousError, match=f"cannot host the store at 127.0.0.1:{port}.*MASTER_PORT"):
            connect_store(Environment(0, 2, 0, 2, "127.0.0.1", port), 1)


def test_a_world_of_one_needs_no_address() -> None:
    with connect_store(Environment()) as store:
        assert store.add("n", 1) == 1


def test_frames_arrive_whole_however_they_are_cut() -> None:
    reader = wire.FrameReader()
    messages = [{"a": "é" * 100}, {}, {"b": [1, 2]}]
    received = []
    for byte in b"".join(map(wire.encode_frame, messages)):
        reader.feed(bytes([byte]))
        while (message := reader.next_message()) is not None:
            received.append(message)
    assert received == messages
    assert json.loads(wire.encode_frame({"x": 1})[4:]) == {"x": 1}


def _get_and_close(store: Store) -> bytes:
    with store:
        return store.get("hello")
