"""The stores with PyTorch's names: one suite for all of them, each compared with PyTorch's where it is installed."""

import copy
import inspect
import pickle
import socket
import threading
import time
from datetime import timedelta

import pytest

from distrt.comm.stores.base import Store
from distrt.comm.stores.file import FileStore
from distrt.comm.stores.memory import HashStore, PrefixStore
from distrt.comm.stores.tcp import TCPStore
from distrt.core.errors import DistNetworkError, DistStoreError, QueueEmptyError, RendezvousError

KINDS = ("hash", "file", "tcp", "prefix")
SHORT = timedelta(milliseconds=50)


def make(kind, folder, module=None):
    """A store of distrt, or of PyTorch's ``module``."""
    names = module or type("", (), {f.__name__: f for f in (HashStore, FileStore, TCPStore, PrefixStore)})
    if kind == "hash":
        return names.HashStore()
    if kind == "file":
        return names.FileStore(str(folder / "store"), 1)
    if kind == "tcp":
        return names.TCPStore("127.0.0.1", 0, 1, True)
    return names.PrefixStore("pre", names.HashStore())


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    made = make(request.param, tmp_path)
    yield made
    made.close()


def history(store, module):
    """What a fixed sequence of calls returns; an error counts by the classes that a script may catch."""
    seen = []

    def note(call):
        try:
            seen.append(call())
        except Exception as error:
            is_of_store = isinstance(error, module.DistError)
            seen.append(
                next(
                    k.__name__
                    for k in (TypeError, ValueError, NotImplementedError, RuntimeError)
                    if isinstance(error, k)
                )
            )
            seen.append(is_of_store and isinstance(error, module.QueueEmptyError))

    note(lambda: store.timeout)
    for key, value in (("a", "1"), ("b", b"\xff\x00"), ("é", "ü"), ("empty", "")):
        note(lambda key=key, value=value: store.set(key, value))
        note(lambda key=key: store.get(key))
    for key, value in (("b", 3), (3, "x"), ("b", None)):
        note(lambda key=key, value=value: store.set(key, value))
    note(store.num_keys)
    for amount in (5, -7, 0):
        note(lambda amount=amount: store.add("n", amount))
    note(lambda: store.get("n"))
    # They are 64 bits, and wrap.
    for amount in (
        2**63 - 1 + 2,
        2**63,
        -(2**63) - 1,
        "1",
        None,
        True,
        2**62,
        2**62,
        2**62,
    ):
        note(lambda amount=amount: store.add("wide", amount))
    note(lambda: store.add("a", 5.0))
    note(lambda: store.set(b"bytes", "x"))
    note(lambda: store.get("bytes"))
    note(lambda: store.check([b"bytes"]))
    note(lambda: store.delete_key(b"bytes"))
    note(lambda: store.set("\ud800", "x"))
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        note(lambda action=action: action(store))
    note(lambda: store.wait(["n"], 3))
    note(lambda: store.add("a", 1))
    for arguments in (("c", "x", "y"), ("c", "", "y"), ("c", "x", "z"), ("c", "y", "z"), ("c", b"z", b"w")):
        note(lambda arguments=arguments: store.compare_set(*arguments))
        note(lambda: store.check(["c"]))
    for keys in (
        [],
        ["a", "c"],
        ["a", "none"],
        "c",
        ("a", "c"),
        {"a"},
        iter(["a"]),
        (k for k in "a"),
        {"a": 1}.keys(),
        {1: "a"}.values(),
        map(str, "a"),
        {"a": 1},
        b"c",
        3,
        None,
        [3],
    ):
        note(lambda keys=keys: store.check(keys))
    note(lambda: store.append("p", "ab"))
    note(lambda: store.append("p", "cd"))
    note(lambda: store.get("p"))
    note(lambda: store.multi_set(["m1", "m2"], ["1", "2"]))
    note(lambda: store.multi_get(["m1", "m2"]))
    for keys, values in (
        ([], []),
        ("ab", "12"),
        ("a", ["1"]),
        (["m1"], "1"),
        (["m1"], [1]),
        ((), ()),
    ):
        note(lambda keys=keys, values=values: store.multi_set(keys, values))
    note(lambda: store.multi_get([]))
    note(lambda: store.multi_get("m1"))
    note(store.has_extended_api)
    note(store.num_keys)
    note(lambda: store.delete_key("a"))
    note(store.num_keys)
    for call in (
        lambda: store.queue_len("q"),
        lambda: store.queue_push("q", "1"),
        lambda: store.queue_push("q", b"2"),
        lambda: store.queue_len("q"),
        lambda: store.check(["q"]),
        store.num_keys,
        lambda: store.queue_pop("q"),
        lambda: store.queue_pop("q", False),
        lambda: store.queue_pop("q", block=False),
    ):
        note(call)
    note(lambda: store.set_timeout(SHORT))
    note(lambda: store.timeout)
    for call in (
        lambda: store.queue_pop("q"),
        lambda: store.get("missing"),
        lambda: store.wait(["missing", "m1"]),
        lambda: store.wait(["missing"], timedelta(milliseconds=10)),
        lambda: store.wait(["m1"]),
        lambda: store.wait([]),
        lambda: store.multi_get(["m1", "missing"]),
    ):
        note(call)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_of_calls_gives_what_pytorch_gives(kind, tmp_path, torch):
    import distrt.core.errors as errors

    ours_module = type("", (), {"DistError": errors.DistributedError, "QueueEmptyError": QueueEmptyError})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    theirs = history(make(kind, tmp_path / "a", torch.distributed), torch.distributed)
    assert history(make(kind, tmp_path / "b"), ours_module) == theirs


