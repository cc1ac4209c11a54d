"""Which network connects machines: MPI where it has more to offer than TCP, else TCP."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from distrt.comm.environment import Environment
from distrt.comm.machines.network import Network
from distrt.comm.stores.board import Board
from distrt.core.errors import RendezvousError, SettingError

__all__ = ["open_network"]

_VARIABLE = "DISTRT_NETWORK"
#: Where Linux lists adapters that TCP makes little use of: InfiniBand, Omni-Path, RoCE; Slingshot.
_FABRICS = ("/sys/class/infiniband", "/sys/class/cxi")


def open_network(
    environment: Environment,
    store: Board,
    prefix: str,
    timeout_s: float,
    machines: Sequence[object],
    wants_mpi: bool = False,
) -> Network:
    """The network between the machines of the job's ranks (all of them call).

    MPI where a process manager of MPI has started the ranks, and where all of them have mpi4py and an adapter of a fast
    network; else TCP. ``DISTRT_NETWORK=mpi`` or ``tcp`` on any rank decides otherwise, and without it ``wants_mpi``.

    Raises:
        SettingError: ``DISTRT_NETWORK`` is neither.
        RendezvousError: ranks want different ones, or do not find one another.
        UnsupportedError: MPI is wanted and missing.
    """
    rank, size = environment.rank, environment.world_size
    store.set(f"{prefix}/network/{rank}", _wish(environment, wants_mpi).encode())
    wishes = [store.get(f"{prefix}/network/{other}", ranks=[other]).decode() for other in range(size)]
    if _chosen(wishes) == "mpi":
        from distrt.comm.mpi.start import start_mpi

        return start_mpi(environment, store, timeout_s, machines)
    from distrt.comm.tcp.start import start_tcp

    return start_tcp(environment, store, timeout_s)


def _wish(environment: Environment, wants_mpi: bool) -> str:
    """``mpi!`` and ``tcp!`` insist; ``mpi`` and ``tcp`` is what would be best here."""
    given = os.environ.get(_VARIABLE, "")
    if given not in ("", "mpi", "tcp"):
        raise SettingError(f"{_VARIABLE}={given!r}: expected mpi, tcp, or nothing")
    if given or wants_mpi:
        return f"{given or 'mpi'}!"
    if importlib.util.find_spec("mpi4py") is None:
        return "tcp"
    from distrt.comm.mpi.start import is_started_by_mpi

    has_fabric = any(Path(each).is_dir() and any(Path(each).iterdir()) for each in _FABRICS)
    return "mpi" if has_fabric or is_started_by_mpi(environment) else "tcp"


def _chosen(wishes: Sequence[str]) -> str:
    wanted = {wish[:-1]: rank for rank, wish in reversed(list(enumerate(wishes))) if wish.endswith("!")}
    if len(wanted) == 2:
        raise RendezvousError(
            f"rank {wanted['mpi']} has {_VARIABLE}=mpi, and rank {wanted['tcp']} tcp: they must agree"
        )
    if wanted:
        return next(iter(wanted))
    return "mpi" if all(wish == "mpi" for wish in wishes) else "tcp"
