"""Deaths for want of memory: has the kernel killed something of this job, and what was the limit?

The kernel counts such kills for each control group, and for the machine as a whole. Only a group's count is certain to
be about this job, and only where it has a limit.
"""

import resource
from pathlib import Path

from launch.cgroups import control_groups, read_lines

__all__ = ["MemoryWatch", "address_space_limit"]

_NO_LIMIT = 1 << 60  # version 1 writes a number near 2**63 where there is none


class MemoryWatch:
    """Compares the kernel's counts with those of when this was made.

    Args:
        groups: the control groups to look at, with their versions.
        machine: the file with the whole machine's count.
    """

    def __init__(
        self, groups: list[tuple[int, Path]] | None = None, machine: Path = Path("/proc/vmstat")
    ) -> None:
        self._groups = list(control_groups("memory")) if groups is None else groups
        self._machine = machine
        self._before = self._counts()

    def news(self) -> str:
        """Say what the kernel has killed for want of memory since, under which limit; empty where nothing."""
        counts = self._counts()
        for version, folder in self._groups:
            if counts.get(folder, 0) > self._before.get(folder, 0) and (limit := _limit(version, folder)):
                return f"out of memory: the limit of the control group {folder} is {_size(limit)}"
        if counts.get(self._machine, 0) > self._before.get(self._machine, 0):
            return (
                f"out of memory, it seems: the kernel has killed for it on this machine, which has {_total()}"
            )
        return ""

    def _counts(self) -> dict[Path, int]:
        files = {self._machine: self._machine}
        for version, folder in self._groups:
            files[folder] = folder / ("memory.events" if version == 2 else "memory.oom_control")
        return {place: _number(file, "oom_kill") for place, file in files.items()}


def address_space_limit() -> str:
    """Say how much memory a rank may ask for, where ``ulimit -v`` limits it; else empty."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f"ulimit -v allows each rank {_size(limit)}"


def _limit(version: int, folder: Path) -> int | None:
    words = read_lines(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
    is_limited = words and words[0].isdigit() and int(words[0]) < _NO_LIMIT
    return int(words[0]) if is_limited else None


def _number(file: Path, name: str) -> int:
    """The number in the line that begins with ``name``."""
    found = (line.split() for line in read_lines(file) if line.startswith(f"{name} "))
    return next((int(words[1]) for words in found), 0)


def _total() -> str:
    kib = _number(Path("/proc/meminfo"), "MemTotal:")
    return _size(kib << 10)


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"
