"""Messages over TCP, between two ends in one process: order, places, what does not fit, broken connections."""

import os
import socket
import struct
import threading
import time
from unittest import mock

import numpy as np
import pytest

from distrt.comm.machines.choice import _chosen
from distrt.comm.tcp.connections import Outgoing
from distrt.comm.tcp.entrance import Entrance
from distrt.comm.tcp.loop import Loop
from distrt.comm.tcp.messages import HEADER_BYTES, SHORT_BYTES, Header, Kind, Receipt, as_bytes
from distrt.comm.tcp.network import TcpNetwork
from distrt.comm.tcp.start import _open, _secret_of
from distrt.core.errors import DistributedError, RendezvousError, SettingError


@pytest.fixture
def loops():
    """Those of ranks 0, 1 and 2, which can send to one another."""
    made = []

    def open_from(rank, to):
        near, far = socket.socketpair()
        made[to].welcome(made[to].incoming(far, rank))
        return Outgoing(near, to)

    made += [Loop(lambda to, rank=rank: open_from(rank, to)) for rank in range(3)]
    yield made
    for loop in made:
        loop.close()


def send(loop, to, array, tag=0, dtype=bytes(16)):
    return loop.send(to, 7, tag, as_bytes(array), dtype)


def receive(loop, source, array, tag=0, dtype=bytes(16)):
    return loop.receive(Receipt(source, 7, tag, array, dtype))


