"""How a network of TCP connections starts, and ends with the process."""

from __future__ import annotations

import atexit
import base64
import functools
import hmac
import json
import logging
import os
import secrets
import socket
import time
from typing import Any

from distrt.comm.environment import Environment
from distrt.comm.machines.address import listening_place, network_place, open_any
from distrt.comm.machines.lifeline import Lifeline
from distrt.comm.machines.network import ends_well
from distrt.comm.stores.board import Board
from distrt.comm.tcp.connections import Outgoing
from distrt.comm.tcp.entrance import Entrance
from distrt.comm.tcp.loop import Loop
from distrt.comm.tcp.network import TcpNetwork
from distrt.core.errors import PeerFailed, RendezvousError

__all__ = ["start_tcp"]

_TRY_S = 5.0

_log = logging.getLogger(__name__)


def start_tcp(environment: Environment, store: Board, timeout_s: float) -> TcpNetwork:
    """Connect all ranks of the job (all of them call).

    Args:
        environment: this rank's place.
        store: the job's key-value store.
        timeout_s: how long any part of the start may wait for another rank.

    Raises:
        RendezvousError: the ranks did not find one another.
    """
    rank, size = environment.rank, environment.world_size
    generation = (store.add("tcp/started", 1) - 1) // size
    prefix = f"tcp/{generation}"
    lifeline = Lifeline.connect(rank, size, store, f"{prefix}/lifeline", timeout_s, environment.secret)
    entrance = None
    try:
        salt, places = _places(rank, size, store, prefix)
        secret = hmac.digest(environment.secret, f"distrt messages {prefix} {salt}".encode(), "sha256")
        ways: list[dict[str, Any]] = []
        loop = Loop(functools.partial(_open, ways, timeout_s, secret, lifeline))
        host, addresses = listening_place(places)
        entrance = Entrance(host, _secret_of(rank, secret), size, functools.partial(_welcome, loop))
        ways.extend(_ways(rank, size, store, prefix, {"addresses": addresses, "port": entrance.port}))
    except BaseException:
        if entrance is not None:
            entrance.close()
        lifeline.close(patience_s=0.0)
        raise
    network = TcpNetwork(loop, entrance, lifeline, timeout_s)
    atexit.register(_end, network, os.getpid())
    if rank == 0:
        _log.info("%d ranks: connected by TCP", size)
    return network


def _places(rank: int, size: int, store: Board, prefix: str) -> tuple[str, list[bytes]]:
    """A salt, and where in the network all ranks are."""
    store.set(f"{prefix}/place/{rank}", network_place())
    if rank == 0:
        found = [store.get(f"{prefix}/place/{other}", ranks=[other]) for other in range(size)]
        texts = [base64.b64encode(each).decode() for each in found]
        store.set(f"{prefix}/places", json.dumps([secrets.token_hex(32), *texts]).encode())
    salt, *texts = json.loads(store.get(f"{prefix}/places", ranks=[0]))
    return salt, [base64.b64decode(text) for text in texts]


def _ways(rank: int, size: int, store: Board, prefix: str, own: dict[str, Any]) -> list[dict[str, Any]]:
    """Where each rank listens. The store may be gone when a connection is wanted."""
    store.set(f"{prefix}/way/{rank}", json.dumps(own).encode())
    if rank == 0:
        found = [json.loads(store.get(f"{prefix}/way/{other}", ranks=[other])) for other in range(size)]
        store.set(f"{prefix}/ways", json.dumps(found).encode())
    ways: list[dict[str, Any]] = json.loads(store.get(f"{prefix}/ways", ranks=[0]))
    return ways


def _open(
    ways: list[dict[str, Any]], timeout_s: float, secret: bytes, lifeline: Lifeline, to: int
) -> Outgoing:
    """Connect to a rank, for as long as it lives: it may be stopped, and its entrance with it."""
    deadline, way = time.monotonic() + timeout_s, ways[to]
    while True:
        try:
            found = open_any(
                way["addresses"], way["port"], _TRY_S, _secret_of(to, secret), lifeline.rank, f"rank {to}"
            )
            return Outgoing(found.connection, to)
        except RendezvousError:
            if (text := lifeline.gone(to)) is not None:
                raise PeerFailed(text) from None
            if time.monotonic() > deadline:
                raise


def _secret_of(rank: int, secret: bytes) -> bytes:
    """What a rank and who calls it prove: an address of another machine may mean this one here, and another rank."""
    return hmac.digest(secret, f"rank {rank}".encode(), "sha256")


def _welcome(loop: Loop, link: socket.socket, rank: int) -> None:
    loop.welcome(loop.incoming(link, rank))


def _end(network: TcpNetwork, pid: int) -> None:
    """At the process's exit; in a forked child nothing happens."""
    if os.getpid() == pid:
        network.end(ends_well())
