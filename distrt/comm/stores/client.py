"""The key-value store through which ranks find one another: its client, and where to find the server.

``init_process_group`` calls ``connect_store``. The methods carry PyTorch's names; time-outs are seconds.
Standard library only.
"""

import os
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from distrt.comm.environment import Environment
from distrt.comm.stores import wire
from distrt.comm.stores.door import keep_alive
from distrt.comm.stores.server import StoreServer
from distrt.core.errors import (
    AuthenticationError,
    DistNetworkError,
    DistStoreError,
    RendezvousError,
    SettingError,
)

__all__ = ["Store", "StoreServer", "connect_store", "host_store"]

_HANDSHAKE_PATIENCE_S = 1.0  # how long calls are repeated that somebody takes and hangs up
_ANSWER_GRACE_S = 30.0  # how much later than its own time-out a live server on a busy machine may answer
_LONGEST_DIAL_S = 3600.0  # one attempt; a socket's time-out ends after 24 days
_LONGEST_WAIT_S = 1e9  # what somebody means who says for ever


def connect_store(environment: Environment, timeout_s: float = 300.0) -> "Store":
    """Connect this rank to its job's store, hosting the store where that falls to this rank.

    Under ``distrt-launch`` the launcher hosts it. Elsewhere rank 0 hosts it at ``MASTER_ADDR:MASTER_PORT``
    inside its own process, until it has left and so have the others. A world of 1 needs no address.

    Raises:
        RendezvousError: nothing answers within ``timeout_s``, the port is taken, or the address is not set.
        AuthenticationError: the store holds another secret.
    """
    rank, secret = environment.rank, environment.secret
    if environment.store_addr is not None:
        host, port = _split_address(environment.store_addr)
        return Store(host, port, rank=rank, secret=secret, timeout_s=timeout_s, host_name="the launcher")
    host, port = _master_address(environment)
    server = host_store(host, port, secret) if rank == 0 else None
    port = port if server is None else server.port
    try:
        return Store(
            host,
            port,
            rank=rank,
            secret=secret,
            timeout_s=timeout_s,
            server=server,
            host_name="rank 0, which hosts it,",
        )
    except BaseException:
        if server is not None:
            server.release()
        raise


def _master_address(environment: Environment) -> tuple[str, int]:
    if environment.world_size == 1 and environment.master_port is None:
        return "127.0.0.1", 0
    wanted = {"MASTER_ADDR": environment.master_addr, "MASTER_PORT": environment.master_port}
    missing = [name for name, value in wanted.items() if value is None]
    if environment.master_addr is None or environment.master_port is None:
        raise SettingError(
            f"rank {environment.rank} of {environment.world_size} does not know where to meet the others: "
            f"environment variable {missing[0]} expected, but not set; set MASTER_ADDR and MASTER_PORT on every rank, "
            f"give init_method='tcp://HOST:PORT', or start the script with distrt-launch"
        )
    return environment.master_addr, environment.master_port


#: The servers that this process hosts, by address: a script that joins, leaves and joins again meets at one address,
#: where ranks that are ahead may be connected already.
_hosted: weakref.WeakValueDictionary[tuple[str, int], StoreServer] = weakref.WeakValueDictionary()


def host_store(host: str, port: int, secret: bytes) -> StoreServer:
    """Host a store, or take one more share in the one that this process hosts at the address.

    Raises:
        RendezvousError: the address is taken or is not this machine's, or needs a secret.
    """
    former = _hosted.get((host, port))
    if former is not None:
        if former.retain(secret):
            return former
        if former.is_ending:
            former.close()  # waits until the port is free
    try:
        server = StoreServer(host, port, secret=secret)
    except OSError as error:
        raise DistNetworkError(
            f"rank 0 cannot host the store at {host}:{port}: {error.strerror or error}; "
            f"choose another MASTER_PORT, and a MASTER_ADDR that is rank 0's own"
        ) from error
    _hosted[host, server.port] = server
    return server


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"DISTRT_STORE_ADDR={address!r} is not host:port")
    return host, int(port)


