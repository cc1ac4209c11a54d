"""Where tasks of ``srun --mpi=pmi2`` on several machines meet: they tell one another through Slurm's PMI.

Slurm connects the tasks before there is any address or secret, so rank 0 serves the store at a free port, and its
addresses and a secret drawn anew travel by PMI. MPICH is then started through that store, and not through Slurm's PMI:
Slurm cuts requests of more than 1024 bytes, though it announces values of 1024, and MPICH's addresses between machines
make such requests (MPICH 5.0.2 and Slurm 22.05: four of a dozen starts waited for ever, or were killed).

``distrt.comm.rendezvous`` calls this. Standard library only.

Source: the PMI-1 wire protocol, https://www.mcs.anl.gov/papers/P1760.pdf; Slurm's ``src/plugins/mpi/pmi2/pmi1.c``.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from dataclasses import replace

from distrt.comm.environment import Environment
from distrt.comm.machines.address import connect_any, listening_place, network_place
from distrt.comm.stores.client import Store, connect_store, host_store
from distrt.core.errors import RendezvousError

__all__ = ["PmiClient", "can_meet_through_pmi", "connect_through_pmi", "has_mpi_begun"]

_PIECE = 400  # characters of a value in one request, far below Slurm's 1024
_MAX_LINE = 1 << 16


class PmiClient:
    """A task's conversation with the process manager that started it; the values are shared at each `fence`.

    Args:
        fd: the connection that the process manager left open; it is closed at `finish`.
        timeout_s: how long to wait for the other tasks.

    Raises:
        RendezvousError: the process manager hangs up, does not answer in time, or does not speak PMI-1.
    """

    def __init__(self, fd: int, timeout_s: float) -> None:
        self._connection = socket.socket(fileno=fd)
        self._timeout_s = timeout_s
        self._waiting = b""
        try:
            self._ask("init pmi_version=1 pmi_subversion=1", "response_to_init")
            self._job = self._ask("get_my_kvsname", "my_kvsname")["kvsname"]
        except BaseException:
            self.close()
            raise

    def put(self, key: str, value: bytes) -> None:
        """Set ``key`` for all tasks, from the next fence on."""
        text = value.hex()
        pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
        for number, piece in enumerate([str(len(pieces)), *pieces]):
            self._ask(f"put kvsname={self._job} key={key}-{number} value={piece}", "put_result")

    def get(self, key: str) -> bytes:
        """Return what a task has put before the last fence."""
        count = int(self._get(f"{key}-0"))
        return bytes.fromhex("".join(self._get(f"{key}-{number}") for number in range(1, count + 1)))

    def fence(self) -> None:
        """Wait until all tasks have called this."""
        self._ask("barrier_in", "barrier_out")

    def finish(self) -> None:
        """Say goodbye, without which Slurm would take the task's end for a failure."""
        self._ask("finalize", "finalize_ack")
        self.close()

    def close(self) -> None:
        """Hang up; a second call does nothing."""
        self._connection.close()

    def _get(self, key: str) -> str:
        return self._ask(f"get kvsname={self._job} key={key}", "get_result")["value"]

    def _ask(self, request: str, expected: str) -> dict[str, str]:
        what = request.partition(" ")[0]
        try:
            self._connection.sendall(f"cmd={request}\n".encode())
            answer = self._receive()
        except TimeoutError:
            raise RendezvousError(f"PMI: {what} waited {self._timeout_s:g} s for the other tasks") from None
        except OSError as error:
            raise RendezvousError(f"PMI: {what}: the process manager does not answer ({error})") from error
        words = dict(word.split("=", 1) for word in answer.split() if "=" in word)
        if words.get("cmd") != expected or words.get("rc", "0") != "0":
            raise RendezvousError(f"PMI: the process manager answers {what} with {answer!r}")
        return words

    def _receive(self) -> str:
        deadline = time.monotonic() + self._timeout_s
        while b"\n" not in self._waiting:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._connection.recv(1 << 12)
            if not data:
                raise ConnectionError("it hung up")
            self._waiting += data
            if len(self._waiting) > _MAX_LINE:
                raise RendezvousError(
                    f"PMI: the process manager sent {_MAX_LINE} bytes without an end of line"
                )
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line.decode(errors="replace")


_met: list[Environment] = []  # none or one: where the tasks have met


def can_meet_through_pmi(environment: Environment) -> bool:
    """Whether Slurm's PMI is there for this rank, or was and has been used; not if the script has started MPI by it."""
    if _met:
        return (environment.rank, environment.world_size) == (_met[0].rank, _met[0].world_size)
    place = (os.environ.get("PMI_RANK"), os.environ.get("PMI_SIZE"))
    if place != (str(environment.rank), str(environment.world_size)) or has_mpi_begun():
        return False
    return _is_socket(os.environ.get("PMI_FD", ""))


def has_mpi_begun() -> bool:
    """Whether the script has started MPI itself."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and bool(mpi.Is_initialized())


def connect_through_pmi(environment: Environment, timeout_s: float) -> tuple[Environment, Store]:
    """Connect this rank to a store that rank 0 hosts. Who meets again, meets at the same place.

    The secret becomes this process's ``DISTRT_JOB_SECRET``, for stores that the script makes, and for its children.

    Returns:
        The environment with the store's address and secret, and the store.

    Raises:
        RendezvousError: not all tasks come in time, or no address of rank 0 can be reached.
    """
    if _met:
        return _met[0], connect_store(_met[0], timeout_s)
    # MPI must not take this connection for its own: it is used up.
    client = PmiClient(int(os.environ.pop("PMI_FD")), timeout_s)
    try:
        met, store = _meet(environment, client, timeout_s)
    except BaseException:
        client.close()
        raise
    os.environ["DISTRT_JOB_SECRET"] = met.secret.hex()
    _met.append(met)
    return met, store


def _meet(environment: Environment, client: PmiClient, timeout_s: float) -> tuple[Environment, Store]:
    rank, size = environment.rank, environment.world_size
    client.put(f"distrt-place-{rank}", network_place())
    client.fence()
    server = None
    if rank == 0:
        host, addresses = listening_place([client.get(f"distrt-place-{other}") for other in range(size)])
        secret = environment.secret or secrets.token_bytes(32)
        server = host_store(host, 0, secret)
        where = {"addresses": addresses, "port": server.port, "secret": secret.hex()}
        client.put("distrt-store", json.dumps(where).encode())
    try:
        client.fence()
        where = json.loads(client.get("distrt-store"))
        client.finish()
        port, secret = int(where["port"]), bytes.fromhex(where["secret"])
        address = connect_any(where["addresses"], port, timeout_s, secret) if server is None else server.host
        met = replace(environment, master_addr=address, master_port=port, secret=secret)
        return met, connect_store(met, timeout_s)
    finally:
        if server is not None:
            server.release()  # the store has a share of its own


def _is_socket(fd: str) -> bool:
    try:
        with socket.socket(fileno=os.dup(int(fd))):
            return True
    except (OSError, ValueError):
        return False
