"""The folder that has everything the emulation needs, made where it is not there yet, and the variables that name it.

Two parts, each made anew when what it is made of changes: packages with CuPy, and the device with its libraries.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent

#: How long one step may take: a download, or a compilation. Who waits for another one's steps waits for several.
STEP_SECONDS = 900
LOCK_SECONDS = 3 * STEP_SECONDS


class EmulationError(RuntimeError):
    """What the emulation cannot be made without, or a step that failed."""


def default_folder() -> Path:
    """Where the emulation is, if nobody says otherwise: ``DISTRT_EMULATED_GPU``, or the user's cache."""
    if named := os.environ.get("DISTRT_EMULATED_GPU"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "distrt-emulated-gpu"


def variables(folder: Path, *, guard: bool = False) -> dict[str, str]:
    """The variables under which a program finds CuPy and the emulated device; what is missing is made first.

    Args:
        folder: Where everything is, or shall be.
        guard: Each allocation ends at a page that nobody may touch, so that reading beyond it is found.

    Raises:
        EmulationError: a compiler or a package is missing, or something could not be built.
    """
    from . import libraries, packages  # they know how; this file knows where

    _check_tools()
    with locked(folder):
        site = made_once(folder, "packages", packages.INGREDIENTS, packages.install)
        build = made_once(
            folder,
            "device",
            libraries.ingredients(site),
            lambda target: libraries.build(target, site, folder),
        )
    nvidia = site / "python" / "nvidia" / "cu13"
    libs = build / "lib"
    return {
        "PYTHONPATH": str(site / "python"),
        "LD_LIBRARY_PATH": f"{libs}:{nvidia / 'lib'}",
        "CUDA_PATH": str(nvidia),
        "CUPY_CACHE_DIR": str(folder / "cupy-cache"),
        "CUPY_COMPILE_WITH_PTX": "1",  # machine code could not be run
        "CUPY_ACCELERATORS": "",  # CUB's are machine code, too
        "DISTRT_CUDNN": str(libs / "libcudnn.so.9"),
        "DISTRT_CUBLAS": str(libs / "libcublas.so.13"),
        "DISTRT_CUPTI": str(libs / "libcupti.so.13"),
        "DISTRT_CUBLASLT": str(libs / "libcublasLt.so.13"),
        "DISTRT_EMULATED_DEVICES": os.environ.get("DISTRT_EMULATED_DEVICES", "2"),
        "DISTRT_EMULATED_GUARD": str(int(guard)),
    }


def _check_tools() -> None:
    missing = [name for name in ("gcc", "g++", "nm") if shutil.which(name) is None]
    if missing:
        raise EmulationError(
            f"expected {', '.join(missing)} in PATH, which the emulated GPU needs (Debian: g++, binutils)"
        )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise EmulationError(f"expected {header}, which a module of CuPy is built with (Debian: python3-dev)")


def made_once(folder: Path, name: str, ingredients: Sequence[str], make: Callable[[Path], None]) -> Path:
    """A folder that ``make`` has filled from these ingredients, now or before; never one half filled."""
    text = "\0".join((sys.version, sys.platform, *ingredients))
    target = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not target.exists():
        for left in folder.glob(f"{name}-making-*"):  # by somebody who was ended
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f"{name}-making-") as place:
            made = Path(place) / "made"
            made.mkdir()
            make(made)
            made.rename(target)
    return target


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one at a time makes something here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmulationError(f"expected a folder that can be made at {folder}: {error}") from None
    until = time.monotonic() + LOCK_SECONDS
    with (folder / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise EmulationError(
                        f"waited {LOCK_SECONDS} s for another process that makes {folder}"
                    ) from None
                time.sleep(0.2)
        yield


def run(what: str, command: Sequence[str], **options: str | dict[str, str]) -> str:
    """Runs a step, and gives what it prints.

    Raises:
        EmulationError: it failed, or took too long; with the end of what it said.
    """
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=STEP_SECONDS, check=False, **options
        )  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        raise EmulationError(f"to {what} took more than {STEP_SECONDS} s") from None
    if ended.returncode:
        said = (ended.stdout + ended.stderr).strip()[-3000:]
        raise EmulationError(f"could not {what}: {' '.join(command)} ended with {ended.returncode}\n{said}")
    return str(ended.stdout)


def tell(text: str) -> None:
    """A line for who waits."""
    print(f"emulated GPU: {text}", file=sys.stderr, flush=True)
