"""What a job is, and the environment that each of its ranks gets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["THREAD_VARIABLES", "Job", "choose_threads", "rank_environment"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """One job on one machine. ``kind`` is "script" or "module"; ``secret`` is in hex."""

    kind: str
    target: str
    arguments: tuple[str, ...]
    world_size: int
    threads: int
    run_id: str
    run_dir: Path
    store_host: str
    store_port: int
    secret: str = field(repr=False)


def choose_threads(cores: int, ranks: int, variables: Mapping[str, str]) -> int:
    """Return the threads per rank: the user's ``OMP_NUM_THREADS``, else an equal share of the cores."""
    chosen = variables.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) > 0 else max(1, cores // ranks)


def rank_environment(job: Job, rank: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return ``rank``'s whole environment: what was inherited, torchrun's names and their DISTRT_ twins.

    Thread counts that the user set win; every other name here is the launcher's.
    """
    place = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(job.world_size),
        "LOCAL_WORLD_SIZE": str(job.world_size),
        "GROUP_RANK": "0",
        "GROUP_WORLD_SIZE": "1",
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": str(job.world_size),
        "ROLE_NAME": "default",
        "MASTER_ADDR": job.store_host,
        "MASTER_PORT": str(job.store_port),
    }
    own = {
        "DISTRT_STORE_ADDR": f"{job.store_host}:{job.store_port}",
        "DISTRT_JOB_SECRET": job.secret,
        "DISTRT_JOB_ID": job.run_id,
        "DISTRT_RUN_DIR": str(job.run_dir),
        "DISTRT_LAUNCHER_PID": str(os.getpid()),
        "TORCHELASTIC_RUN_ID": job.run_id,
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
    }
    defaults = {**dict.fromkeys(THREAD_VARIABLES, str(job.threads)), "PYTHONUNBUFFERED": "1"}
    kept = {name: value for name, value in inherited.items() if value or name not in THREAD_VARIABLES}
    return {**defaults, **kept, **place, **{f"DISTRT_{name}": value for name, value in place.items()}, **own}
