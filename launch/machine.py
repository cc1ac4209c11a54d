"""What this machine lets us use: cores (affinity and cgroup limits) and GPUs. Used to size a job."""

import math
import os
import re
from pathlib import Path

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
    quotas = []
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            quotas += [_quota_v2(folder) for folder in _upwards(root, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_quota_v1(folder) for folder in _upwards(root / "cpu", path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(root: Path, path: str) -> list[Path]:
    folder = root / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _quota_v2(folder: Path) -> float | None:
    words = " ".join(_lines(folder / "cpu.max")).split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