def test_a_wait_ends_when_another_thread_sets_the_key(store):
    other = store.clone()
    timer = threading.Timer(0.1, lambda: other.set("late", "value"))
    timer.start()
    assert store.get("late") == b"value"
    timer.join()
    other.close()


def test_a_late_key_is_named(store):
    with pytest.raises(DistStoreError, match=r"(?i)wait timeout.*two"):
        store.wait(["one", "two"], SHORT)
    with pytest.raises(RuntimeError):
        store.wait(["one"], 0.01)


def test_a_number_of_seconds_must_be_a_float_as_in_pytorch(store):
    with pytest.raises(TypeError, match="timedelta"):
        store.set_timeout(3)
    store.set_timeout(0.5)
    assert store.timeout == timedelta(seconds=0.5)


def test_many_threads_add_up(store):
    others = [store.clone() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda other=other: [other.add("n", 1) for _ in range(50)])
        for other in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.add("n", 0) == 200
    for other in others:
        other.close()


def test_a_barrier_waits_for_all(store):
    other = store.clone()
    with pytest.raises(DistStoreError):
        store.barrier("first", 2, SHORT)
    thread = threading.Thread(target=lambda: other.barrier("second", 2))
    thread.start()
    store.barrier("second", 2)
    thread.join()
    other.close()


def test_a_base_store_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match=r"Store does not implement set\(\)"):
        Store().set("a", "b")


def test_prefixes_nest_and_reach_through():
    inner = HashStore()
    outer = PrefixStore("x", PrefixStore("y", inner))
    outer.set("k", "v")
    assert inner.list_keys() == ["y/x/k"] and outer.list_keys() == ["k"]
    assert outer.underlying_store.underlying_store is inner
    outer.set_timeout(SHORT)
    assert inner.timeout == SHORT
    with pytest.raises(ValueError, match="cannot be None"):
        PrefixStore("x", None)
    with pytest.raises(TypeError, match="expected a store"):
        PrefixStore("x", "y")


def test_a_prefix_takes_a_store_with_pytorchs_signatures():
    class Own:
        def __init__(self):
            self.values = {}

        def set(self, key, value):
            self.values[key] = value

        def get(self, key):
            return self.values[key]

    store = PrefixStore("p", Own())
    store.set("a", b"b")
    assert store.get("a") == b"b"


def test_the_master_waits_for_its_workers():
    with pytest.raises(
        DistStoreError, match=r"Timed out after \d+ seconds waiting for clients. 1/2 clients joined."
    ):
        TCPStore("localhost", 0, 2, True, timeout=timedelta(seconds=0.2))
    master = TCPStore("localhost", 0, 2, True, timeout=timedelta(seconds=5), wait_for_workers=False)
    assert master.host == "localhost" and master.port > 0
    worker = TCPStore("localhost", master.port, 2, False)
    worker.set("a", "b")
    assert master.get("a") == b"b"
    worker.close()
    master.close()


