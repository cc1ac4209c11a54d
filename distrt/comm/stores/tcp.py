"""PyTorch's ``TCPStore``: a store that one process serves to all.

``distrt.distributed`` is the public path; the connection and the server are in ``client`` and ``server``. Standard
library only.
"""

# ruff: noqa: D102 - the methods of a store are described in ``base.Store``

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

from distrt.comm.environment import job_secret
from distrt.comm.stores.base import (
    DEFAULT_TIMEOUT,
    Store,
    Timeout,
    duration,
    encode,
    number,
    number64,
    seconds,
    text,
    texts,
)
from distrt.comm.stores.client import Store as Connection
from distrt.comm.stores.client import StoreServer, host_store
from distrt.core.errors import DistNetworkError, DistStoreError, QueueEmptyError, RendezvousError

__all__ = ["TCPStore"]

_POLL_S = 0.01

_Found = TypeVar("_Found")


class TCPStore(Store):
    """A store that one process serves to all at an address.

    The server ends with the master's object, once the others have left. Both sides prove that they hold the job's
    secret (``DISTRT_JOB_SECRET``); without one, only loopback addresses are served.

    Args:
        host_name, port: where the master serves; 0 takes a free port (see ``port``).
        world_size: how many processes will connect; None where it is not known.
        is_master: whether this process serves.
        timeout: of the connecting, and of every wait.
        wait_for_workers: whether the master waits until ``world_size`` processes have come.
        multi_tenant: whether masters of one process that name one address share a server.
        master_listen_fd: a bound socket for the server to take over.
        use_libuv: what ``libuvBackend`` says; there is one server for both.

    Raises:
        DistNetworkError: the port is taken, or nobody answers there.
        ValueError: ``world_size`` is 0.
        DistStoreError: the workers did not come in time.
    """

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: timedelta = DEFAULT_TIMEOUT,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        super().__init__()
        self._host = text(host_name, "TCPStore")
        port = number(port, "TCPStore")
        if not 0 <= port < 1 << 16:
            raise TypeError(f"TCPStore: a port is from 0 to 65535, got {port}")
        world_size = None if world_size is None else number(world_size, "TCPStore")
        if world_size == 0:
            raise ValueError("TCPStore world size cannot be 0")
        timeout_s = seconds(timeout, "TCPStore")
        self._timeout = duration(timeout, "TCPStore")
        self._says_libuv = bool(use_libuv)
        server = self._serve(port, multi_tenant, master_listen_fd) if is_master else None
        self._port = port if server is None else server.port
        self._connection = self._connect(timeout_s, server)
        if wait_for_workers and world_size is not None:
            self._meet(world_size, timeout_s, is_master)

    @property
    def host(self) -> str:
        """The server's host, as it was given."""
        return self._host

    @property
    def port(self) -> int:
        """The server's port."""
        return self._port

    @property
    def libuvBackend(self) -> bool:  # noqa: N802 - PyTorch's own spelling
        """What ``use_libuv`` was."""
        return self._says_libuv

    def set(self, key: str, value: bytes | str) -> None:
        self._connection.set(_own(key, "set"), encode(value, "set"))

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        name, wait_s = _own(key, "get"), self._get_s(timeout_s)
        return self._wait([name], wait_s, lambda: self._connection.get(name, wait_s, ranks=ranks))

    def add(self, key: str, amount: int) -> int:
        return self._connection.add(_own(key, "add"), number64(amount, "add"))

    def compare_set(self, key: str, expected_value: bytes | str, desired_value: bytes | str) -> bytes:
        expected, desired = encode(expected_value, "compare_set"), encode(desired_value, "compare_set")
        return self._connection.compare_set(_own(key, "compare_set"), expected, desired)

    def append(self, key: str, value: bytes | str) -> None:
        self._connection.append(_own(key, "append"), encode(value, "append"))

    def check(self, keys: Sequence[str]) -> bool:
        return self._connection.check(_all_own(keys, "check"))

    def wait(self, keys: Sequence[str], timeout: Timeout | None = None, *, ranks: Iterable[int] = ()) -> None:
        names, wait_s = _all_own(keys, "wait"), self._seconds(timeout, "wait")
        self._wait(names, wait_s, lambda: self._connection.wait(names, wait_s, ranks=ranks))

    def delete_key(self, key: str) -> bool:
        return self._connection.delete_key(_own(key, "delete_key"))

    def num_keys(self) -> int:
        return self._connection.num_keys()

    def list_keys(self) -> list[str]:
        return [name[1:] for name in self._connection.list_keys() if name.startswith("/")]

    def queue_push(self, key: str, value: bytes | str) -> None:
        self._connection.push(_own(key, "queue_push"), encode(value, "queue_push"))

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        name, wait_s = _own(key, "queue_pop"), self._seconds(None, "queue_pop") if block else 0.0
        try:
            return self._wait([name], wait_s, lambda: self._connection.pop(name, wait_s))
        except DistStoreError:
            if block:
                raise
            raise QueueEmptyError(f"queue is empty: {key!r}") from None

    def queue_len(self, key: str) -> int:
        return self._connection.queue_length(_own(key, "queue_len"))

    def barrier(self, key: str, world_size: int, timeout: Timeout | None = None) -> None:
        try:
            super().barrier(key, world_size, timeout)
        except DistStoreError as error:
            waited_ms = 1000 * self._seconds(timeout, "barrier")
            raise DistStoreError(f"barrier timeout after {waited_ms:.0f}ms, key: {key} ({error})") from None

    def has_extended_api(self) -> bool:
        return True

    def clone(self) -> "TCPStore":
        return TCPStore(self._host, self._port, timeout=self._timeout, use_libuv=self._says_libuv)

    def close(self) -> None:
        self._connection.close()

    def __repr__(self) -> str:
        return f"TCPStore({self._host}:{self._port})"

    def _serve(self, port: int, is_shared: bool, descriptor: int | None) -> StoreServer:
        secret = job_secret()
        try:
            if descriptor is not None:
                return StoreServer(self._host, secret=secret, listener=socket.socket(fileno=descriptor))
            if is_shared:
                return host_store(self._host, port, secret)
            return StoreServer(self._host, port, secret=secret)
        except (OSError, DistNetworkError) as error:
            raise DistNetworkError(
                f"The server socket has failed to listen on any local network address: {self._host}, port {port}: "
                f"{error.strerror if isinstance(error, OSError) else error}"
            ) from error

    def _connect(self, timeout_s: float, server: StoreServer | None) -> Connection:
        try:
            return Connection(
                self._host,
                self._port,
                secret=job_secret(),
                timeout_s=timeout_s,
                server=server,
                host_name="the master, which hosts it,",
            )
        except RendezvousError as error:
            if server is not None:
                server.release()
            if isinstance(error, DistNetworkError):
                raise DistNetworkError(
                    f"The client socket has timed out after {timeout_s * 1000:.0f}ms while trying to connect to "
                    f"({self._host}, {self._port}): {error}"
                ) from error
            raise

    def _meet(self, world_size: int, timeout_s: float, is_master: bool) -> None:
        came = self._connection.add("init/", 1)
        deadline = time.monotonic() + timeout_s
        while is_master and came < world_size:
            if time.monotonic() >= deadline:
                self.close()
                raise DistStoreError(
                    f"Timed out after {timeout_s:.0f} seconds waiting for clients. {came}/{world_size} clients joined."
                )
            time.sleep(_POLL_S)
            came = self._connection.add("init/", 0)

    def _wait(self, names: list[str], timeout_s: float, request: Callable[[], _Found]) -> _Found:
        try:
            return request()
        except DistStoreError as error:
            raise DistStoreError(
                f"wait timeout after {timeout_s * 1000:.0f}ms, keys: {', '.join(names)} ({error})"
            ) from None


def _own(key: str, what: str) -> str:
    """A user's key stands behind a slash, beside the keys that distrt and the store itself use."""
    return f"/{text(key, what)}"


def _all_own(keys: Sequence[str], what: str) -> list[str]:
    return [f"/{key}" for key in texts(keys, what)]
