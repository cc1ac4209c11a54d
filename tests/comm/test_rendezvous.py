"""``rendezvous``: the three ways to name a meeting place, and what is refused with PyTorch's classes of errors."""

import contextlib
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import distrt
from distrt.comm.rendezvous import register_rendezvous_handler, rendezvous, rendezvous_iterator
from distrt.comm.stores.memory import HashStore
from distrt.core.errors import DistNetworkError, RendezvousError
from tests.ports import free_port

FOREIGN = re.compile(r"(DISTRT|TORCHELASTIC|MASTER|LOCAL|SLURM|PMI|OMPI|MPI)_|(RANK|WORLD_SIZE)$")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in os.environ:
        if FOREIGN.match(name):
            monkeypatch.delenv(name)


def meet(methods, size, given=True):
    """All ranks, as threads, set a key and read the others'; returns their environments."""

    def join(rank):
        place = (rank, size) if given else (None, None)
        environment, store = rendezvous(methods[rank], *place, timeout_s=20)
        store.set(f"from {rank}", str(rank))
        assert [store.get(f"from {other}", ranks=[other]) for other in range(size)] == [
            b"%d" % r for r in range(size)
        ]
        assert store.add("left", 1) >= 1  # more where rank 1 was ahead and found the last meeting's server
        done.wait(20)
        store.close()
        return environment

    done = threading.Barrier(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(join, range(size)))


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_meet_at_an_address(size):
    found = meet([f"tcp://127.0.0.1:{free_port()}"] * size, size)
    assert [(e.rank, e.world_size, e.local_rank, e.local_world_size) for e in found] == [
        (rank, size, rank, size) for rank in range(size)
    ]


def test_rank_and_size_may_stand_in_the_query():
    port = free_port()
    methods = [f"tcp://localhost:{port}?rank={rank}&world_size=2&use_libuv=0" for rank in range(2)]
    assert [e.rank for e in meet(methods, 2, given=False)] == [0, 1]


def test_ranks_meet_in_a_file_and_leave_none(tmp_path):
    path = tmp_path / "meeting"
    meet([f"file://{path}"] * 3, 3)
    meet([f"file://{path}?rank={rank}&world_size=2" for rank in range(2)], 2, given=False)
    assert not path.exists()