def finish(loops, *transfers, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not all(each.is_done for each in transfers):
        assert time.monotonic() < deadline, "a message did not arrive"
        for loop in loops:
            loop.turn(0.001)
    assert [each.error for each in transfers] == [None] * len(transfers)


@pytest.mark.parametrize("is_awaited", [True, False])
@pytest.mark.parametrize("count", [0, 1, SHORT_BYTES // 4, SHORT_BYTES // 4 + 1, 3_000_000])
def test_a_message_arrives_whatever_its_length_and_whoever_is_first(loops, count, is_awaited):
    sent, got = np.arange(count, dtype=np.float32), np.zeros(count, np.float32)
    receipt = receive(loops[1], 0, got) if is_awaited else None
    sending = send(loops[0], 1, sent)
    if receipt is None:
        for _ in range(3):
            loops[1].turn(0.001)
        receipt = receive(loops[1], 0, got)
    finish(loops, sending, receipt)
    assert np.array_equal(sent, got) and receipt.sender == 0


def test_messages_of_one_tag_arrive_in_their_order_long_ones_among_short_ones(loops):
    lengths = [3, 500_000, 1, 0, 100_000, 7]
    sendings = [send(loops[0], 1, np.full(each, number, np.int32)) for number, each in enumerate(lengths)]
    places = [np.full(each, -1, np.int32) for each in lengths]
    receipts = [receive(loops[1], 0, place) for place in places]
    finish(loops, *sendings, *receipts)
    assert all((place == number).all() for number, place in enumerate(places))


def test_a_tag_passes_others_and_a_long_message_that_nobody_wants_stands_in_no_ones_way(loops):
    unwanted, wanted = send(loops[0], 1, np.zeros(500_000)), send(loops[0], 1, np.ones(2), tag=5)
    place = np.zeros(2)
    finish(loops, wanted, receive(loops[1], 0, place, tag=5))
    assert place.tolist() == [1, 1] and not unwanted.is_done


def test_receives_from_any_rank_take_the_first_that_comes_and_keep_the_order_of_posting(loops):
    places = [np.zeros(1), np.zeros(1), np.zeros(1)]
    receipts = [
        receive(loops[2], source, place) for source, place in zip((None, 0, None), places, strict=True)
    ]
    finish(loops, send(loops[0], 2, np.full(1, 10.0)), receipts[0])
    finish(loops, send(loops[1], 2, np.full(1, 20.0)), receipts[2])
    finish(loops, send(loops[0], 2, np.full(1, 11.0)), receipts[1])
    assert [place[0] for place in places] == [10, 11, 20]
    assert [each.sender for each in receipts] == [0, 0, 1]


@pytest.mark.parametrize("count", [5, 200_000])
def test_a_message_of_another_length_or_dtype_touches_nothing_and_the_next_arrives(loops, count):
    place = np.full(count, -1.0)
    for wrong in (np.ones(count + 1), np.ones(count, np.int64)):
        receipt = receive(loops[1], 0, place, dtype=b"float64".ljust(16, b"\0"))
        finish(loops, send(loops[0], 1, wrong, dtype=wrong.dtype.name.encode().ljust(16, b"\0")), receipt)
        assert not receipt.fits and (place == -1).all()
    finish(loops, send(loops[0], 1, np.ones(count)), receive(loops[1], 0, place))
    assert (place == 1).all()


def test_many_threads_wait_at_once_and_none_is_left_asleep(loops):
    rounds, ends = 200, []

    def play(rank, other, tag):
        place = np.zeros(1)
        for number in range(rounds):
            sending = send(loops[rank], other, np.full(1, float(number)), tag=tag)
            receipt = receive(loops[rank], other, place, tag=tag)
            while not (receipt.is_done and sending.is_done):
                loops[rank].wait([receipt, sending], 5.0)
            assert place[0] == number
        ends.append((rank, tag))

    began = time.monotonic()
    threads = [
        threading.Thread(target=play, args=(rank, 1 - rank, tag)) for rank in (0, 1) for tag in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ends) == 6
    assert time.monotonic() - began < 20, "somebody slept although there was news"


def test_what_is_on_its_way_over_a_connection_that_breaks_fails_and_what_was_sent_arrives(loops):
    place, long = np.zeros(1), np.zeros(500_000)
    sent, waiting = send(loops[0], 1, np.ones(1)), send(loops[0], 1, np.zeros(500_000), tag=1)
    loops[0].close()
    finish(loops[1:], receive(loops[1], 0, place))
    assert sent.is_done and place[0] == 1
    assert waiting.error is not None
    asked = receive(loops[1], 0, long, tag=1)  # it asked before the connection broke
    loops[1].turn(0.1)
    assert asked.is_done and asked.error is not None


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff" * HEADER_BYTES,
        Header(Kind.SHORT, 7, 0, 1, SHORT_BYTES + 1).pack(),
        Header(Kind.LONG, 7, 0, 1, 1 << 60).pack(),
        Header(Kind.TAKE, 7, 0, 1, 8).pack(),
        struct.pack("<B55x", 9),
    ],
    ids=["ones", "too long to come unasked", "nobody has taken it", "an answer to nothing", "no kind"],
)
def test_what_is_no_message_ends_its_connection_and_no_other(loops, rubbish):
    near, far = socket.socketpair()
    loops[1].welcome(loops[1].incoming(far, 2))
    with near:
        near.sendall(rubbish)
        near.settimeout(5.0)
        loops[1].turn(0.1)
        assert near.recv(1) == b""
    place = np.zeros(1)
    finish(loops, send(loops[0], 1, np.ones(1)), receive(loops[1], 0, place))
    assert place[0] == 1


def test_a_forked_child_holds_no_connection(loops):
    finish(loops, send(loops[0], 1, np.ones(1)), receive(loops[1], 0, np.zeros(1)))
    link = loops[0]._outgoing[1].link
    child = os.fork()
    if child == 0:
        os._exit(0 if link.fileno() == -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finish(loops, send(loops[0], 1, np.ones(1)), receive(loops[1], 0, np.zeros(1)))


class _Alive:
    """A lifeline of rank 1, that knows of no death."""

    rank = 1

    def gone(self, rank):
        return None


def test_who_answers_in_the_place_of_another_rank_is_passed_over(monkeypatch):
    """An address may mean this machine here, where another rank of the job listens at the same port."""
    came, create = {2: [], 3: []}, socket.create_server
    wrong = Entrance("127.0.0.1", _secret_of(3, b"job"), 4, lambda link, rank: came[3].append(link))
    monkeypatch.setattr(
        socket, "create_server", lambda address, **how: create((address[0], wrong.port), **how)
    )
    right = Entrance("127.0.0.2", _secret_of(2, b"job"), 4, lambda link, rank: came[2].append((link, rank)))
    try:
        way = {"addresses": ["127.0.0.1", "127.0.0.2"], "port": wrong.port}
        outgoing = _open([{}, {}, way], 10.0, b"job", _Alive(), 2)
        with outgoing.link:
            assert outgoing.link.getpeername()[0] == "127.0.0.2"
        deadline = time.monotonic() + 5
        while not came[2] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [rank for _, rank in came[2]] == [1] and not came[3]
        came[2][0][0].close()
    finally:
        right.close()
        wrong.close()


def test_who_has_said_goodbye_at_exit_starts_no_thread_for_it(monkeypatch):
    lifeline = mock.Mock(rank=1, size=2)
    network = TcpNetwork(mock.Mock(is_idle=True), mock.Mock(), lifeline, 5.0)
    network.communicator([0, 1], "0", 5.0)
    network.end()
    monkeypatch.setattr(threading, "Thread", mock.Mock(side_effect=RuntimeError("at interpreter shutdown")))
    network.leave_group()
    lifeline.leave.assert_called_once_with(True, "")


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (["tcp", "tcp"], "tcp"),
        (["mpi", "mpi"], "mpi"),
        (["mpi", "tcp"], "tcp"),  # one rank has no fast network
        (["tcp", "mpi!"], "mpi"),
        (["mpi", "tcp!", "tcp!"], "tcp"),
    ],
)
def test_all_ranks_choose_one_network(wishes, expected):
    assert _chosen(wishes) == expected


def test_ranks_that_insist_on_different_networks_are_told_which():
    with pytest.raises(RendezvousError, match="rank 2 has DISTRT_NETWORK=mpi, and rank 1 tcp"):
        _chosen(["tcp", "tcp!", "mpi!", "tcp!"])


def test_a_network_that_is_not_known_is_refused(monkeypatch):
    from distrt.comm.environment import Environment
    from distrt.comm.machines.choice import _wish

    monkeypatch.setenv("DISTRT_NETWORK", "ethernet")
    with pytest.raises(SettingError, match="'ethernet': expected mpi, tcp, or nothing"):
        _wish(Environment(0, 2, 0, 1, source="script"), wants_mpi=False)


def test_a_header_says_what_is_wrong_with_it():
    with pytest.raises(DistributedError, match="no header of a message"):
        Header.read(bytearray(Header(Kind.SHORT, 0, 0, 0, SHORT_BYTES + 1).pack()))
