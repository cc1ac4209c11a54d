"""What the store's server makes of anything at all, and who is told when of what it waits for."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.comm.stores import wire
from distrt.comm.stores.file import FileStore
from distrt.comm.stores.memory import HashStore, PrefixStore
from distrt.comm.stores.peer import Peer, Wait
from distrt.comm.stores.requests import carry_out
from distrt.comm.stores.table import Table
from distrt.comm.stores.tcp import TCPStore
from distrt.comm.stores.waits import Ranks, Waits
from distrt.core.errors import AuthenticationError, DistStoreError, RendezvousError

FIELDS = [
    "op",
    "key",
    "keys",
    "value",
    "expected",
    "desired",
    "amount",
    "start",
    "ranks",
    "timeout_s",
    "wants_value",
]
OPERATIONS = "set add append check compare_set delete_key list_keys num_keys push queue_length wait".split()
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["a", "YWJj", "fuzz"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=4,
)
REQUESTS = st.builds(
    lambda operation, rest: rest | operation,
    st.fixed_dictionaries({"op": st.sampled_from(OPERATIONS) | ANYTHING}),
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=6),
)


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 300))
def test_any_bytes_are_messages_or_refused(pieces: list[bytes], limit_bytes: int) -> None:
    reader = wire.FrameReader(limit_bytes)
    for piece in pieces:
        reader.feed(piece)
        try:
            while (message := reader.next_message()) is not None:
                assert isinstance(message, dict)
        except RendezvousError:
            return
        assert len(reader._buffer) < limit_bytes + 4 + 200


@given(st.lists(REQUESTS, max_size=5))
def test_any_request_has_an_answer_that_can_be_sent(requests: list[dict]) -> None:
    table = Table()
    for request in requests:
        try:
            heard = wire._parse(json.dumps(request).encode())
        except RendezvousError:
            continue  # NaN, say
        answer, key = carry_out(table, heard)
        assert isinstance(answer, dict) and (key is None or "error" not in answer)
        wire.encode_frame(answer, wire.Seal(b"", "server", "", "", None))
        assert all(isinstance(name, str) and isinstance(value, bytes) for name, value in table.values.items())


@given(REQUESTS)
def test_any_wait_is_read_or_refused(request: dict) -> None:
    try:
        wait = Wait.read(request, 0.0)
    except (KeyError, TypeError, ValueError, OverflowError):
        return
    assert all(type(key) is str for key in wait.keys) and wait.deadline - wait.deadline == 0.0


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), min_size=1, max_size=5),
    st.data(),
)
def test_a_frame_is_good_only_at_its_place_and_in_its_direction(
    messages: list[dict], data: st.DataObject
) -> None:
    def seal(side: str = "client", nonce: str = "b") -> wire.Seal:
        return wire.Seal(b"secret", side, "a", nonce, 3)

    sender = seal()
    frames = [wire.encode_frame(message, sender) for message in messages]
    order = data.draw(st.lists(st.sampled_from(range(len(frames))), max_size=8))
    reader = wire.FrameReader()
    reader.seal = seal()
    for count, index in enumerate(order):
        reader.feed(frames[index])
        if index == count:
            assert reader.next_message() == messages[index]
            continue
        with pytest.raises(AuthenticationError):
            reader.next_message()
        break
    for wrong in (seal("server"), seal(nonce="c"), wire.Seal(b"other", "client", "a", "b", 3)):
        reader = wire.FrameReader()
        reader.seal = wrong
        reader.feed(frames[0])
        with pytest.raises(AuthenticationError):
            reader.next_message()


KEYS = st.sampled_from("abcd")
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "push", "delete", "pop"]), KEYS)
    | st.tuples(st.just("wait"), st.lists(KEYS, max_size=4))
    | st.tuples(st.just("get"), KEYS),
    max_size=30,
)


@given(STEPS)
def test_a_wait_ends_as_soon_as_all_its_keys_are_there_together(steps: list[tuple]) -> None:
    """Beside a model that looks at everything after every step."""
    table, told = Table(), []
    ends = socket.socketpair()
    waits = Waits(table, Ranks(), lambda peer, answer: told.append((peer, answer)))
    expected: list[tuple] = []
    open_: list[tuple[Peer, str, list[str]]] = []
    try:
        for kind, what in steps:
            if kind in ("wait", "get"):
                keys = [what] if kind == "get" else what
                peer = Peer(ends[0], None, wire.FrameReader(), wire.Seal(b"", "server", "", "", None))
                open_.append((peer, kind, keys))
                waits.begin(peer, Wait(tuple(keys), (), 0.0, 1e9, kind == "get", False))
            elif kind == "set":
                table.values[what] = b"v"
                waits.changed(what)
            elif kind == "push":
                table.push(what, b"q")
                waits.changed(what)
            elif kind == "delete":
                table.delete(what)
            else:
                table.pop(what)
            for entry in list(open_):
                peer, wanted, keys = entry
                if (wanted == "wait" and not table.missing(keys)) or (
                    wanted == "get" and keys[0] in table.values
                ):
                    expected.append((peer, {} if wanted == "wait" else {"value": b"v"}))
                    open_.remove(entry)
            assert sorted(map(repr, told)) == sorted(map(repr, expected))
    finally:
        for end in ends:
            end.close()


VALUES = st.sampled_from([b"", b"1", b"-7", b"x", b"\xff"])
CALLS = st.lists(
    st.tuples(st.just("set"), KEYS, VALUES)
    | st.tuples(st.just("append"), KEYS, VALUES)
    | st.tuples(st.just("add"), KEYS, st.integers(-(1 << 63), (1 << 63) - 1))
    | st.tuples(st.just("compare_set"), KEYS, VALUES, VALUES)
    | st.tuples(st.sampled_from(["delete_key", "get"]), KEYS)
    | st.tuples(st.just("check"), st.lists(KEYS, max_size=3))
    | st.tuples(st.sampled_from(["multi_get"]), st.lists(KEYS, max_size=3))
    | st.tuples(st.just("multi_set"), st.lists(KEYS, max_size=2), st.lists(VALUES, max_size=2))
    | st.tuples(st.sampled_from(["list_keys"])),
    max_size=15,
)


@pytest.fixture(scope="module")
def tcp_store():
    store = TCPStore("127.0.0.1", 0, 1, True)
    yield store
    store.close()


@given(calls=CALLS)
def test_all_stores_give_the_same_answers(tcp_store: TCPStore, calls: list[tuple]) -> None:
    for key in tcp_store.list_keys():
        tcp_store.delete_key(key)
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            HashStore(),
            FileStore(str(Path(folder) / "store"), 1),
            PrefixStore("p", HashStore()),
            tcp_store,
        ]
        for store in stores:
            store.set_timeout(0.0)
        for name, *arguments in calls:
            answers = [answer(store, name, arguments) for store in stores]
            assert all(found == answers[0] for found in answers[1:]), (name, arguments, answers)
        stores[1].close()


def answer(store: object, name: str, arguments: list) -> object:
    try:
        found = getattr(store, name)(*arguments)
    except DistStoreError as error:
        return "late" if "imeout" in str(error) else "refused"
    except ValueError:
        return "refused"
    return sorted(found) if name == "list_keys" else found
