"""How a process finds the others of its job: from ``init_method``, rank and world size to a connected store.

``init_process_group`` calls ``rendezvous``. "env://" reads the variables of whoever started the process,
"tcp://HOST:PORT" meets at an address where rank 0 serves, "file:///PATH" in a file that all can reach. Rank and world
size come from the arguments or from the query ("?rank=0&world_size=2"). Standard library only.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

from distrt.comm import slurm
from distrt.comm.environment import Environment, read_environment
from distrt.comm.mpi.meeting import can_meet_through_pmi, connect_through_pmi, has_mpi_begun
from distrt.comm.stores.base import DEFAULT_TIMEOUT, Store
from distrt.comm.stores.client import connect_store
from distrt.core.errors import RendezvousError, SettingError

if TYPE_CHECKING:
    from distrt.comm.stores.tcp import TCPStore

__all__ = [
    "StoreLike",
    "register_rendezvous_handler",
    "rendezvous",
    "rendezvous_iterator",
    "store_for_scripts",
]


class StoreLike(Protocol):
    """What groups need of a store."""

    def set(self, key: str, value: bytes | str) -> None:
        """Set ``key``."""

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        """Wait until ``key`` is set, by one of ``ranks``, and return its value."""

    def add(self, key: str, amount: int) -> int:
        """Add to the number at ``key`` and return the sum."""

    def close(self) -> None:
        """Leave the store."""


def rendezvous(
    init_method: str | None, rank: int | None, world_size: int | None, timeout_s: float
) -> tuple[Environment, StoreLike | None]:
    """Find this process's place, and connect to the store of its job.

    Where MPI started the ranks and no address is known, the store stays None and ``master_addr`` unset: MPI itself
    connects them. It is None, too, for a world of one, unless it meets in a file.

    Args:
        init_method: "env://", "tcp://", "file://"; None means "env://".
        rank, world_size: what the script says; None where it does not.
        timeout_s: how long to wait for whoever serves the store.

    Raises:
        SettingError: a rank, a size or an address is missing, malformed or contradicted.
        RendezvousError: nobody answers in time, or the address cannot be served.
    """
    address = urlsplit("env://" if init_method is None else _require_text(init_method))
    if address.scheme in _registered:
        return _by_registered_handler(address, rank, world_size, timeout_s)
    handler = _HANDLERS.get(address.scheme)
    if handler is None:
        raise RendezvousError(
            f"No rendezvous handler for {address.scheme}://; init_method may begin with "
            f"{', '.join(f'{scheme}://' for scheme in (*_HANDLERS, *_registered))}"
        )
    query = _read_query(address)
    given = {name for name, value in (("rank", rank), ("world_size", world_size)) if value is not None}
    if given and query:
        raise AssertionError(  # PyTorch's class
            f"The url: {init_method} has node-specific arguments(rank, world_size) already; "
            f"give {' and '.join(sorted(given))} in one of the two places"
        )
    return handler(address, query.get("rank", rank), query.get("world_size", world_size), timeout_s)


def rendezvous_iterator(
    url: str, rank: int = -1, world_size: int = -1, *, timeout: timedelta = DEFAULT_TIMEOUT
) -> Iterator[tuple[Store, int, int]]:
    """PyTorch's ``rendezvous``: yields a store with PyTorch's methods, the rank and the world size, once.

    A number below 0 means that it is not given.

    Raises:
        RuntimeError: the url has a scheme that nobody registered, or the iterator is asked again.
        ValueError: a rank, a size or an address is missing.
    """
    address = urlsplit(_require_text(url))
    if address.scheme in _registered:
        yield from _registered[address.scheme](_with_place(address, rank, world_size), timeout=timeout)
        return
    given = (None if rank < 0 else rank, None if world_size < 0 else world_size)
    environment, store = rendezvous(url, *given, timeout.total_seconds())
    if store is not None and not isinstance(store, Store):
        store.close()
    yield store_for_scripts(environment, store, timeout), environment.rank, environment.world_size
    raise RuntimeError(f"Unable to perform rerendezvous using {address.scheme}:// method")


def register_rendezvous_handler(scheme: str, handler: Callable[..., Iterator[tuple[Any, int, int]]]) -> None:
    """Let ``init_method`` begin with ``scheme://``.

    Args:
        handler: called with the url, rank and world size in its query, and ``timeout``; yields a store, the rank and
            the world size.

    Raises:
        RuntimeError: there is a handler for the scheme.
    """
    if scheme in _HANDLERS or scheme in _registered:
        raise RuntimeError(f"Rendezvous handler for {scheme}:// already registered")
    _registered[scheme] = handler


def _from_variables(
    address: SplitResult, rank: int | None, world_size: int | None, timeout_s: float
) -> tuple[Environment, StoreLike | None]:
    environment = read_environment(rank=rank, world_size=world_size)
    if environment.world_size == 1:
        return environment, None
    if environment.store_addr is None and environment.master_addr is None:
        if environment.source == "Slurm":
            return _among_tasks(environment, timeout_s)
        if environment.source in ("Open MPI", "PMI"):
            return environment, None
    elif os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and environment.source == "torchrun":
        environment = replace(environment, master_port=_beside(environment.master_port))
    return environment, connect_store(environment, timeout_s)


def _among_tasks(environment: Environment, timeout_s: float) -> tuple[Environment, StoreLike | None]:
    """Tasks of one machine meet on loopback; of several by PMI where it is there, else at the first machine."""
    local_size, size = environment.local_world_size, environment.world_size
    if local_size < size:
        if can_meet_through_pmi(environment):
            return connect_through_pmi(environment, timeout_s)
        if has_mpi_begun():
            return environment, None
    host, port = slurm.meeting_point(os.environ, local_size, size)
    if local_size < size and not environment.secret and not slurm.is_loopback(host):
        raise SettingError(
            f"Slurm: {size} tasks on several machines meet at {host}, and need a secret to know one another by: "
            f"start them with `srun --mpi=pmi2`, which carries one, or put "
            f"`export DISTRT_JOB_SECRET=$(openssl rand -hex 16)` before srun"
        )
    environment = replace(environment, master_addr=host, master_port=environment.master_port or port)
    return environment, connect_store(environment, timeout_s)


def _beside(port: int | None) -> int | None:
    """torchrun serves a store of PyTorch's at MASTER_PORT, which does not speak our protocol: rank 0 goes next door."""
    if port is None:
        return None
    return port + 1 if port < 65535 else port - 1


