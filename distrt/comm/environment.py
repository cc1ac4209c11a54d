"""Who am I: a rank's place in its job, read from environment variables.

``rendezvous`` calls ``read_environment``; the launcher writes the variables (``launch/job.py``). To teach distrt
another way of starting ranks, add a row to ``SOURCES``. Standard library only.

Several launchers may have left their variables, one inside another: distrt-launch within a Slurm task, mpiexec within a
batch script. Those that agree are one. Where they differ, the inner launcher decides, since it started this very
process; ``_is_nested`` refuses what cannot be the one inside the other.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from distrt.comm import slurm
from distrt.core.errors import SettingError

__all__ = ["SOURCES", "Environment", "Source", "job_secret", "read_environment", "require_same_world"]

Variables = Mapping[str, str]


@dataclass(frozen=True)
class Source:
    """The variables in which one kind of launcher tells a rank its place.

    Attributes:
        is_present: whether the variables, though set, are this process's own; None: they are, if set.
        is_launcher: given the variables, whether a program set them rather than a person's script.
    """

    name: str
    rank: str
    world_size: str
    local_rank: str
    local_world_size: str
    is_present: Callable[[Variables], bool] | None = None
    is_launcher: Callable[[Variables], bool] = lambda variables: True


#: From the inner to the outer, but for MPI's rows: mpiexec runs inside a Slurm step or job (see _place_from_variables).
SOURCES = (
    Source(
        "distrt-launch", "DISTRT_RANK", "DISTRT_WORLD_SIZE", "DISTRT_LOCAL_RANK", "DISTRT_LOCAL_WORLD_SIZE"
    ),
    Source(
        "torchrun",
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        is_launcher=lambda variables: bool(variables.get("TORCHELASTIC_RUN_ID")),
    ),
    Source("Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "", is_present=slurm.is_task),
    Source(
        "Open MPI",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        is_present=lambda variables: bool(variables.get("OMPI_COMM_WORLD_RANK")),
    ),
    Source(
        "PMI",
        "PMI_RANK",
        "PMI_SIZE",
        "MPI_LOCALRANKID",
        "MPI_LOCALNRANKS",
        is_present=lambda variables: bool(variables.get("PMI_RANK")),
    ),
)

_MPI = ("Open MPI", "PMI")


@dataclass(frozen=True)
class Environment:
    """A rank's place in its job, and how it finds the others.

    ``store_addr`` ("host:port") is set when a launcher hosts the store; without it rank 0 hosts the store at
    ``master_addr``:``master_port``. ``secret`` is empty when nobody gave one.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    master_addr: str | None = None
    master_port: int | None = None
    store_addr: str | None = None
    secret: bytes = field(default=b"", repr=False)
    run_dir: str | None = None
    job_id: str | None = None
    launcher_pid: int | None = None
    source: str = "none"


def read_environment(
    variables: Variables | None = None, *, rank: int | None = None, world_size: int | None = None
) -> Environment:
    """Read this process's place in its job; no variable at all means a world of 1.

    ``rank`` and ``world_size`` are what the script gave to ``init_process_group``; they win over the
    variables, even over contradictory ones. Where they differ from the launcher's, the ranks are the script's
    own children, and the launcher's store is not theirs. An empty variable counts as unset. Without
    ``LOCAL_RANK`` all ranks are taken to be on one machine.

    Raises:
        SettingError: the variables are half set, malformed, or contradict one another.
    """
    variables = os.environ if variables is None else variables
    try:
        place = _place_from_variables(variables)
    except SettingError:
        if rank is None or world_size is None:
            raise
        place = Environment()  # the script knows its place, whatever the variables say
    if rank is not None or world_size is not None:
        place = _place_from_script(place, rank, world_size)
    is_launched = place.source == "distrt-launch"
    return replace(
        place,
        master_addr=variables.get("MASTER_ADDR") or None,
        master_port=_integer(variables, "MASTER_PORT", lowest=0, highest=65535),
        store_addr=(variables.get("DISTRT_STORE_ADDR") or None) if is_launched else None,
        secret=job_secret(variables),
        run_dir=variables.get("DISTRT_RUN_DIR") or None,
        job_id=variables.get("DISTRT_JOB_ID") or None,
        launcher_pid=_integer(variables, "DISTRT_LAUNCHER_PID", lowest=1),
    )


def require_same_world(environment: Environment, mpi_size: int, library: str = "") -> None:
    """Refuse an MPI that knows another number of ranks than the job has.

    Args:
        environment: this rank's place.
        mpi_size: how many ranks MPI knows of.
        library: which MPI that is.

    Raises:
        SettingError: the sizes differ.
    """
    size = environment.world_size
    if mpi_size == size:
        return
    named = f"MPI ({library})" if library else "MPI"
    text = f"{environment.source} says that this job has {size} ranks, but {named} knows of {mpi_size}"
    if mpi_size != 1:
        fix = "give both the same number of ranks, or unset the variables of one of them"
    elif environment.source == "Slurm":
        kind = "pmix" if library.startswith("Open MPI") else "pmi2"
        fix = f"the tasks were started without MPI's process manager: start them with `srun --mpi={kind}` (or mpiexec)"
    elif environment.source in _MPI:
        fix = "is the mpiexec that started them of that MPI? Use the one in the same place as mpi4py's MPI"
    else:
        fix = "start the ranks with mpiexec, or under Slurm with `srun --mpi=pmi2`"
    raise SettingError(f"{text}; {fix}")


