"""CUPTI's records as they are read here begin as in NVIDIA's own headers, whose functions take what they are given.

Where headers are: the wheels' (``nvidia-cuda-cupti``), those of the emulated GPU, or the folders that
``DISTRT_CUPTI_HEADERS`` names.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distrt.profiler.gpu import library, records
from tests.gpu.emulator import environment

_STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "CUpti_ActivityAPI": records.Call,
    "CUpti_ActivityExternalCorrelation": records.Link,
    "CUpti_ActivityKernel": records.Kernel,
    "CUpti_ActivityMemcpy": records.Copy,
    "CUpti_ActivityMemcpyPtoP": records.CopyBetween,
    "CUpti_ActivityMemset": records.Setting,
}

_KINDS = {
    "CUPTI_ACTIVITY_KIND_MEMCPY": records.Copy,
    "CUPTI_ACTIVITY_KIND_MEMSET": records.Setting,
    "CUPTI_ACTIVITY_KIND_DRIVER": records.Call,
    "CUPTI_ACTIVITY_KIND_RUNTIME": records.Call,
    "CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL": records.Kernel,
    "CUPTI_ACTIVITY_KIND_MEMCPY2": records.CopyBetween,
    "CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION": records.Link,
}

_CONSTANTS = {
    "CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0": 3,
    "CUPTI_ACTIVITY_FLAG_FLUSH_FORCED": 1,
    "CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM": 1,
    "CUPTI_CB_DOMAIN_DRIVER_API": 1,
    "CUPTI_CB_DOMAIN_RUNTIME_API": 2,
}

_PROGRAM = """
#include <cstddef>
#include <cstdio>
#include <cupti.h>
template <typename... Each> void sizes(const char* name, CUptiResult (*)(Each...)) {
    printf("\\"%s\\": [", name);
    const size_t all[] = {sizeof(Each)...};
    for (size_t n = 0; n < sizeof...(Each); n++) printf("%s%zu", n ? ", " : "", all[n]);
    printf("],\\n");
}
#define FIELD(of, field) \\
    printf("\\"" #of "." #field "\\": [%zu, %zu],\\n", offsetof(of, field), sizeof(((of*)nullptr)->field));
int main() {
    printf("{");
BODY
    printf("\\"version\\": %d}", CUPTI_API_VERSION);
}
"""


def _folders() -> Iterator[Path]:
    yield from map(Path, filter(None, os.environ.get("DISTRT_CUPTI_HEADERS", "").split(os.pathsep)))
    for package in ("nvidia.cu13", "nvidia.cuda_cupti"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in () if found is None else found.submodule_search_locations or ():
            yield Path(folder) / "include"
    yield from sorted(environment.default_folder().glob("packages-*/python/nvidia/cu13/include"))


_CUDA = [folder for folder in _folders() if (folder / "cuda.h").exists()]
_CUPTI = list(dict.fromkeys(folder for folder in _folders() if (folder / "cupti.h").exists()))

needs_headers = pytest.mark.skipif(
    not _CUPTI or not _CUDA or shutil.which("g++") is None,
    reason="needs g++ and the headers of CUPTI and CUDA (scripts/gpu-check --emulated brings them)",
)


def _newest(text: str, name: str) -> str:
    """Records have versions: the library writes the last one."""
    versions = [int(each or 0) for each in re.findall(rf"^}} {name}(\d*);", text, re.MULTILINE)]
    return f"{name}{max(versions) or ''}"


def _said(folder: Path, place: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What a program compiled with the headers says, and what the newest records are called in them."""
    text = (folder / "cupti_activity.h").read_text()
    names = {name: _newest(text, name) for name in _STRUCTURES}
    body = [
        f"FIELD({names[name]}, {field[0]})" for name, made in _STRUCTURES.items() for field in made._fields_
    ]
    for name in names.values():
        body.append(f'printf("\\"{name}\\": %zu,\\n", sizeof({name}));')
    for name in (*_KINDS, *_CONSTANTS):
        body.append(f'printf("\\"{name}\\": %d,\\n", (int){name});')
    for name in library.ARGUMENTS:
        body.append(f'sizes("{name}", {name});')
    source, program = place / "program.cpp", place / "program"
    source.write_text(_PROGRAM.replace("BODY", "\n".join(body)))
    # Nothing of the library is called, so it need not be there.
    flags = ["-w", "-Wl,--unresolved-symbols=ignore-all", "-no-pie"]
    command = ["g++", *flags, f"-I{folder}", f"-I{_CUDA[0]}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, timeout=100)
    ran = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=10)
    return json.loads(ran.stdout), names


@pytest.mark.ci
@needs_headers
@pytest.mark.parametrize("folder", _CUPTI, ids=lambda folder: folder.parents[2].name)
def test_records_begin_as_in_nvidias_headers(folder: Path, tmp_path: Path) -> None:
    said, names = _said(folder, tmp_path)
    assert library.is_known(said["version"])
    for name, made in _STRUCTURES.items():
        for field, *_ in made._fields_:
            ours = getattr(made, field)
            assert said[f"{names[name]}.{field}"] == [ours.offset, ours.size], (names[name], field)
        assert ctypes.sizeof(made) <= said[names[name]]
    assert {said[name]: made for name, made in _KINDS.items()} == records.KINDS
    assert {name: said[name] for name in _CONSTANTS} == _CONSTANTS
    for name, kinds in library.ARGUMENTS.items():
        assert said[name] == [ctypes.sizeof(kind) for kind in kinds], name


@pytest.mark.parametrize("version", [17, 29, 120000, 130600, 140000, 0])
def test_an_unknown_version_is_refused_by_name(version: int) -> None:
    with pytest.raises(library.CuptiError, match=f"version {version}, whose records are not known"):
        library.Cupti(_Says(version))


def test_a_known_version_is_taken() -> None:
    assert library.Cupti(_Says(28)).version == 28
    assert library.Cupti(_Says(130500)).version == 130500


def test_a_refusal_has_cuptis_word() -> None:
    cupti = library.Cupti(_Says(28))
    cupti.functions.cuptiActivityEnable = lambda kind: 15
    with pytest.raises(library.CuptiError, match="cuptiActivityEnable: CUPTI_ERROR_NOT_INITIALIZED"):
        cupti.call("cuptiActivityEnable", 10)


class _Function:
    def __init__(self, does: Any) -> None:
        self._does = does

    def __call__(self, *arguments: Any) -> Any:
        return self._does(*arguments)


class _Says:
    """A library that says a version and explains errors, and does nothing else."""

    def __init__(self, version: int) -> None:
        for name in library.ARGUMENTS:
            setattr(self, name, _Function(lambda *given: 0))

        def tell(out: Any) -> int:
            out._obj.value = version
            return 0

        def explain(status: int, out: Any) -> int:
            out._obj.value = b"CUPTI_ERROR_NOT_INITIALIZED"
            return 0

        self.cuptiGetVersion, self.cuptiGetResultString = _Function(tell), _Function(explain)