def _at_address(
    address: SplitResult, rank: int | None, world_size: int | None, timeout_s: float
) -> tuple[Environment, StoreLike | None]:
    try:
        port = address.port
    except ValueError as error:
        raise _error("tcp", str(error)) from None
    if port is None:
        raise _error("tcp", "port number missing")
    environment = _place("tcp", rank, world_size)
    if not address.hostname:
        raise _error("tcp", "host missing")
    # The launcher serves its store where MASTER_ADDR and MASTER_PORT say, and scripts put these into the address.
    is_launchers = environment.store_addr == f"{address.hostname}:{port}"
    store_addr = environment.store_addr if is_launchers else None
    environment = replace(environment, store_addr=store_addr, master_addr=address.hostname, master_port=port)
    return environment, None if environment.world_size == 1 else connect_store(environment, timeout_s)


def _in_file(
    address: SplitResult, rank: int | None, world_size: int | None, timeout_s: float
) -> tuple[Environment, StoreLike | None]:
    if not address.path:
        raise _error("file", "path missing")
    environment = _place("file", rank, world_size)
    from distrt.comm.stores.file import FileStore  # most jobs meet at an address

    store = FileStore(address.path, environment.world_size, rank=environment.rank)
    store.set_timeout(float(timeout_s))
    return replace(environment, store_addr=None), store


_HANDLERS: dict[
    str,
    Callable[[SplitResult, int | None, int | None, float], tuple[Environment, StoreLike | None]],
] = {"env": _from_variables, "tcp": _at_address, "file": _in_file}


#: What users have registered, for the whole process, as in PyTorch.
_registered: dict[str, Callable[..., Iterator[tuple[Any, int, int]]]] = {}


def _by_registered_handler(
    address: SplitResult, rank: int | None, world_size: int | None, timeout_s: float
) -> tuple[Environment, StoreLike]:
    url = _with_place(address, -1 if rank is None else rank, -1 if world_size is None else world_size)
    from distrt.comm.stores.memory import PrefixStore

    found = next(iter(_registered[address.scheme](url, timeout=timedelta(seconds=timeout_s))))
    store, rank, world_size = found
    return read_environment({}, rank=rank, world_size=world_size), PrefixStore("default_pg", store)


def _with_place(address: SplitResult, rank: int, world_size: int) -> str:
    parts = [address.query] if address.query else []
    parts += [f"{name}={value}" for name, value in (("rank", rank), ("world_size", world_size)) if value >= 0]
    return urlunsplit(address._replace(query="&".join(parts)))


def store_for_scripts(environment: Environment, met: StoreLike | None, timeout: timedelta) -> Store:
    """The store with PyTorch's methods where the ranks have met, while rank 0's server is there to be shared.

    Args:
        environment: this process's place, as `rendezvous` gave it.
        met: the store that came with it.
        timeout: of the store's waits.
    """
    return met if isinstance(met, Store) else _tcp_store(environment, timeout)


def _tcp_store(environment: Environment, timeout: timedelta) -> "TCPStore":
    from distrt.comm.stores.tcp import TCPStore

    is_host = environment.rank == 0 and environment.store_addr is None
    if environment.store_addr is not None:
        host, _, digits = environment.store_addr.rpartition(":")
        port = int(digits)
    elif environment.master_addr is None or environment.master_port is None:
        host, port, is_host = "127.0.0.1", 0, environment.world_size == 1
    else:
        host, port = environment.master_addr, environment.master_port
    return TCPStore(host, port, None, is_host, timeout, multi_tenant=True)


def _place(scheme: str, rank: int | None, world_size: int | None) -> Environment:
    if rank is None:
        raise _error(scheme, "rank parameter missing")
    if world_size is None:
        raise _error(scheme, "world size parameter missing")
    return read_environment(rank=rank, world_size=world_size)


def _read_query(address: SplitResult) -> dict[str, int]:
    found = {}
    for pair in filter(None, address.query.split("&")):
        name, _, value = pair.partition("=")
        if name not in ("rank", "world_size"):
            continue  # such as PyTorch's use_libuv
        try:
            found[name] = int(value)
        except ValueError:
            raise _error(address.scheme, f"{name}={value!r} is not a whole number") from None
    return found


def _require_text(init_method: object) -> str:
    if isinstance(init_method, bytes):
        return init_method.decode()
    if not isinstance(init_method, str):
        raise RendezvousError(f"init_method: expected a str, got {type(init_method).__name__}")
    return init_method


def _error(scheme: str, what: str) -> SettingError:
    return SettingError(f"Error initializing distrt.distributed using {scheme}:// rendezvous: {what}")
