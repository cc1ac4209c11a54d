"""A store for ranks that mpiexec or srun started, and that know one another through MPI only."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

from distrt.comm.environment import Environment
from distrt.comm.machines.address import connect_any, listening_place, network_place
from distrt.comm.mpi.blocking import within
from distrt.comm.mpi.start import start_mpi, take_over
from distrt.comm.stores.client import Store, StoreServer

__all__ = ["store_through_mpi"]


def store_through_mpi(environment: Environment, timeout_s: float) -> Store:
    """A store for ranks that know one another through MPI only: rank 0 hosts it and tells the others where.

    It listens on loopback alone where all ranks are on one machine, else where their machines lead. The secret is drawn
    anew, and travels by MPI.

    Raises:
        RendezvousError: MPI does not connect the job's ranks, or no address of rank 0 can be reached.
    """
    rank, comm = environment.rank, take_over(environment, timeout_s)
    place, size = network_place(), environment.world_size
    gathered = bytearray(len(place) * size)
    within(timeout_s, "MPI_Allgather", lambda: comm.Allgather(place, gathered))
    server = None
    if rank == 0:
        places = [bytes(gathered[len(place) * each :][: len(place)]) for each in range(size)]
        host, addresses = listening_place(places)
        secret = secrets.token_bytes(32)
        server = StoreServer(host, 0, secret=secret)
        text = json.dumps({"addresses": addresses, "port": server.port, "secret": secret.hex()}).encode()
    else:
        text = b""
    where = json.loads(_broadcast_bytes(comm, text, timeout_s))
    secret = bytes.fromhex(where["secret"])
    host = connect_any(where["addresses"], where["port"], timeout_s, secret)
    store = Store(host, where["port"], rank=rank, secret=secret, timeout_s=timeout_s, server=server)
    # so that MPI ends well, whether it is used any further or not
    start_mpi(replace(environment, secret=secret), store, timeout_s)
    return store


def _broadcast_bytes(comm: Any, text: bytes, timeout_s: float) -> bytes:
    length = bytearray(len(text).to_bytes(8, "little"))
    within(timeout_s, "MPI_Bcast", lambda: comm.Bcast(length, 0))
    data = bytearray(text) if text else bytearray(int.from_bytes(length, "little"))
    within(timeout_s, "MPI_Bcast", lambda: comm.Bcast(data, 0))
    return bytes(data)