def test_ranks_meet_where_the_variables_say(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    meet([None, "env://"], 2)
    meet([f"env://?rank={rank}&world_size=2" for rank in range(2)], 2, given=False)


def test_ranks_meet_again_at_the_same_address():
    method = f"tcp://127.0.0.1:{free_port()}"
    for _ in range(5):
        meet([method] * 2, 2)


def socket_beside_a_free_port():
    """A listening socket; nobody has the port after its own."""
    while True:
        agent = socket.create_server(("127.0.0.1", 0))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", agent.getsockname()[1] + 1)):
            return agent
        agent.close()


def test_torchruns_own_store_is_left_alone(monkeypatch):
    with socket_beside_a_free_port() as agent:
        port = agent.getsockname()[1]
        settings = {
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        settings |= {"RANK": "0", "WORLD_SIZE": "2"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        environment, store = rendezvous(None, None, None, 5)
        store.close()
    assert environment.master_port == port + 1


def test_slurm_tasks_on_one_machine_meet_on_loopback(monkeypatch):
    job = str(os.getpid())
    settings = {"SLURM_JOB_ID": job, "SLURM_STEP_ID": "1", "SLURM_NTASKS": "2", "SLURM_TASKS_PER_NODE": "2"}
    for name, value in {**settings, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}.items():
        monkeypatch.setenv(name, value)
    environment, store = rendezvous("env://", None, None, 5)
    store.close()
    assert environment.master_addr == "127.0.0.1"
    assert environment.master_port == 20000 + int(job) % 192 * 64 + 1
    assert (environment.world_size, environment.local_world_size, environment.source) == (2, 2, "Slurm")


def test_where_mpi_started_the_ranks_the_store_is_mpis_business(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    environment, store = rendezvous(None, None, None, 5)
    assert (environment.rank, environment.world_size, environment.master_addr, store) == (1, 2, None, None)


def test_a_world_of_one_needs_no_store():
    for method in (None, "env://", "tcp://127.0.0.1:1?rank=0&world_size=1"):
        environment, store = rendezvous(method, None, None, 1)
        assert (environment.world_size, store) == (1, None)


BAD = [
    ("foo://x", {}, RuntimeError, "No rendezvous handler for foo://"),
    ("tcp://h", {}, ValueError, "tcp:// rendezvous: port number missing"),
    ("tcp://h", {"rank": 0, "world_size": 1}, ValueError, "port number missing"),
    ("tcp://h:1", {}, ValueError, "tcp:// rendezvous: rank parameter missing"),
    ("tcp://h:1", {"rank": 0}, ValueError, "world size parameter missing"),
    ("tcp://h:1?rank=0", {}, ValueError, "world size parameter missing"),
    ("tcp://h:1?rank=0", {"rank": 0}, AssertionError, "has node-specific arguments"),
    ("tcp://h:1?rank=0&world_size=2", {"rank": 0, "world_size": 1}, AssertionError, "node-specific"),
    ("tcp://h:1?rank=x&world_size=2", {}, ValueError, "rank='x' is not a whole number"),
    ("tcp://h:99999", {"rank": 0, "world_size": 2}, ValueError, "(?i)port"),
    ("file://", {}, ValueError, "file:// rendezvous: path missing"),
    ("file:///tmp/x", {}, ValueError, "rank parameter missing"),
    ("file:///tmp/x", {"rank": 0}, ValueError, "world size parameter missing"),
    (
        "env://",
        {"rank": 0, "world_size": 2},
        ValueError,
        "environment variable MASTER_ADDR expected, but not set",
    ),
    ("env://", {"rank": 0}, ValueError, "world_size was not"),
    (3, {}, RuntimeError, "expected a str"),
]


@pytest.mark.parametrize(("method", "given", "kind", "message"), BAD)
def test_what_is_missing_or_given_twice_is_refused(method, given, kind, message):
    with pytest.raises(kind, match=message):
        rendezvous(method, given.get("rank"), given.get("world_size"), 1)


@pytest.mark.parametrize(("rank", "world_size"), [(1, 1), (-1, 1), (0, 0)])
def test_a_place_outside_the_world_of_a_store_is_refused(rank, world_size, torch):
    for library in (distrt, torch):
        with pytest.raises((AssertionError, RuntimeError)):
            library.distributed.init_process_group(
                "gloo", store=library.distributed.HashStore(), rank=rank, world_size=world_size
            )
        assert not library.distributed.is_initialized()


@pytest.mark.parametrize(
    ("method", "given", "kind", "message"),
    [row for row in BAD if row[1] != {"rank": 0} or row[0] != "env://"],
)
def test_pytorch_refuses_the_same_with_the_same_class(method, given, kind, message, torch, monkeypatch):
    if given == {"rank": 0, "world_size": 2} and "99999" in str(method):
        pytest.skip("PyTorch lets urllib's error through")
    with pytest.raises(kind):
        next(torch.distributed.rendezvous(method, **given))


def test_nobody_at_the_address_is_an_error():
    with pytest.raises(DistNetworkError, match=r"rank 1 could not reach the store at 127.0.0.1"):
        rendezvous(f"tcp://127.0.0.1:{free_port()}", 1, 2, 0.2)


def test_the_others_learn_that_rank_0_has_ended():
    port = free_port()
    method = f"tcp://127.0.0.1:{port}"
    _, host = rendezvous(method, 0, 2, 5)
    _, store = rendezvous(method, 1, 2, 5)
    host._server.close()  # what a killed process leaves of its server
    with pytest.raises(RendezvousError, match="rank 0, which hosts it, may have ended"):
        store.get("from 0", ranks=[0])
    store.close()
    host.close()


def test_pytorchs_iterator_yields_a_store_of_pytorchs_kind(tmp_path):
    port = free_port()
    for method in (f"tcp://127.0.0.1:{port}", f"file://{tmp_path}/meeting"):
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda rank, m=method: next(rendezvous_iterator(m, rank, 2)), range(2)))
        (first, *place), (second, *other) = found
        assert (place, other) == ([0, 2], [1, 2])
        first.multi_set(["a", "b"], ["1", "2"])
        assert second.multi_get(["a", "b"]) == [b"1", b"2"]
        second.close()
        first.close()
    iterator = rendezvous_iterator(f"tcp://127.0.0.1:{port}?rank=0&world_size=1")
    store, rank, size = next(iterator)
    assert (rank, size, store.add("n", 1)) == (0, 1, 1)
    with pytest.raises(RuntimeError, match="rerendezvous"):
        next(iterator)
    store.close()


def test_a_scheme_of_ones_own_can_be_registered(monkeypatch):
    monkeypatch.setattr("distrt.comm.rendezvous._registered", {})
    store = HashStore()
    seen = []

    def handler(url, timeout):
        seen.append((url, timeout.total_seconds()))
        yield store, 0, 2

    register_rendezvous_handler("pigeon", handler)
    with pytest.raises(RuntimeError, match="already registered"):
        register_rendezvous_handler("pigeon", handler)
    with pytest.raises(RuntimeError, match="already registered"):
        register_rendezvous_handler("tcp", handler)
    environment, found = rendezvous("pigeon://loft?x=1", 0, 2, 3)
    found.set("a", b"b")
    assert (environment.rank, environment.world_size) == (0, 2)
    assert store.list_keys() == ["default_pg/a"]
    assert seen == [("pigeon://loft?x=1&rank=0&world_size=2", 3.0)]
    assert next(rendezvous_iterator("pigeon://loft")) == (store, 0, 2)
