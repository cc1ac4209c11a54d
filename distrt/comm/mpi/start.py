"""How MPI starts and ends, whoever started the ranks.

Two ways in. Where mpiexec, ``srun --mpi=pmi2`` or mpirun started the ranks, MPI knows them already, and may even be
how they find their store (``distrt.comm.mpi.store``). Where the ranks share a store and nothing else, they start MPI
together through `PmiServer`. `start_mpi` chooses, and refuses what contradicts itself.

MPI can be started once in a process, so what is started stays until the process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import logging
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distrt.comm.environment import Environment, require_same_world
from distrt.comm.machines.lifeline import Lifeline
from distrt.comm.machines.network import ends_well, say_goodbye, wait_for_goodbyes
from distrt.comm.mpi import cuda_aware
from distrt.comm.mpi.blocking import within
from distrt.comm.mpi.pmi import PmiServer
from distrt.comm.mpi.world import MpiWorld
from distrt.comm.stores.board import Board
from distrt.core.errors import RendezvousError, UnsupportedError

__all__ = ["is_started_by_mpi", "start_mpi", "take_over"]

_log = logging.getLogger(__name__)

_FINALIZE_S = 10.0  # all ranks are about to finalise: this is not a wait for somebody who computes
_FOREIGN = ("PMI_", "PMIX_", "HYDI_", "HYDRA_")  # another process manager's variables

#: (rank, world size) by which a process manager tells a process its place in MPI; None: it does not tell.
_MANAGERS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMIX_RANK", "SLURM_NTASKS"),  # Slurm's default in many places, whatever the tasks' MPI speaks
)


class _Process:
    """This process's MPI, from its start to its end."""

    def __init__(self, mpi: Any, server: PmiServer | None, is_ours: bool) -> None:
        self.mpi = mpi
        self.world: MpiWorld | None = None
        self._server = server
        self._is_ours = is_ours  # we started it, so nobody but us ends it
        self.library = ctypes.CDLL(mpi.__file__)
        self._pid = os.getpid()

    def begin(self, world: MpiWorld) -> None:
        """Take what was agreed with the other ranks."""
        self.world = world
        # MPICH's end asks for a barrier: nobody may be gone while others say goodbye.
        if self._server is not None:
            self._server.seal(lambda: world.lifeline.meet(_FINALIZE_S))

    def end(self) -> None:
        """End MPI if all ranks end well; else leave it, since MPI_Finalize waits for the dead."""
        if os.getpid() != self._pid or self.mpi.Is_finalized():
            return
        if self.world is None:
            if self.mpi.COMM_WORLD.Get_size() == 1:
                self._finalize()
            return
        say_goodbye(self.world, ends_well())
        if (failure := wait_for_goodbyes(self.world)) is not None:
            self._leave_mpi_running(failure)
            return
        self._finalize()
        self.world.lifeline.close()

    def _finalize(self) -> None:
        try:
            # mpi4py keeps the interpreter's lock here, and the thread that serves PMI needs it.
            within(_FINALIZE_S, "MPI_Finalize", self.library.MPI_Finalize)
        except RendezvousError as error:
            _log.warning("%s", error)
        if self._server is not None:
            self._server.farewell()

    def _leave_mpi_running(self, why: str) -> None:
        _log.info("MPI is not finalised: %s", why)
        if self.world is not None:
            self.world.lifeline.close(patience_s=0.0)
        if not self._is_ours:  # mpi4py would finalise it now, and wait for ever
            self.mpi.COMM_WORLD.Abort(1)


_started: list[_Process] = []  # none or one


def is_started_by_mpi(environment: Environment) -> bool:
    """Whether a process manager of MPI started this rank, as the rank that ``environment`` says."""
    place = (environment.rank, environment.world_size)
    for rank, size in _MANAGERS:
        if (os.environ.get(rank, ""), os.environ.get(size, "")) == (str(place[0]), str(place[1])):
            if rank == "PMI_RANK":
                return _is_open(os.environ.get("PMI_FD", ""))
            return rank != "PMIX_RANK" or _speaks_pmix(_import_mpi())
    mpi = _loaded()
    return mpi is not None and mpi.Is_initialized() and mpi.COMM_WORLD.Get_size() == environment.world_size


