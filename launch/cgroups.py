"""The control groups that this process is in: what they limit, the ranks are limited by, too."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["control_groups", "read_lines"]


def control_groups(
    controller: str,
    root: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
) -> Iterator[tuple[int, Path]]:
    """Yield the folders that may hold limits of ``controller``, from this process's own group up to the root.

    Each comes with its version, 1 or 2: their files have other names.
    """
    for line in read_lines(membership):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from ((2, folder) for folder in _upwards(root, path))
        elif controller in controllers.split(","):
            yield from ((1, folder) for folder in _upwards(root / controller, path))


def read_lines(path: Path) -> list[str]:
    """Return a file's lines; none where it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _upwards(root: Path, path: str) -> list[Path]:
    folder = root / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
