"""Start-up of MPICH without mpiexec: a server of PMI-1 for one rank, on top of the job's key-value store.

MPICH finds its place through ``PMI_FD``, a socket to its process manager. `PmiServer` holds the other end and
relays what MPICH puts, gets and waits for to a store, so that any ranks that share a store can start MPI
together, on one machine or on several. A rank serves itself from a thread (``distrt.comm.mpi.start``); a
launcher may serve its children. Standard library only.

Source: the PMI-1 wire protocol, https://www.mcs.anl.gov/papers/P1760.pdf and MPICH's ``src/pmi``.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from distrt.comm.stores.board import Board
from distrt.core.errors import RendezvousError

__all__ = ["PmiServer", "process_mapping"]

_log = logging.getLogger(__name__)

_MAX_KEY, _MAX_VALUE, _MAX_NAME = 64, 1024, 256  # what MPICH's own process manager offers
_MAX_LINE = 1 << 16
_END_S = 2.0  # for the thread to end, which waits for nobody then
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.02  # between looks at the store while ranks are awaited


class PmiServer:
    """Serves one rank's MPICH from a daemon thread. The store is used from that thread, one request at a time.

    Args:
        rank: the rank that is served.
        size: how many ranks start together.
        board: the store that all of them share.
        name: the job's name, the same on every rank and never used before with this store; no spaces.
        machines: per rank, the number of its machine; ranks of one number share memory. None: MPICH finds out.
        timeout_s: how long a rank waits for the others.
        on_failure: called once, from the thread, with the reason why MPI cannot start or has given up. MPICH
            is then left without an answer, because to an error it answers by ending the process.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        board: Board,
        name: str,
        *,
        machines: Sequence[int] | None = None,
        timeout_s: float = 300.0,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        if len(name) >= _MAX_NAME or any(character.isspace() for character in name):
            raise ValueError(
                f"a PMI job name has no spaces and at most {_MAX_NAME - 1} characters, got {name!r}"
            )
        self.rank, self.size, self.name = rank, size, name
        self.failure: str | None = None
        self._board: Board | None = board
        self._mapping = None if machines is None else process_mapping(machines)
        self._timeout_s = timeout_s
        self._on_failure = on_failure
        self._barriers = 0
        self._is_over = False  # the client's last word is answered
        self._meet_otherwise: Callable[[], object] | None = None
        self._connection, self._client = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"distrt-pmi-{rank}", daemon=True)
        self._thread.start()

    @property
    def client_fd(self) -> int:
        """The end that the rank's process must have open; a launcher passes it on and then calls `let_go`."""
        return self._client.fileno()

    def variables(self) -> dict[str, str]:
        """What the rank's environment must say while MPI starts."""
        return {
            "PMI_FD": str(self.client_fd),
            "PMI_RANK": str(self.rank),
            "PMI_SIZE": str(self.size),
            "PMI_SPAWNED": "0",
        }

    def look_for_failure(self) -> str | None:
        """Why MPI cannot start, if this rank or another has found out."""
        return self.failure or self._look_up("failed")

    def let_go(self) -> None:
        """Close this process's copy of the rank's end, once the rank has its own."""
        self._client.close()

    def seal(self, meet: Callable[[], object] | None = None) -> None:
        """Let go of the store, which may be gone when MPI ends.

        Args:
            meet: returns when all ranks have called it; from here on, what a barrier does.
        """
        self._board = None
        self._meet_otherwise = meet

    def farewell(self) -> None:
        """After MPI was finalised: send the answer to MPI's last word ahead, and keep the connection open.

        MPICH says that word, and waits for the answer, in an exit handler, when Python has no threads any more. Intel
        MPI has said it by then, and has its answer. The thread ends now: that word must not wake it amid the handlers.
        """
        is_said, self._is_over = self._is_over, True
        if not is_said:
            with contextlib.suppress(OSError):
                self._send("cmd=finalize_ack rc=0")
                self._client.sendall(b"cmd=finalize\n")  # in MPICH's stead, for the thread
        self._thread.join(_END_S)
        self._connection.detach()
        self._client.detach()

    def close(self) -> None:
        """End the thread and the connection; a second call does nothing."""
        for end in (self._connection, self._client):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self) -> None:
        try:
            for line in _lines(self._connection):
                words = dict(word.split("=", 1) for word in line.split() if "=" in word)
                command = words.get("cmd") or words.get("mcmd") or ""
                if command == "abort":
                    self._fail(f"MPICH gave up: {line}")
                    return
                answer = self._answer(command, words)
                if answer is not None:
                    self._send(answer)
                if self._is_over:
                    return
        except (OSError, ValueError, RendezvousError) as error:
            if self._connection.fileno() >= 0:
                self._fail(str(error))

    def _send(self, answer: str) -> None:
        self._connection.sendall(answer.encode() + b"\n")

    def _fail(self, reason: str) -> None:
        if self.failure is not None:
            return
        self.failure = f"rank {self.rank}: {reason}"
        with contextlib.suppress(OSError, RendezvousError):  # the store may be what failed
            self._note("failed", self.failure)
        if self._on_failure is not None:
            self._on_failure(self.failure)

    def _answer(self, command: str, words: dict[str, str]) -> str | None:
        match command:
            case "init":
                return "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"
            case "get_maxes":
                return f"cmd=maxes rc=0 kvsname_max={_MAX_NAME} keylen_max={_MAX_KEY} vallen_max={_MAX_VALUE}"
            case "get_appnum":
                return "cmd=appnum rc=0 appnum=0"
            case "get_universe_size":
                return f"cmd=universe_size rc=0 size={self.size}"
            case "get_my_kvsname":
                return f"cmd=my_kvsname rc=0 kvsname={self.name}"
            case "put":
                return self._put(words["key"], words.get("value", ""))
            case "get":
                return self._get(words["key"])
            case "barrier_in":
                self._meet()
                return "cmd=barrier_out rc=0"
            case "finalize":
                is_said, self._is_over = self._is_over, True
                return None if is_said else "cmd=finalize_ack rc=0"
        _log.debug("rank %d: PMI command %r is not served", self.rank, command)
        answered = "spawn_result" if command == "spawn" else f"{command}_result"
        return f"cmd={answered} rc=-1 msg=not_supported"

    def _put(self, key: str, value: str) -> str:
        self._note(key, value)
        return "cmd=put_result rc=0 msg=success"

    def _get(self, key: str) -> str:
        value = self._mapping if key == "PMI_process_mapping" else self._look_up(key)
        if value is None:
            return "cmd=get_result rc=-1 msg=key_not_found value=unknown"
        return f"cmd=get_result rc=0 msg=success value={value}"

    def _note(self, key: str, value: str) -> None:
        if self._board is not None:
            self._board.set(f"{self.name}/{key}", value.encode())
            self._board.add(f"{self.name}/{key}/is-set", 1)

    def _look_up(self, key: str) -> str | None:
        # MPICH asks for what was put before a barrier, and for options that may not be there: nobody waits here.
        board = self._board
        if board is None or board.add(f"{self.name}/{key}/is-set", 0) == 0:
            return None
        return board.get(f"{self.name}/{key}").decode()

    def _meet(self) -> None:
        board = self._board
        if board is None:
            if self._meet_otherwise is not None:
                self._meet_otherwise()
            return
        self._barriers += 1
        door = f"{self.name}/barrier-{self._barriers}"
        come = board.add(door, 1)
        deadline, pause_s = time.monotonic() + self._timeout_s, _FIRST_PAUSE_S
        while come < self.size:
            if (failure := self._look_up("failed")) is not None:
                raise RendezvousError(failure)
            if time.monotonic() >= deadline:
                raise RendezvousError(
                    f"waited {self._timeout_s:g} s for {self.size - come} of {self.size} ranks to start MPI"
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            come = board.add(door, 0)


def _lines(connection: socket.socket) -> Iterator[str]:
    """The commands of one client, until it closes; several lines up to ``endcmd`` are one command."""
    waiting, multiple = b"", False
    while data := connection.recv(1 << 16):
        *whole, waiting = (waiting + data).split(b"\n")
        if len(waiting) > _MAX_LINE:
            raise ValueError(f"MPICH sent more than {_MAX_LINE} bytes without an end of line")
        for line in whole:
            text = line.decode(errors="replace")
            multiple = multiple or text.startswith("mcmd=")
            if multiple and text != "endcmd":
                continue
            yield "mcmd=spawn" if multiple else text
            multiple = False


def process_mapping(machines: Sequence[int]) -> str | None:
    """Which ranks share a machine, as MPICH reads it: ``(vector,(first machine,machines,ranks on each),…)``.

    MPICH repeats the vector until every rank has a place, so that a round robin is one entry. None where the
    text would be longer than a value may be: MPICH then compares the names of the hosts.
    """
    runs: list[list[int]] = []  # [first machine, how many machines, ranks on each]
    for rank, machine in enumerate(machines):
        if rank and machine == machines[rank - 1]:
            runs[-1][2] += 1
        else:
            runs.append([machine, 1, 1])
    blocks: list[list[int]] = []
    for first, _, width in runs:
        if blocks and blocks[-1][2] == width and blocks[-1][0] + blocks[-1][1] == first:
            blocks[-1][1] += 1
        else:
            blocks.append([first, 1, width])
    period = next(n for n in range(1, len(blocks) + 1) if blocks == (blocks[:n] * len(blocks))[: len(blocks)])
    text = ",".join(f"({first},{count},{width})" for first, count, width in blocks[:period])
    mapping = f"(vector,{text})"
    return mapping if len(mapping) < _MAX_VALUE else None
