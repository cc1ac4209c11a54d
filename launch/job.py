"""What a job is, what one attempt at it is, and the environment that each rank gets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["THREAD_VARIABLES", "Job", "Target", "World", "choose_threads", "own_gpu", "rank_environment"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Target:
    """What every rank runs.

    Attributes:
        kind: "script", "module", "path" (a script, by ``runpy.run_path``) or "program".
    """

    kind: str
    name: str
    arguments: tuple[str, ...] = ()

    def arguments_of(self, local_rank: int) -> tuple[str, ...]:
        """The arguments of one rank: ``${local_rank}`` in them is its number, as under torchrun."""
        return tuple(argument.replace("${local_rank}", str(local_rank)) for argument in self.arguments)


@dataclass(frozen=True)
class Job:
    """One job, on this machine, for all its attempts.

    Attributes:
        local_size: how many ranks this machine has.
        run_id: the job's unique name, the same on every machine.
        user_id: the name that the user gave it (``--rdzv-id``), or else ``run_id``.
        signals: what the user wants to be passed on to ranks, as text.
        has_virtual_local_rank: whether each rank sees its own GPU only.
        hang_timeout_s: how long a rank may make no call of distrt's; None for any time.
    """

    target: Target
    local_size: int
    threads: int
    run_id: str
    run_dir: Path
    user_id: str = ""
    role: str = "default"
    max_restarts: int = 0
    signals: str = ""
    has_virtual_local_rank: bool = False
    hang_timeout_s: float | None = None

    def attempt_dir(self, attempt: int) -> Path:
        """Where the files of one attempt are."""
        return self.run_dir / f"attempt_{attempt}"


@dataclass(frozen=True)
class World:
    """One attempt, as this machine sees it: all ranks, and where they meet. ``secret`` is in hex."""

    attempt: int
    first_rank: int
    size: int
    group_rank: int
    group_size: int
    store_host: str
    store_port: int
    secret: str = field(repr=False)


def choose_threads(cores: int, ranks: int, variables: Mapping[str, str]) -> int:
    """Return the threads per rank: the user's ``OMP_NUM_THREADS``, else an equal share of the cores."""
    chosen = variables.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) > 0 else max(1, cores // ranks)


def rank_environment(job: Job, world: World, local_rank: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return a rank's whole environment: what was inherited, torchrun's names and their DISTRT_ twins.

    Thread counts that the user set win; every other name here is the launcher's.
    """
    rank = world.first_rank + local_rank
    place = {
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(world.size),
        "LOCAL_WORLD_SIZE": str(job.local_size),
        "GROUP_RANK": str(world.group_rank),
        "GROUP_WORLD_SIZE": str(world.group_size),
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": str(world.size),
        "ROLE_NAME": job.role,
        "MASTER_ADDR": world.store_host,
        "MASTER_PORT": str(world.store_port),
    }
    own = {
        "DISTRT_STORE_ADDR": f"{world.store_host}:{world.store_port}",
        "DISTRT_JOB_SECRET": world.secret,
        "DISTRT_JOB_ID": job.run_id,
        "DISTRT_RUN_DIR": str(job.run_dir),
        "DISTRT_LAUNCHER_PID": str(os.getpid()),
        "TORCHELASTIC_RUN_ID": job.user_id or job.run_id,
        "TORCHELASTIC_RESTART_COUNT": str(world.attempt),
        "TORCHELASTIC_MAX_RESTARTS": str(job.max_restarts),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_ERROR_FILE": str(job.attempt_dir(world.attempt) / str(rank) / "error.json"),
        "TORCHELASTIC_SIGNALS_TO_HANDLE": job.signals,
    }
    defaults = {
        **dict.fromkeys(THREAD_VARIABLES, str(job.threads)),
        "PYTHONUNBUFFERED": "1",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }
    kept = {name: value for name, value in inherited.items() if value or name not in THREAD_VARIABLES}
    twins = {f"DISTRT_{name}": value for name, value in place.items()}
    all_of_it = {**defaults, **kept, **place, **twins, **own}
    if job.hang_timeout_s is not None:
        all_of_it["DISTRT_STACKS_FILE"] = str(job.attempt_dir(world.attempt) / str(rank) / "stacks.txt")
    if job.has_virtual_local_rank:
        all_of_it |= {"LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": own_gpu(local_rank, inherited)}
    return all_of_it


def own_gpu(local_rank: int, inherited: Mapping[str, str]) -> str:
    """Return what CUDA_VISIBLE_DEVICES is for a rank that sees its own GPU only.

    Raises:
        ValueError: the launcher itself does not see that many.
    """
    visible = inherited.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return str(local_rank)
    devices = visible.split(",")
    if local_rank >= len(devices):
        raise ValueError(
            f"--virtual-local-rank: local rank {local_rank} has no GPU in CUDA_VISIBLE_DEVICES={visible}"
        )
    return devices[local_rank].strip()