def start_mpi(
    environment: Environment, store: Board, timeout_s: float, machines: Sequence[object] | None = None
) -> MpiWorld:
    """Start MPI for all ranks of the job (all of them call), or take what is started.

    Args:
        environment: this rank's place.
        store: the job's key-value store.
        timeout_s: how long any part of the start may wait for another rank.
        machines: per rank, what tells its machine from others; None where MPI should find out.

    Raises:
        UnsupportedError: mpi4py or an MPI is missing, or MPI cannot be used from several threads.
        SettingError: ``DISTRT_MPI_CUDA`` is not a value that it can have.
        RendezvousError: the ranks did not find one another, or MPI sees another world than the job.
    """
    cuda_aware.read_wish()  # a mistake is told before anybody waits
    rank, size = environment.rank, environment.world_size
    generation = (store.add("mpi/started", 1) - 1) // size
    prefix = f"mpi/{generation}"
    if not _started:
        if is_started_by_mpi(environment):
            _started.append(_take_over(environment))
        else:
            _started.append(_start_through(store, f"{prefix}/pmi", rank, size, timeout_s, machines))
        atexit.register(_started[0].end)
    process = _started[0]
    if process.world is not None and (process.world.rank, process.world.size) == (rank, size):
        return process.world
    comm = _own_communicator(process.mpi, environment, timeout_s)
    _unlink_shared_memory(process.mpi, comm, timeout_s)
    lifeline = Lifeline.connect(rank, size, store, f"{prefix}/lifeline", timeout_s, environment.secret)
    answer = cuda_aware.ask(process.library, process.mpi.Get_library_version())
    takes = within(timeout_s, "MPI_Allgather", lambda: cuda_aware.agreed(comm, answer))
    world = MpiWorld(process.mpi, comm, lifeline, timeout_s, takes)
    process.begin(world)
    return world


def take_over(environment: Environment, timeout_s: float) -> Any:
    """A communicator of the job's ranks, in an MPI that is there already or that a process manager provides.

    Raises:
        RendezvousError: MPI does not connect the job's ranks.
    """
    if not _started:
        _started.append(_take_over(environment))
        atexit.register(_started[0].end)
    return _own_communicator(_started[0].mpi, environment, timeout_s)


def _take_over(environment: Environment) -> _Process:
    """The MPI that a process manager provides."""
    was_running = (mpi := _loaded()) is not None and mpi.Is_initialized()
    mpi = _import_mpi()
    if not mpi.Is_initialized():
        if environment.source == "Open MPI" and not _speaks_pmix(mpi):
            require_same_world(environment, 1, _library(mpi))  # MPICH would end the process
        _init_thread(mpi)
    return _Process(mpi, None, is_ours=not was_running)


def _start_through(
    store: Board, prefix: str, rank: int, size: int, timeout_s: float, machines: Sequence[object] | None
) -> _Process:
    """Start MPI without a process manager."""
    mpi = _import_mpi()
    if mpi.Is_initialized():
        raise RendezvousError(
            f"rank {rank} of {size}: MPI runs already in this process, as rank {mpi.COMM_WORLD.Get_rank()} of "
            f"{mpi.COMM_WORLD.Get_size()}; call init_process_group before `from mpi4py import MPI`, or start all "
            f"ranks with mpiexec -n {size} (under Slurm: `srun --mpi=pmi2`)"
        )
    if mpi.get_vendor()[0] not in ("MPICH", "Intel MPI", "MVAPICH", "MVAPICH2"):
        raise UnsupportedError(
            f"{mpi.get_vendor()[0]} cannot be started without its own launcher: start the ranks with "
            f"mpirun -n {size}, or install MPICH: pip install 'distrt[mpi]'"
        )
    if rank == 0:
        store.set(f"{prefix}/name", f"distrt-{secrets.token_hex(8)}".encode())
    name = store.get(f"{prefix}/name", ranks=[0]).decode()
    store.set(f"{prefix}/ready/{rank}", b"1")  # MPI's own wait cannot be left: begin when all are here
    for other in range(size):
        store.get(f"{prefix}/ready/{other}", ranks=[other])
    numbers = {machine: number for number, machine in enumerate(dict.fromkeys(machines or ()))}
    mapping = None if machines is None else [numbers[machine] for machine in machines]
    server = PmiServer(rank, size, store, name, machines=mapping, timeout_s=timeout_s)
    process = _Process(mpi, server, is_ours=True)
    variables = server.variables()
    if os.environ.get("DISTRT_MACHINE"):  # machines that are none: UCX would find out, and use shared memory
        variables["UCX_TLS"] = os.environ.get("UCX_TLS", "tcp,self")
    with _only_these_variables(variables):
        within(timeout_s, "MPI_Init_thread", lambda: _init_thread(mpi), server.look_for_failure)
    server.seal()
    mpi.COMM_WORLD.Set_errhandler(mpi.ERRORS_RETURN)
    mpi.COMM_SELF.Set_errhandler(mpi.ERRORS_RETURN)
    return process