def test_a_taken_port_is_an_error_and_a_shared_one_is_not():
    first = TCPStore("127.0.0.1", 0, 1, True, multi_tenant=True)
    with pytest.raises(DistNetworkError, match=r"^The server socket has failed to listen on any local "):
        TCPStore("127.0.0.1", first.port, 1, True)
    second = TCPStore("127.0.0.1", first.port, 1, True, multi_tenant=True)
    first.set("a", "b")
    first.close()
    assert second.get("a") == b"b"
    second.close()


def test_nobody_at_the_address_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(
        DistNetworkError, match=r"The client socket has timed out after 200ms while trying to connect"
    ):
        TCPStore("127.0.0.1", port, 2, False, timedelta(seconds=0.2))


def test_a_bound_socket_is_taken_over():
    bound = socket.socket()
    bound.bind(("localhost", 0))
    address, port = bound.getsockname()
    store = TCPStore(address, port, 1, is_master=True, master_listen_fd=bound.detach())
    store.set("key", "value")
    assert (store.port, store.get("key")) == (port, b"value")
    store.close()


def test_the_server_ends_with_the_masters_object_and_its_port_is_free():
    for _ in range(3):
        store = TCPStore("127.0.0.1", 0, 1, True)
        port = store.port
        del store
        deadline = time.monotonic() + 5
        while True:
            try:
                socket.create_server(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_a_host_that_left_serves_until_the_others_have_left():
    master = TCPStore("127.0.0.1", 0, None, True)
    worker = TCPStore("127.0.0.1", master.port)
    master.set("a", "b")
    master.close()
    assert worker.get("a") == b"b"
    worker.close()


def test_other_addresses_than_loopback_need_a_secret(monkeypatch):
    monkeypatch.delenv("DISTRT_JOB_SECRET", raising=False)
    with pytest.raises(RendezvousError, match="DISTRT_JOB_SECRET"):
        TCPStore("0.0.0.0", 0, 1, True)
    monkeypatch.setenv("DISTRT_JOB_SECRET", "00ff")
    store = TCPStore("0.0.0.0", 0, 1, True)
    store.close()


@pytest.mark.parametrize("bad", [("h", "1"), (3, 1), ("h", 70000), ("h", 1.5)])
def test_a_wrong_address_is_a_type_error(bad):
    with pytest.raises(TypeError):
        TCPStore(*bad)


def test_errors_can_be_sent():
    assert isinstance(pickle.loads(pickle.dumps(QueueEmptyError("x"))), DistStoreError)


@pytest.mark.parametrize("size", [0, -1, 1, "1", 1.0])
def test_a_world_size_is_what_pytorch_takes(size, torch):
    def outcome(kind):
        try:
            kind("127.0.0.1", 0, size, True, timeout=timedelta(seconds=5))
        except Exception as error:
            return type(error), str(error) if isinstance(error, ValueError) else None
        return "made"

    assert outcome(TCPStore) == outcome(torch.distributed.TCPStore)


@pytest.mark.parametrize("uses", [True, False])
def test_libuv_is_what_was_asked_for(uses, torch):
    made = [kind("127.0.0.1", 0, 1, True, use_libuv=uses) for kind in (TCPStore, torch.distributed.TCPStore)]
    assert made[0].libuvBackend is made[1].libuvBackend is uses


def test_a_barrier_that_is_too_late_says_so_as_in_pytorch(torch):
    said = []
    for kind in (TCPStore, torch.distributed.TCPStore):
        with pytest.raises(RuntimeError) as error:
            kind("127.0.0.1", 0, 1, True).barrier("k", 2, SHORT)
        said.append(str(error.value))
    assert said[0].startswith(said[1].rstrip("."))


def test_keys_without_values_are_refused(store):
    with pytest.raises(DistStoreError, match="multiSet keys and values vectors must be of same size"):
        store.multi_set(["a", "b"], ["1"])  # PyTorch's TCPStore says so; its HashStore crashes
    assert not store.check(["a"])


def test_every_public_name_and_default_is_pytorchs(torch):
    for ours in (Store, TCPStore, FileStore, HashStore, PrefixStore):
        theirs = getattr(torch.distributed, ours.__name__)
        assert not {name for name in dir(theirs) if not name.startswith("_")} - set(dir(ours))
    takes = inspect.signature(TCPStore).parameters
    assert [(name, takes[name].default) for name in list(takes)[2:]] == [
        ("world_size", None),
        ("is_master", False),
        ("timeout", timedelta(seconds=300)),
        ("wait_for_workers", True),
        ("multi_tenant", False),
        ("master_listen_fd", None),
        ("use_libuv", True),
    ]
