"""CuPy and what it needs, by pip; one module of CuPy is built anew, and one is replaced.

CuPy's wheel has NVIDIA's runtime inside of ``cupy_backends.cuda.api.runtime``. Built from CuPy's own source, the module
asks the system's loader for the runtime, and so finds the emulated one.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from .environment import HERE, EmulationError, run, tell

CUPY = "14.2.0"

#: NVRTC compiles kernels; the others have the headers that it and the module need.
_PACKAGES = (
    f"cupy-cuda13x=={CUPY}",
    "cuda-pathfinder==1.*",
    "nvidia-cuda-nvrtc==13.5.*",
    "nvidia-cuda-runtime==13.5.*",
    "nvidia-cuda-crt==13.5.*",
    "nvidia-cuda-cccl==13.*",
    "nvidia-cuda-cupti==13.5.*",  # its headers, which the emulated one is compiled with
)
_SCIPY = "scipy>=1.14"  # for the LAPACK in its wheel
_CYTHON = "Cython==3.2.4"

#: The runtime's file.
RUNTIME = "libcudart.so.13"

_MODULE = "cupy_backends/cuda/api/runtime"

#: The settings of CuPy's own build (``install/cupy_builder``).
_CYTHONIZE = """
import sys
from Cython.Build import cythonize
from Cython.Distutils import Extension
name = sys.argv[1]
cythonize(
    [Extension(name.replace("/", "."), [name + ".pyx"], language="c++")],
    language_level=3,
    quiet=True,
    compiler_directives={"embedsignature": True, "c_api_binop_methods": True, "binding": False,
                         "warn.deprecated.IF": False, "freethreading_compatible": True},
    compile_time_env={"CUPY_USE_CUDA_PYTHON": False, "CUPY_CUFFT_STATIC": False, "CUPY_CYTHON_VERSION": "3.2.4",
                      "CUPY_CUDA_VERSION": 13000, "CUPY_HIP_VERSION": 0},
)
"""

#: NVIDIA has these two in a package of their own.
_PROFILER_HEADER = """
#include <cuda_runtime_api.h>
extern "C" cudaError_t cudaProfilerStart(void);
extern "C" cudaError_t cudaProfilerStop(void);
"""


INGREDIENTS = (
    *_PACKAGES,
    _SCIPY,
    _CYTHON,
    _CYTHONIZE,
    _PROFILER_HEADER,
    RUNTIME,
    (HERE / "sorting.py").read_text(),
)


def install(target: Path) -> None:
    """Fills the folder: ``python`` is a folder for PYTHONPATH."""
    python = target / "python"
    tell("installs CuPy, NVRTC and LAPACK (once, 300 MB)")
    _pip("install", "--no-deps", "--target", str(python), *_PACKAGES)
    _pip("install", "--no-deps", "--target", str(target / "scipy"), _SCIPY)
    lapack(target)
    tell("builds CuPy's module of the runtime")
    with tempfile.TemporaryDirectory() as place:
        _build_module(Path(place), python)
    (thrust,) = (python / "cupy" / "cuda").glob("thrust.*.so")
    thrust.unlink()
    shutil.copy(HERE / "sorting.py", thrust.with_name("thrust.py"))


def lapack(folder: Path) -> Path:
    """The file of LAPACK.

    Raises:
        EmulationError: SciPy's wheel has none where it is looked for.
    """
    found = sorted((folder / "scipy" / "scipy.libs").glob("libscipy_openblas*.so"))
    if not found:
        raise EmulationError(f"expected libscipy_openblas*.so in {folder / 'scipy' / 'scipy.libs'}")
    return found[0]


def _pip(*arguments: str, **variables: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", arguments[0], "-q", *arguments[1:]]
    run(f"{arguments[0]} by pip", command, env={**os.environ, **variables})


def _build_module(place: Path, python: Path) -> None:
    # Without CUDA, CuPy's source tells pip its name only where it is to be built as a stub.
    source = ["--no-deps", "--no-binary", "cupy", "--dest", str(place), f"cupy=={CUPY}"]
    _pip("download", *source, CUPY_INSTALL_USE_STUB="1")
    with tarfile.open(place / f"cupy-{CUPY}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    cupy = place / f"cupy-{CUPY}"
    run("make a virtual environment", [sys.executable, "-m", "venv", str(place / "cython")])
    tools = str(place / "cython" / "bin" / "python")
    run(
        "install Cython",
        [tools, "-m", "pip", "--disable-pip-version-check", "install", "-q", _CYTHON, "setuptools"],
    )
    run("translate CuPy's module", [tools, "-c", _CYTHONIZE, _MODULE], cwd=str(cupy))
    (place / "cuda_profiler_api.h").write_text(_PROFILER_HEADER)
    includes = [place, cupy, python / "nvidia" / "cu13" / "include", sysconfig.get_path("include")]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-w", *(f"-I{each}" for each in includes)]
    # The runtime itself is compiled later; its name is all that a module keeps of it.
    named = place / RUNTIME
    run(
        "name the runtime",
        ["g++", "-shared", f"-Wl,-soname,{RUNTIME}", "-x", "c++", os.devnull, "-o", str(named)],
    )
    flags += ["-Wl,--no-as-needed", str(named)]
    module = python / f"{_MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    module.unlink()
    run("compile CuPy's module", ["g++", *flags, str(cupy / f"{_MODULE}.cpp"), "-o", str(module)])
