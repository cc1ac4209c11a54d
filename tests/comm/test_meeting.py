"""Tasks that meet through the PMI of who started them: here, a process manager as short-tempered as Slurm's."""

import os
import socket
import threading

import pytest

from distrt.comm.environment import Environment
from distrt.comm.mpi import meeting
from distrt.core.errors import RendezvousError

LONGEST_LINE = 1024  # Slurm cuts longer requests


class Manager:
    """Serves PMI-1 to ``size`` tasks, as Slurm does: a value is there after the next barrier."""

    def __init__(self, size):
        self.values, self.ended = {}, 0
        self.barrier = threading.Barrier(size)
        self.lock = threading.Lock()
        pairs = [socket.socketpair() for _ in range(size)]
        self.fds = [client.detach() for _, client in pairs]
        self.threads = [threading.Thread(target=self.serve, args=(server,)) for server, _ in pairs]
        for thread in self.threads:
            thread.start()

    def serve(self, connection):
        with connection, connection.makefile("r") as lines:
            for line in lines:
                assert len(line) <= LONGEST_LINE
                words = dict(word.split("=", 1) for word in line.split())
                connection.sendall((self.answer(**words) + "\n").encode())

    def answer(self, cmd, key=None, value=None, **rest):
        with self.lock:
            match cmd:
                case "init":
                    return "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"
                case "get_my_kvsname":
                    return "cmd=my_kvsname rc=0 kvsname=7.0"
                case "put":
                    self.values[key] = value
                    return "cmd=put_result rc=0"
                case "get":
                    if key in self.values:
                        return f"cmd=get_result rc=0 value={self.values[key]}"
                    return "cmd=get_result rc=1"
                case "finalize":
                    self.ended += 1
                    return "cmd=finalize_ack rc=0"
        self.barrier.wait(30)
        return "cmd=barrier_out"

    def close(self):
        for thread in self.threads:
            thread.join(10)


def in_threads(function, size):
    results, threads = [None] * size, []
    for rank in range(size):
        threads.append(threading.Thread(target=lambda rank=rank: results.__setitem__(rank, function(rank))))
        threads[-1].start()
    for thread in threads:
        thread.join(30)
    return results


def test_values_of_any_length_are_shared_at_a_fence():
    manager = Manager(3)

    def talk(rank):
        client = meeting.PmiClient(manager.fds[rank], 10.0)
        client.put(f"mine-{rank}", bytes([rank]) * 1000 * rank)
        client.fence()
        found = [client.get(f"mine-{other}") for other in range(3)]
        client.finish()
        return found

    assert in_threads(talk, 3) == [[b"", b"\1" * 1000, b"\2" * 2000]] * 3
    manager.close()
    assert manager.ended == 3


def test_tasks_meet_in_a_store_with_a_secret_and_meet_there_again(monkeypatch):
    manager = Manager(2)
    monkeypatch.setattr(meeting, "_met", [])

    def meet(rank):
        place = Environment(rank, 2, 0, 1, source="Slurm")
        met, store = meeting._meet(place, meeting.PmiClient(manager.fds[rank], 10.0), 10.0)
        with store:
            store.set(f"from-{rank}", str(rank))
            assert store.get(f"from-{1 - rank}", 10.0) == str(1 - rank).encode()
        return met

    mine, other = in_threads(meet, 2)
    assert mine.secret == other.secret and len(mine.secret) == 32
    assert (mine.master_addr, mine.master_port) == (other.master_addr, other.master_port)
    assert mine.master_addr == "127.0.0.1"
    manager.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"cmd=response_to_init rc=-1\n", "answers init with 'cmd=response_to_init rc=-1'"),
        (b"what?\n", "answers init with 'what\\?'"),
        (None, "does not answer"),
        (b"", "init waited 0.2 s for the other tasks"),
    ],
)
def test_a_process_manager_that_fails_is_named(answer, message):
    ours, theirs = socket.socketpair()
    with ours:
        if answer is None:
            ours.shutdown(socket.SHUT_RDWR)
        else:
            ours.sendall(answer)
        with pytest.raises(RendezvousError, match=message):
            meeting.PmiClient(theirs.detach(), 0.2)


def test_pmi_is_used_only_where_it_is_this_ranks(monkeypatch):
    place = Environment(1, 2, 0, 1, source="Slurm")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for name, value in {"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_FD": str(theirs.fileno())}.items():
            monkeypatch.setenv(name, value)
        assert meeting.can_meet_through_pmi(place)
        assert not meeting.can_meet_through_pmi(Environment(0, 2, 0, 1, source="Slurm"))
        with open(os.devnull) as file:
            monkeypatch.setenv("PMI_FD", str(file.fileno()))
            assert not meeting.can_meet_through_pmi(place)
        monkeypatch.setenv("PMI_FD", "x")
        assert not meeting.can_meet_through_pmi(place)