class Store:
    """One rank's connection to the store; usable from several threads, one request at a time.

    ``timeout_s`` bounds the connecting and is every wait's default. ``server`` is a server that this
    connection releases when it closes, or is collected. ``host_name`` says in errors who hosts the store.

    Raises:
        RendezvousError: nothing that speaks the protocol answers within ``timeout_s``.
        AuthenticationError: the server holds another secret.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        rank: int | None = None,
        secret: bytes = b"",
        timeout_s: float = 300.0,
        server: StoreServer | None = None,
        host_name: str = "the process that hosts it",
    ) -> None:
        self.address = f"{host}:{port}"
        self._host = host_name
        self.timeout_s = timeout_s
        self._rank = rank
        self._server = server
        self._lock = threading.Lock()
        self._reader = wire.FrameReader(wire.MAX_HANDSHAKE_BYTES)
        self._seal: wire.Seal | None = None
        self._connection: socket.socket | None = self._connect(host, port, secret)
        self._leave = weakref.finalize(self, _leave, self._connection, server)
        _connected.add(self)

    def set(self, key: str, value: bytes | str) -> None:
        """Set ``key`` to ``value``; text is stored as UTF-8."""
        self._request({"op": "set", "key": key, "value": _bytes(value)})

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        """Wait until ``key`` is set and return its value; see ``wait`` for the arguments and errors."""
        return wire.decode_value(self._wait([key], timeout_s, ranks, wants_value=True).get("value"))

    def add(self, key: str, amount: int) -> int:
        """Add ``amount`` to the number at ``key`` (0 where unset) and return the sum."""
        return int(self._request({"op": "add", "key": key, "amount": amount})["total"])

    def wait(self, keys: Sequence[str], timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> None:
        """Wait until all ``keys`` are set.

        ``ranks`` are the ranks that set them, where the caller knows: if one of them ends, the wait fails at
        once.

        Raises:
            RendezvousError: the time is up, or a rank ended that had not joined (both are named).
        """
        self._wait(list(keys), timeout_s, ranks, wants_value=False)

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set ``key`` if its value is ``expected`` (empty: if it is unset), and return what is there then."""
        request = {
            "op": "compare_set",
            "key": key,
            "expected": _encode(expected),
            "desired": _encode(desired),
        }
        return wire.decode_value(self._request(request).get("value"))

    def append(self, key: str, value: bytes | str) -> None:
        """Put ``value`` behind what is at ``key``."""
        self._request({"op": "append", "key": key, "value": _bytes(value)})

    def push(self, key: str, value: bytes | str) -> None:
        """Put ``value`` at the end of the queue ``key``."""
        self._request({"op": "push", "key": key, "value": _bytes(value)})

    def pop(self, key: str, timeout_s: float | None = None) -> bytes:
        """Wait until the queue ``key`` has an element, and take the first."""
        return wire.decode_value(self._wait([key], timeout_s, (), wants_value=True, pops=True).get("value"))

    def queue_length(self, key: str) -> int:
        """Return how many elements the queue ``key`` has."""
        return int(self._request({"op": "queue_length", "key": key})["count"])

    def list_keys(self) -> list[str]:
        """Return the keys that are set."""
        found: list[str] = []
        while True:
            answer = self._request({"op": "list_keys", "start": len(found)})
            found += [str(key) for key in answer["keys"]]
            if not answer["are_more"]:
                return list(dict.fromkeys(found))  # the keys may have changed between two answers

    def check(self, keys: Sequence[str]) -> bool:
        """Return whether all ``keys`` are set, without waiting."""
        return bool(self._request({"op": "check", "keys": list(keys)})["found"])

    def delete_key(self, key: str) -> bool:
        """Delete ``key`` and return whether it was set."""
        return bool(self._request({"op": "delete_key", "key": key})["found"])

    def num_keys(self) -> int:
        """Return how many keys are set."""
        return int(self._request({"op": "num_keys"})["count"])

    def clock_ns(self) -> int:
        """Return the time where the store is, by its machine's monotonic clock."""
        return int(self._request({"op": "clock"})["ns"])

    def close(self) -> None:
        """Close the connection; a second call does nothing.

        A server that this rank hosts serves the others until they have left, too.
        """
        self._connection = None
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.address}, rank={self._rank}{', hosting' if self._server is not None else ''})"

    def _wait(
        self,
        keys: list[str],
        timeout_s: float | None,
        ranks: Iterable[int],
        *,
        wants_value: bool,
        pops: bool = False,
    ) -> wire.Message:
        timeout_s = min(self.timeout_s if timeout_s is None else timeout_s, _LONGEST_WAIT_S)
        request = {
            "op": "wait",
            "keys": keys,
            "ranks": list(ranks),
            "timeout_s": timeout_s,
            "wants_value": wants_value,
            "pops": pops,
        }
        return self._request(request, timeout_s)

    def _request(self, message: wire.Message, timeout_s: float = 0.0) -> wire.Message:
        with self._lock:
            answer = self._exchange(message, timeout_s)
        if "error" in answer:
            raise DistStoreError(f"store at {self.address}: {answer.get('text')}")
        return answer

    def _exchange(self, message: wire.Message, timeout_s: float) -> wire.Message:
        operation = str(message["op"])
        if self._connection is None:
            raise DistNetworkError(
                f"{self._who()}: {operation}: the connection to the store at {self.address} is closed"
            )
        frame = wire.encode_frame(message, self._seal)
        try:
            self._connection.settimeout(_ANSWER_GRACE_S)
            self._connection.sendall(frame)
            return wire.receive(
                self._connection, self._reader, time.monotonic() + timeout_s + _ANSWER_GRACE_S
            )
        except (OSError, RendezvousError) as error:
            self._disconnect()
            raise DistNetworkError(
                f"{self._who()}: {operation}: the store at {self.address} does not answer ({error}); "
                f"{self._host} may have ended"
            ) from error
        except BaseException:  # an interrupted exchange leaves its answer on the wire
            self._disconnect()
            raise

    def _connect(self, host: str, port: int, secret: bytes) -> socket.socket:
        """Dial until somebody answers who holds the secret.

        A host that is just leaving, as between two groups of one script, takes the call and hangs up: the next one
        may be about to come.
        """
        deadline = time.monotonic() + min(self.timeout_s, _LONGEST_WAIT_S)
        patience = min(deadline, time.monotonic() + _HANDSHAKE_PATIENCE_S)
        while True:
            connection = self._dial(host, port, deadline)
            try:
                self._shake_hands(connection, secret, deadline)
                return connection
            except DistNetworkError:
                connection.close()
                if time.monotonic() + 0.05 >= patience:
                    raise
            except BaseException:
                connection.close()
                raise
            self._reader = wire.FrameReader(wire.MAX_HANDSHAKE_BYTES)
            time.sleep(0.05)

    def _dial(self, host: str, port: int, deadline: float) -> socket.socket:
        pause_s = 0.005
        while True:
            remaining_s = deadline - time.monotonic()
            try:
                return _open(host, port, min(max(0.001, remaining_s), _LONGEST_DIAL_S))
            except OSError as error:
                if time.monotonic() + pause_s >= deadline:
                    raise DistNetworkError(
                        f"{self._who()} could not reach the store at {self.address} "
                        f"within {self.timeout_s:.1f} s ({error}); is rank 0 running, is the address right?"
                    ) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.2)

    def _shake_hands(self, connection: socket.socket, secret: bytes, deadline: float) -> None:
        nonce, rank = wire.new_nonce(), self._rank
        hello = {"protocol": wire.PROTOCOL, "nonce": nonce, "rank": rank}
        try:
            connection.settimeout(min(max(0.001, deadline - time.monotonic()), _LONGEST_DIAL_S))
            connection.sendall(wire.encode_frame(hello))
            challenge = wire.receive(connection, self._reader, deadline)
            server_nonce = str(challenge.get("nonce"))
            expected = wire.prove(secret, "server", nonce, server_nonce, rank)
            if not wire.is_proof(challenge.get("proof"), expected):
                raise AuthenticationError(self._other_secret())
            proof = wire.prove(secret, "client", nonce, server_nonce, rank)
            connection.sendall(wire.encode_frame({"proof": proof}))
            if "welcome" not in wire.receive(connection, self._reader, deadline):
                raise AuthenticationError(self._other_secret())
        except AuthenticationError:
            raise
        except (OSError, RendezvousError) as error:
            raise DistNetworkError(
                f"{self._who()}: what listens at {self.address} is not this job's store, or ended ({error})"
            ) from error
        self._reader.limit_bytes = wire.MAX_FRAME_BYTES
        self._reader.seal = wire.Seal(secret, "server", nonce, server_nonce, rank)
        self._seal = wire.Seal(secret, "client", nonce, server_nonce, rank)

    def _other_secret(self) -> str:
        return (
            f"{self._who()}: the store at {self.address} does not hold this job's secret; "
            f"another job may use the port, or DISTRT_JOB_SECRET differs between ranks"
        )

    def _who(self) -> str:
        return "a client" if self._rank is None else f"rank {self._rank}"

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _open(host: str, port: int, timeout_s: float) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=timeout_s)
    try:
        if connection.getsockname() == connection.getpeername():
            # Where nobody listens at a port of the range that outgoing connections use, one may meet itself.
            raise ConnectionRefusedError("nobody listens there")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(connection)
    except OSError:
        connection.close()
        raise
    return connection


def _leave(connection: socket.socket, server: StoreServer | None) -> None:
    connection.close()
    if server is not None:
        server.release()


def _encode(value: bytes | str) -> str:
    return wire.encode_value(_bytes(value))


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


#: Those of this process: see ``_forget_all``.
_connected: "weakref.WeakSet[Store]" = weakref.WeakSet()


def _forget_all() -> None:
    """In a forked child: a loader's worker, say, must neither speak for this rank nor outlive it in its place."""
    for store in list(_connected):
        store._disconnect()


os.register_at_fork(after_in_child=_forget_all)
