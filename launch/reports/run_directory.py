"""The run directory: one new, private folder for each job, and files in it that are whole or absent."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "RunDirectoryError",
    "create_run_directory",
    "must_be_written",
    "new_run_id",
    "of_job",
    "write_json",
]


class RunDirectoryError(Exception):
    """The run directory cannot be made, or not be written; the text is for the user."""


def new_run_id() -> str:
    """Return a name for a job: its start time and random digits."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"


def create_run_directory(base: str | None, run_id: str) -> tuple[Path, str | None]:
    """Create the directory ``base``/``run_id`` (``base`` None: ``runs`` here, or else a temporary directory).

    Returns:
        The absolute path, and a note for the user where it is not the expected one.

    Raises:
        RunDirectoryError: ``base`` was given and cannot be written.
    """
    try:
        return _create(Path("runs" if base is None else base), run_id), None
    except OSError as error:
        if base is not None:
            raise RunDirectoryError(
                f"no run directory can be made in {base} ({error.strerror}); choose another --run-dir"
            ) from error
        import tempfile

        note = f"runs/ cannot be written here ({error.strerror})"
        return Path(tempfile.mkdtemp(prefix=f"distrt-{run_id}-")), note


@contextmanager
def must_be_written(run_dir: Path) -> Iterator[None]:
    """Turn errors of the system into one line for the user, where a job cannot do without a file.

    Raises:
        RunDirectoryError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise RunDirectoryError(
            f"the run directory {run_dir} cannot be written ({error.strerror}); choose another --run-dir"
        ) from error


def of_job(given: str | None) -> Path | None:
    """Return the run directory that a user means: the one named, or the newest in the folder named, as in ``runs``.

    ``--run-dir`` names a folder in which each job has its own: both may be said. None where ``runs`` has no job.
    """
    if given is None:
        return _newest(Path("runs"))
    named = Path(given)
    is_run = any((named / name).exists() for name in ("procs.json", "events.jsonl", "attempt_0"))
    return named if is_run else _newest(named) or named


def _newest(base: Path) -> Path | None:
    """Return the directory in ``base`` of the job that began last; None where there is none."""
    found = list(base.glob("*/procs.json"))
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` so that readers see the old file or the new one, never a part."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` so that readers see the old file or the new one, never a part; an OSError leaves no draft."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _create(base: Path, run_id: str) -> Path:
    base.mkdir(parents=True, exist_ok=True)
    directory = base.absolute() / run_id
    directory.mkdir(mode=0o700)
    return directory
