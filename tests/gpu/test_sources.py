"""The kernels' sources are CUDA: its own compiler takes them. That needs no GPU, and shows nothing of what they do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gpu.fixtures import ROOT, run_check

#: A Python that has CuPy and NVRTC, beside which no nvcc is needed.
_CUPY_PYTHON = os.environ.get("CUPY_PYTHON", sys.executable)

_BY_NVRTC = """
import pathlib, sys
from cupy.cuda import nvrtc
for name in sys.argv[1:]:
    program = nvrtc.createProgram(pathlib.Path(name).read_text(), name, [], [])
    try:
        nvrtc.compileProgram(program, ["-arch=sm_90", "--fmad=false"])
    except nvrtc.NVRTCError:
        sys.exit(name + ": " + nvrtc.getProgramLog(program))
"""


def _compiler() -> str | None:
    has_nvrtc = subprocess.run(
        [_CUPY_PYTHON, "-c", "from cupy.cuda import nvrtc; nvrtc.getVersion()"],
        capture_output=True,
        check=False,
    )
    if not has_nvrtc.returncode:
        return "nvrtc"
    return "nvcc" if shutil.which("nvcc") else None


def _compiled(compiler: str, sources: list[Path]) -> str:
    """What the compiler says against the sources."""
    if compiler == "nvrtc":
        ended = subprocess.run(
            [_CUPY_PYTHON, "-c", _BY_NVRTC, *map(str, sources)], capture_output=True, text=True, check=False
        )
        return ended.stderr if ended.returncode else ""
    return "".join(map(_by_nvcc, sources))


def _by_nvcc(source: Path) -> str:
    command = [
        "nvcc",
        "-cubin",
        "-arch=sm_90",
        "--fmad=false",
        "-o",
        str(source.with_suffix(".cubin")),
        str(source),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stderr if ended.returncode else ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    ["kernels", "images", "attention", "fused_attention", "recurrent", "ctc", "random_numbers", "families"],
)
def test_nvidias_compiler_takes_every_kernel(
    check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = _compiler()
    if compiler is None:
        pytest.skip("neither CuPy with NVRTC (CUPY_PYTHON names a Python that has them) nor nvcc is here")
    if shutil.which("g++") is None:
        pytest.skip("the fake of CuPy, which says what the kernels are, needs g++")
    monkeypatch.setenv("FAKE_CUDA_SOURCES", str(tmp_path))
    ended = run_check(check, "few")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    sources = sorted(tmp_path.glob("*.cu"))
    assert sources
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda part: _compiled(compiler, part), (sources[::2], sources[1::2]))
    assert not "".join(said)


def test_every_file_of_kernels_is_used() -> None:
    folder = ROOT / "distrt" / "core" / "kernels" / "cuda"
    python = "".join(file.read_text() for file in folder.glob("*.py"))
    assert all(f'"{file.stem}"' in python for file in (folder / "code").glob("*.cu"))
