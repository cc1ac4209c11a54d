"""``--dry-run``: what every rank would be started with, as lines that a shell understands."""

import shlex
from collections.abc import Mapping

from launch.job import Job, World, rank_environment
from launch.ranks.processes import python_command

__all__ = ["describe"]

_SECRET = "made at the start"


def describe(job: Job, world: World, inherited: Mapping[str, str], own: Mapping[str, str]) -> str:
    """Return each rank's variables, as far as they differ from the launcher's, and its command.

    Args:
        inherited: the launcher's variables.
        own: those that the user wants for the ranks.
    """
    return "\n".join(
        _describe_rank(job, world, local_rank, inherited, own) for local_rank in range(job.local_size)
    )


def _describe_rank(
    job: Job, world: World, local_rank: int, inherited: Mapping[str, str], own: Mapping[str, str]
) -> str:
    environment = rank_environment(job, world, local_rank, {**inherited, **own})
    changed = {name: value for name, value in environment.items() if inherited.get(name) != value}
    changed["DISTRT_JOB_SECRET"] = f"({_SECRET})"  # never shown, whoever gave it
    lines = [f"# rank {world.first_rank + local_rank} of {world.size}"]
    lines += [f"{name}={shlex.quote(value)} \\" for name, value in sorted(changed.items())]
    target = job.target
    if target.kind == "program":
        command = [target.name]
    else:
        command = [*python_command(), *(["-m"] if target.kind == "module" else []), target.name]
    return "\n".join([*lines, shlex.join([*command, *target.arguments_of(local_rank)]), ""])