def _init_thread(mpi: Any) -> None:
    # mpi4py's own call keeps the interpreter's lock, and the thread that serves PMI needs it.
    provided = ctypes.c_int()
    code = ctypes.CDLL(mpi.__file__).MPI_Init_thread(None, None, mpi.THREAD_MULTIPLE, ctypes.byref(provided))
    if code != 0:
        raise RendezvousError(f"MPI_Init_thread failed with error {code}")


def _import_mpi() -> Any:
    try:
        options: Any = importlib.import_module("mpi4py")
        if _loaded() is None:
            options.rc.initialize = False
            options.rc.threads, options.rc.thread_level = True, "multiple"
            options.rc.finalize = False
        return importlib.import_module("mpi4py.MPI")
    except ImportError as error:
        raise UnsupportedError(
            f"ranks on several machines, and the backend 'mpi', need mpi4py and an MPI ({error}); "
            f"install them: pip install 'distrt[mpi]'"
        ) from error
    except RuntimeError as error:  # mpi4py found no library to load
        raise UnsupportedError(
            f"mpi4py found no MPI ({error}); install one: pip install 'distrt[mpi]'"
        ) from error


def _loaded() -> Any:
    return sys.modules.get("mpi4py.MPI")


def _own_communicator(mpi: Any, environment: Environment, timeout_s: float) -> Any:
    """A communicator that carries our messages only, in the job's order of ranks."""
    world, rank, size = mpi.COMM_WORLD, environment.rank, environment.world_size
    require_same_world(environment, world.Get_size(), _library(mpi))
    if mpi.Query_thread() < mpi.THREAD_MULTIPLE:
        raise UnsupportedError(
            "MPI must allow calls from several threads (MPI_THREAD_MULTIPLE), and this one does not: "
            "initialise it so (mpi4py.rc.thread_level = 'multiple'), or use another build"
        )
    if not _started[0].world:
        _log.info("MPI: %s", mpi.Get_library_version().strip().partition("\n")[0])
    comm = within(timeout_s, "MPI_Comm_split", lambda: world.Split(0, rank))
    if comm.Get_rank() != rank:
        raise RendezvousError(
            f"rank {rank} would be rank {comm.Get_rank()} in MPI: ranks must be 0 to {size - 1}, each once"
        )
    comm.Set_errhandler(mpi.ERRORS_RETURN)
    return comm


def _unlink_shared_memory(mpi: Any, comm: Any, timeout_s: float) -> None:
    """Take the names off MPICH's shared memory once all have mapped it, so that a killed job leaves nothing."""
    within(timeout_s, "MPI_Barrier", comm.Barrier)
    for name in set(
        re.findall(r"(/dev/shm/mpich_shm_\S+)$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    ):
        with contextlib.suppress(OSError):  # another rank of this machine was first
            os.unlink(name)


@contextlib.contextmanager
def _only_these_variables(variables: dict[str, str]) -> Iterator[None]:
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(_FOREIGN) or name in variables
    }
    for name in kept:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(kept)


def _speaks_pmix(mpi: Any) -> bool:
    """Whether this MPI can be started by PMIx; MPICH can where it was built with that library."""
    return mpi.get_vendor()[0] == "Open MPI" or "libpmix" in Path("/proc/self/maps").read_text()


def _library(mpi: Any) -> str:
    """The MPI's name and version: "MPICH 5.0.2"."""
    name, version = mpi.get_vendor()
    return f"{name} {'.'.join(map(str, version))}"


def _is_open(fd: str) -> bool:
    try:
        os.fstat(int(fd))
    except (OSError, ValueError):
        return False
    return True
