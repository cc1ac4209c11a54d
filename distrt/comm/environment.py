"""Who am I: a rank's place in its job, read from environment variables.

``init_process_group`` calls ``read_environment``; the launcher writes the variables (``launch/job.py``). To
teach distrt another way of starting ranks (Slurm, Open MPI, PMI), add a row to ``SOURCES``. Standard library
only.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from distrt.core.errors import RendezvousError

__all__ = ["SOURCES", "Environment", "Source", "read_environment"]


@dataclass(frozen=True)
class Source:
    """The variables in which one kind of launcher tells a rank its place."""

    name: str
    rank: str
    world_size: str
    local_rank: str
    local_world_size: str


SOURCES = (
    Source(
        "distrt-launch", "DISTRT_RANK", "DISTRT_WORLD_SIZE", "DISTRT_LOCAL_RANK", "DISTRT_LOCAL_WORLD_SIZE"
    ),
    Source("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
)


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
    variables: Mapping[str, str] | None = None, *, rank: int | None = None, world_size: int | None = None
) -> Environment:
    """Read this process's place in its job; no variable at all means a world of 1.

    ``rank`` and ``world_size`` are what the script gave to ``init_process_group``; they win over the
    variables. Where they differ from the launcher's, the ranks are the script's own children, and the
    launcher's store is not theirs. An empty variable counts as unset. Without ``LOCAL_RANK`` all ranks are
    taken to be on one machine.

    Raises:
        RendezvousError: the variables are half set, malformed, or contradict one another.
    """
    variables = os.environ if variables is None else variables
    place = _place_from_variables(variables)
    if rank is not None or world_size is not None:
        place = _place_from_script(place, rank, world_size)
    is_launched = place.source == "distrt-launch"
    return replace(
        place,
        master_addr=variables.get("MASTER_ADDR") or None,
        master_port=_integer(variables, "MASTER_PORT", lowest=0, highest=65535),
        store_addr=(variables.get("DISTRT_STORE_ADDR") or None) if is_launched else None,
        secret=_secret(variables),
        run_dir=variables.get("DISTRT_RUN_DIR") or None,
        job_id=variables.get("DISTRT_JOB_ID") or None,
        launcher_pid=_integer(variables, "DISTRT_LAUNCHER_PID", lowest=1),
    )


def _place_from_variables(variables: Mapping[str, str]) -> Environment:
    found = [place for source in SOURCES if (place := _read_source(source, variables)) is not None]
    if not found:
        return Environment()
    first = found[0]
    for other in found[1:]:
        if (other.rank, other.world_size) != (first.rank, first.world_size):
            raise RendezvousError(
                f"the environment contradicts itself: "
                f"{first.source} says rank {first.rank} of {first.world_size}, "
                f"{other.source} says rank {other.rank} of {other.world_size}; "
                f"set both alike, or unset the variables of one of them"
            )
    return first


def _read_source(source: Source, variables: Mapping[str, str]) -> Environment | None:
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
        raise RendezvousError(
            f"the environment is half set: found {_pairs(found)}, but {' and '.join(missing)} not; "
            f"set {source.rank} and {source.world_size} together, or neither (then this is a world of 1)"
        )
    if rank >= world_size:
        raise RendezvousError(
            f"{source.rank}={rank} is outside the world: {source.world_size}={world_size}, "
            f"so ranks are 0 to {world_size - 1}"
        )
    return _with_local_place(source, variables, rank, world_size, local_rank)


def _with_local_place(
    source: Source, variables: Mapping[str, str], rank: int, world_size: int, local_rank: int | None
) -> Environment:
    local_world_size = _integer(variables, source.local_world_size, lowest=1)
    local_rank = rank if local_rank is None else local_rank
    local_world_size = world_size if local_world_size is None else local_world_size
    if local_world_size > world_size:
        raise RendezvousError(
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
        raise RendezvousError(
            f"{given} was given but {missing} was not; give both, or set RANK and WORLD_SIZE"
        )
    if not 0 <= rank < world_size:
        raise RendezvousError(
            f"rank {rank} is outside the world of {world_size}: ranks are 0 to {world_size - 1}"
        )
    if (rank, world_size) == (place.rank, place.world_size) and is_given:
        return place
    return Environment(rank, world_size, local_rank=rank, local_world_size=world_size, source="script")


def _integer(
    variables: Mapping[str, str], name: str, lowest: int = 0, highest: int | None = None
) -> int | None:
    text = variables.get(name, "")
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise RendezvousError(f"{name}={text!r} is not a whole number") from None
    if value < lowest or (highest is not None and value > highest):
        allowed = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise RendezvousError(f"{name}={value} is out of range: expected {allowed}")
    return value


def _secret(variables: Mapping[str, str]) -> bytes:
    try:
        return bytes.fromhex(variables.get("DISTRT_JOB_SECRET", ""))
    except ValueError:
        raise RendezvousError(
            "DISTRT_JOB_SECRET is not hexadecimal; set the same hex digits on every rank"
        ) from None


def _pairs(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in found.items())
