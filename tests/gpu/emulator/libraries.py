"""Compiles the device and NVIDIA's libraries, under the names by which CuPy and distrt load them."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import packages
from .environment import HERE, run, tell
from .packages import RUNTIME

_FAKES = HERE.parent / "fake"
_DEVICE, _LIBRARIES, _PTX = HERE / "device", HERE / "libraries", HERE / "ptx"

#: Each library's file, sources, how its functions begin, and which of CuPy's modules ask for them.
_TABLE: tuple[tuple[str, Sequence[Path], str, str], ...] = (
    (
        "libcublas.so.13",
        (_FAKES / "cublas_on_cpu.cpp", *sorted(_LIBRARIES.glob("cublas_*.cpp"))),
        "cublas",
        "cupy_backends/cuda/libs/cublas.*",
    ),
    ("libcublasLt.so.13", (_FAKES / "cublaslt_on_cpu.cpp",), "cublasLt", ""),
    ("libcudnn.so.9", (_FAKES / "cudnn_on_cpu.cpp",), "cudnn", ""),
    ("libcusolver.so.12", sorted(_LIBRARIES.glob("cusolver_*.cpp")), "cusolver", "cupy*/**/*cusolver.*"),
    ("libcufft.so.12", (_LIBRARIES / "cufft.cpp",), "cufft", "cupy/cuda/cufft.*"),
    ("libnccl.so.2", sorted(_LIBRARIES.glob("nccl_*.cpp")), "nccl", "cupy_backends/cuda/libs/nccl.*"),
    ("libcupti.so.13", sorted(_LIBRARIES.glob("cupti_*.cpp")), "cupti", ""),
    ("libcusparse.so.12", (), "cusparse", "cupy_backends/cuda/libs/cusparse.*"),
    ("libcurand.so.10", (), "curand", "cupy_backends/cuda/libs/curand.*"),
)

#: NVIDIA's "not supported" of every library of these is not 0, which is all that CuPy looks at.
_NOT_EMULATED = """
extern "C" __attribute__((visibility("default"))) int {name}() {{
    fprintf(stderr, "emulated GPU: {name} is not emulated\\n");
    return {status};
}}
"""
_NOT_SUPPORTED_BY_CUDA, _NOT_SUPPORTED_BY_LIBRARIES = 801, 15

#: CuPy asks for the version only.
_LINKER = 'extern "C" int nvJitLinkVersion(unsigned* a, unsigned* b) { *a = 13; *b = 0; return 0; }'

_TRANSLATE = """#!{python} -I
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from ptx.__main__ import main
sys.exit(main(*sys.argv[1:]))
"""


def ingredients(site: Path) -> list[str]:
    """What the libraries are made of."""
    files = sorted(
        [
            *_DEVICE.iterdir(),
            *_LIBRARIES.glob("*.[ch]*"),
            *_translator(),
            *_FAKES.glob("*.[ch]*"),
            HERE.parent / "fibres.h",
            Path(__file__),
        ]
    )
    return [str(site), *(each.read_text() for each in files)]


def _translator() -> list[Path]:
    return sorted(_PTX.glob("*.[hp]*"))


def build(target: Path, site: Path, folder: Path) -> None:
    """Fills the target: libraries in ``lib``, the translator beside them, and a link to the translated kernels.

    These are in ``folder``, since they stay as they are while the translator does.
    """
    tell("compiles the device and its libraries (once, a minute)")
    lib = target / "lib"
    lib.mkdir()
    digest = hashlib.sha256("".join(each.read_text() for each in _translator()).encode()).hexdigest()[:12]
    (folder / f"kernels-{digest}").mkdir(exist_ok=True)
    (target / "kernels").symlink_to(f"../kernels-{digest}")
    include = site / "python" / "nvidia" / "cu13" / "include"
    _build(
        lib / RUNTIME,
        sorted(_DEVICE.glob("*.cpp")),
        "cuda",
        (site / "python").glob("cupy_backends/cuda/api/runtime.*"),
        [f"-I{include}"],
        _NOT_SUPPORTED_BY_CUDA,
    )
    (lib / "libcuda.so.1").symlink_to(RUNTIME)
    # What queues finds the device through the runtime, in whichever order they are loaded.
    lapack = packages.lapack(site)
    flags = ["-DEMULATED_GPU", f'-DLAPACK="{lapack}"', f"-I{include}", f"-L{lib}", f"-l:{RUNTIME}"]
    for name, sources, prefix, modules in _TABLE:
        asking = (site / "python").glob(modules) if modules else ()
        _build(lib / name, sources, prefix, asking, flags, _NOT_SUPPORTED_BY_LIBRARIES)
    _compile(lib / "libnvJitLink.so.13", [_written(target / "linker.cpp", _LINKER)], [])
    shutil.copytree(_PTX, target / "ptx", ignore=shutil.ignore_patterns("__pycache__"))
    translate = _written(target / "translate", _TRANSLATE.format(python=sys.executable))
    translate.chmod(0o755)


def _build(
    library: Path,
    sources: Sequence[Path],
    prefix: str,
    asking: Iterable[Path],
    flags: Sequence[str],
    status: int,
) -> None:
    """Compiles a library; a function that a module asks for and that the sources lack says so when it is called."""
    rest = _written(library.with_suffix(".cpp"), "#include <cstdio>\n")
    _compile(library, [*sources, rest], flags)
    has, wanted = _symbols(library, "--defined-only"), set()
    for module in asking:
        if module.suffix == ".so":
            wanted |= {each for each in _symbols(module, "--undefined-only") if each.startswith(prefix)}
    missing = sorted(wanted - has)
    if missing:
        with rest.open("a") as more:
            more.writelines(_NOT_EMULATED.format(name=name, status=status) for name in missing)
        _compile(library, [*sources, rest], flags)
    rest.unlink()


def _symbols(library: Path, which: str) -> set[str]:
    said = run(f"read {library.name}", ["nm", "-D", which, str(library)])
    return {line.split()[-1].partition("@")[0] for line in said.splitlines()}


def _compile(library: Path, sources: Sequence[Path], flags: Sequence[str]) -> None:
    command = ["g++", "-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE"]
    run(f"compile {library.name}", [*command, *map(str, sources), "-o", str(library), "-ldl", *flags])


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