def _place_from_variables(variables: Variables) -> Environment:
    found = [(source, place) for source in SOURCES if (place := _read_source(source, variables)) is not None]
    if not found:
        return Environment()
    inner, place = found[0]
    for outer, other in found[1:]:
        if (other.rank, other.world_size) == (place.rank, place.world_size):
            continue
        if inner.name == "Slurm" and outer.name in _MPI and other.world_size > 1:
            inner, place = outer, other  # mpiexec started this process from within the step
        elif not _is_nested(inner, place, outer, other, variables):
            raise _contradiction(place, other)
    return place


def _is_nested(
    inner: Source, place: Environment, outer: Source, other: Environment, variables: Variables
) -> bool:
    """Whether the world of ``inner`` can have been made within that of ``outer``, and is no mistake.

    distrt-launch and torchrun set each other's names, so they must agree. Otherwise a launcher may do as it likes
    within a task, and number the ranks as it likes. RANK and WORLD_SIZE that a script has set may describe
    a larger world than the tasks (ranks that each task starts), or be within a single task; but a world as large
    as the tasks with another rank is what a batch script exports by mistake before it calls srun (every task is
    then rank 0), and a smaller world would leave tasks out.
    """
    if outer.name == "torchrun" or (inner.name, outer.name) == _MPI or inner.name == "Slurm":
        return False
    if inner.is_launcher(variables) or other.world_size == 1:
        return True
    return place.world_size > other.world_size


def _contradiction(place: Environment, other: Environment) -> SettingError:
    fix = "set both alike, or unset the variables of one of them"
    if place.source == "Slurm" and other.source in _MPI:
        fix = "start the tasks with `srun --mpi=pmi2`, so that MPI connects them"
    elif other.source == "Slurm":
        fix = (
            "in each task, `export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS`, or unset RANK and WORLD_SIZE"
        )
    return SettingError(
        f"the environment contradicts itself: "
        f"{place.source} says rank {place.rank} of {place.world_size}, "
        f"{other.source} says rank {other.rank} of {other.world_size}; {fix}"
    )


def _read_source(source: Source, variables: Variables) -> Environment | None:
    if source.is_present is not None and not source.is_present(variables):
        return None
    if source.name == "Slurm":
        source = replace(source, world_size=slurm.task_count(variables))
    rank = _integer(variables, source.rank)
    world_size = _integer(variables, source.world_size, lowest=1)
    local_rank = _integer(variables, source.local_rank)
    if rank is None and world_size is None and local_rank is None:
        return None
    if rank is None or world_size is None:
        found = {
            name: variables[name]
            for name in (source.rank, source.world_size, source.local_rank)
            if name in variables
        }
        missing = [
            name for name, value in ((source.rank, rank), (source.world_size, world_size)) if value is None
        ]
        raise SettingError(
            f"the environment is half set: found {_pairs(found)}, but {' and '.join(missing)} not; "
            f"set {source.rank} and {source.world_size} together, or neither (then this is a world of 1)"
        )
    if rank >= world_size:
        raise SettingError(
            f"{source.rank}={rank} is outside the world: {source.world_size}={world_size}, "
            f"so ranks are 0 to {world_size - 1}"
        )
    return _with_local_place(source, variables, rank, world_size, local_rank)


def _with_local_place(
    source: Source, variables: Variables, rank: int, world_size: int, local_rank: int | None
) -> Environment:
    if source.name == "Slurm":
        local_world_size: int | None = slurm.local_world_size(variables, world_size)
    else:
        local_world_size = _integer(variables, source.local_world_size, lowest=1)
    local_rank = rank if local_rank is None else local_rank
    local_world_size = world_size if local_world_size is None else local_world_size
    if local_world_size > world_size:
        raise SettingError(
            f"{source.local_world_size}={local_world_size} is more than {source.world_size}={world_size}; "
            f"a machine cannot hold more ranks than the world"
        )
    return Environment(rank, world_size, local_rank, local_world_size, source=source.name)


def _place_from_script(place: Environment, rank: int | None, world_size: int | None) -> Environment:
    is_given = place.source != "none"
    rank = place.rank if rank is None and is_given else rank
    world_size = place.world_size if world_size is None and is_given else world_size
    if rank is None or world_size is None:
        given, missing = ("rank", "world_size") if world_size is None else ("world_size", "rank")
        raise SettingError(f"{given} was given but {missing} was not; give both, or set RANK and WORLD_SIZE")
    if not 0 <= rank < world_size:
        raise SettingError(
            f"rank {rank} is outside the world of {world_size}: ranks are 0 to {world_size - 1}"
        )
    if (rank, world_size) == (place.rank, place.world_size) and is_given:
        return place
    return Environment(rank, world_size, local_rank=rank, local_world_size=world_size, source="script")


def _integer(variables: Variables, name: str, lowest: int = 0, highest: int | None = None) -> int | None:
    text = variables.get(name, "")
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise SettingError(f"{name}={text!r} is not a whole number") from None
    if value < lowest or (highest is not None and value > highest):
        allowed = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise SettingError(f"{name}={value} is out of range: expected {allowed}")
    return value


def job_secret(variables: Variables | None = None) -> bytes:
    """Return the secret that all processes of the job share; empty where none was given."""
    variables = os.environ if variables is None else variables
    try:
        return bytes.fromhex(variables.get("DISTRT_JOB_SECRET", ""))
    except ValueError:
        raise SettingError(
            "DISTRT_JOB_SECRET is not hexadecimal; set the same hex digits on every rank"
        ) from None


def _pairs(found: Variables) -> str:
    return ", ".join(f"{name}={value}" for name, value in found.items())
