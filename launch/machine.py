"""What this machine lets us use: cores (affinity and cgroup limits) and GPUs. Used to size a job."""

import math
import os
import re
from pathlib import Path

from launch.cgroups import control_groups, read_lines

__all__ = ["usable_cores", "visible_gpus"]


def usable_cores() -> int:
    """Return how many cores this process may keep busy: its affinity mask, cut by the cgroup's CPU quota."""
    cores = len(os.sched_getaffinity(0))
    quota = _cgroup_quota_cores(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def visible_gpus() -> int:
    """Return how many NVIDIA GPUs a rank would see: ``CUDA_VISIBLE_DEVICES``, else the device files."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return sum(re.fullmatch(r"nvidia\d+", name) is not None for name in os.listdir("/dev"))
    count = 0
    for name in chosen.split(","):
        if not name.strip() or name.strip().startswith("-"):  # CUDA stops at the first invalid entry
            break
        count += 1
    return count


def _cgroup_quota_cores(root: Path, membership: Path) -> float | None:
    """Return the tightest quota, in cores, from this process's cgroup up to the root, or None."""
    quotas = [
        _quota_v2(folder) if version == 2 else _quota_v1(folder)
        for version, folder in control_groups("cpu", root, membership)
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v2(folder: Path) -> float | None:
    words = " ".join(read_lines(folder / "cpu.max")).split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = read_lines(folder / "cpu.cfs_quota_us"), read_lines(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None
