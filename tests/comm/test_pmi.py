"""The PMI-1 server, spoken to as MPICH speaks to it: what each command is answered, and how ranks meet."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from distrt.comm.mpi.pmi import PmiServer, process_mapping
from distrt.core.errors import RendezvousError


class Board:
    """A store in memory."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def get(self, key: str, *, ranks: Iterable[int] = ()) -> bytes:
        return self.values[key]

    def add(self, key: str, amount: int) -> int:
        with self.lock:
            total = int(self.values.get(key, b"0")) + amount
            self.values[key] = str(total).encode()
        return total


class Client:
    """What MPICH does with PMI_FD."""

    def __init__(self, server: PmiServer) -> None:
        self.server = server
        self.connection = socket.socket(fileno=int(server.variables()["PMI_FD"]))
        self.lines = self.connection.makefile()
        self.kept: list[int] = []  # descriptors that the server leaves open

    def say(self, line: str) -> None:
        self.connection.sendall(line.encode() + b"\n")

    def ask(self, line: str) -> str:
        self.say(line)
        return self.hear()

    def hear(self) -> str:
        self.connection.settimeout(10)
        return self.lines.readline().strip()

    def be_told_farewell(self) -> None:
        self.kept = [self.server._connection.fileno(), self.server._client.fileno()]
        self.server.farewell()

    def close(self) -> None:
        self.server.close()
        self.lines.close()
        self.connection.detach()  # the server has closed the descriptor, or it is among those that are kept
        for end in self.kept:
            os.close(end)


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A client of a new server: ``connect(rank, size, board, **options)``."""
    clients: list[Client] = []

    def make(rank: int = 0, size: int = 1, board: Board | None = None, **options: object) -> Client:
        clients.append(Client(PmiServer(rank, size, board or Board(), "job", **options)))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (
            "cmd=init pmi_version=1 pmi_subversion=1",
            "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0",
        ),
        ("cmd=get_maxes", "cmd=maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=1024"),
        ("cmd=get_appnum", "cmd=appnum rc=0 appnum=0"),
        ("cmd=get_universe_size", "cmd=universe_size rc=0 size=1"),
        ("cmd=get_my_kvsname", "cmd=my_kvsname rc=0 kvsname=job"),
        ("cmd=get kvsname=job key=absent", "cmd=get_result rc=-1 msg=key_not_found value=unknown"),
        ("cmd=barrier_in", "cmd=barrier_out rc=0"),
        ("cmd=finalize", "cmd=finalize_ack rc=0"),
        ("cmd=publish_name service=s port=p", "cmd=publish_name_result rc=-1 msg=not_supported"),
        ("mcmd=spawn\nnprocs=1\nexecname=x\nendcmd", "cmd=spawn_result rc=-1 msg=not_supported"),
    ],
)
def test_each_command_is_answered(connect: Connect, command: str, answer: str) -> None:
    assert connect().ask(command) == answer


def test_the_variables_say_which_rank_of_how_many(connect: Connect) -> None:
    variables = connect(2, 5).server.variables()
    assert (variables["PMI_RANK"], variables["PMI_SIZE"], variables["PMI_SPAWNED"]) == ("2", "5", "0")


def test_what_one_rank_puts_another_gets(connect: Connect) -> None:
    board = Board()
    first, second = connect(0, 2, board), connect(1, 2, board)
    assert first.ask("cmd=put kvsname=job key=bc-0 value=a=b#c") == "cmd=put_result rc=0 msg=success"
    assert second.ask("cmd=get kvsname=job key=bc-0") == "cmd=get_result rc=0 msg=success value=a=b#c"


def test_commands_may_come_in_pieces_or_together(connect: Connect) -> None:
    client = connect()
    client.connection.sendall(b"cmd=get_app")
    time.sleep(0.02)
    client.connection.sendall(b"num\ncmd=get_universe_size\n")
    assert [client.hear(), client.hear()] == ["cmd=appnum rc=0 appnum=0", "cmd=universe_size rc=0 size=1"]


def test_a_barrier_opens_when_the_last_rank_has_come(connect: Connect) -> None:
    board = Board()
    clients = [connect(rank, 3, board) for rank in range(3)]
    for _ in range(2):
        for client in clients[:2]:
            client.say("cmd=barrier_in")
        clients[0].connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            clients[0].connection.recv(1, socket.MSG_PEEK)
        clients[2].say("cmd=barrier_in")
        assert [client.hear() for client in clients] == ["cmd=barrier_out rc=0"] * 3


def test_a_rank_that_does_not_come_is_a_failure_for_all(connect: Connect) -> None:
    reasons: list[str] = []
    board = Board()
    clients = [connect(rank, 3, board, timeout_s=0.2 + rank, on_failure=reasons.append) for rank in range(2)]
    for client in clients:
        client.say("cmd=barrier_in")
    deadline = time.monotonic() + 0.9  # less than rank 1's own time-out
    while len(reasons) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(reasons) == [
        "rank 0: waited 0.2 s for 1 of 3 ranks to start MPI",
        "rank 1: rank 0: waited 0.2 s for 1 of 3 ranks to start MPI",
    ]


def test_mpich_giving_up_is_a_failure_with_its_words(connect: Connect) -> None:
    reasons: list[str] = []
    client = connect(on_failure=reasons.append)
    client.say("cmd=abort exitcode=15 message=no network")
    client.server._thread.join(5)
    assert reasons == ["rank 0: MPICH gave up: cmd=abort exitcode=15 message=no network"]


def test_a_store_that_is_gone_is_a_failure(connect: Connect) -> None:
    class Gone(Board):
        def set(self, key: str, value: bytes) -> None:
            raise RendezvousError("the connection is closed")

    reasons: list[str] = []
    client = connect(board=Gone(), on_failure=reasons.append)
    client.say("cmd=put kvsname=job key=k value=v")
    client.server._thread.join(5)
    assert reasons == ["rank 0: the connection is closed"]


def test_a_sealed_server_needs_no_store_and_says_farewell_ahead(connect: Connect) -> None:
    client = connect(0, 4)
    client.server.seal()
    assert client.ask("cmd=barrier_in") == "cmd=barrier_out rc=0"
    met: list[str] = []
    client.server.seal(lambda: met.append("here"))
    assert client.ask("cmd=barrier_in") == "cmd=barrier_out rc=0" and met == ["here"]
    client.be_told_farewell()
    assert not client.server._thread.is_alive()  # nothing wakes it while the process exits
    assert client.ask("cmd=finalize") == "cmd=finalize_ack rc=0"  # though nobody listens


def test_who_has_said_its_last_word_is_not_answered_again(connect: Connect) -> None:
    client = connect()
    assert client.ask("cmd=finalize") == "cmd=finalize_ack rc=0"
    client.be_told_farewell()
    assert not client.server._thread.is_alive()
    client.connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.connection.recv(1)


@pytest.mark.parametrize(
    ("machines", "mapping"),
    [
        ([0], "(vector,(0,1,1))"),
        ([0, 0, 0], "(vector,(0,1,3))"),
        ([0, 1, 2], "(vector,(0,3,1))"),
        ([0, 0, 1, 1], "(vector,(0,2,2))"),
        ([0, 1, 0, 1, 0, 1], "(vector,(0,2,1))"),
        ([0, 0, 0, 1], "(vector,(0,1,3),(1,1,1))"),
        ([0, 0, 1, 1, 2], "(vector,(0,2,2),(2,1,1))"),
        ([1, 1, 0, 0], "(vector,(1,1,2),(0,1,2))"),
        ([0, 1, 1, 0], "(vector,(0,1,1),(1,1,2))"),  # MPICH starts again with the first
        ([0, 2, 2, 1], "(vector,(0,1,1),(2,1,2),(1,1,1))"),
    ],
)
def test_the_mapping_says_who_shares_a_machine(machines: list[int], mapping: str) -> None:
    assert process_mapping(machines) == mapping
    assert placed(mapping, len(machines)) == machines


def test_a_mapping_that_is_too_long_is_left_to_mpich() -> None:
    assert process_mapping([(rank * rank * rank) % 1009 for rank in range(500)]) is None


def test_a_job_name_is_one_word() -> None:
    with pytest.raises(ValueError, match="no spaces"):
        PmiServer(0, 1, Board(), "two words")


def placed(mapping: str, size: int) -> list[int]:
    """MPICH's reading of a mapping: ranks fill the blocks in turn, from the first again after the last."""
    blocks = eval(mapping.removeprefix("(vector,").removesuffix(")") + ",")
    machines: list[int] = []
    while len(machines) < size:
        for first, count, width in blocks:
            machines += [first + each for each in range(count) for _ in range(width)]
    return machines[:size]
