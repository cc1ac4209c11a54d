"""The GPU's code on an emulated GPU: the real CuPy and NVIDIA's own compiler, with kernels run by the CPU.

Where the emulation is there: ``scripts/gpu-check --emulated`` makes it, with a few hundred MB of packages.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.gpu.emulator import environment
from tests.gpu.fixtures import ROOT, run_check

#: The first of them makes the emulation, where DISTRT_EMULATED_GPU asks for it; what they run has limits of its own.
pytestmark = pytest.mark.timeout(environment.STEP_SECONDS)

#: Kernels for tensor cores are long: the translator's compiler takes seconds for each.
FUSED_SECONDS = 800

#: A whole op table takes an hour: ``scripts/gpu-check --emulated`` runs that.
PARTS = 100


@pytest.fixture(scope="module")
def emulated() -> dict[str, str]:
    folder = environment.default_folder()
    if "DISTRT_EMULATED_GPU" not in os.environ and not any(folder.glob("packages-*")):
        pytest.skip(
            "no emulated GPU: `scripts/gpu-check --emulated` makes it, or DISTRT_EMULATED_GPU names a folder for it"
        )
    return environment.variables(folder)


def _assert_passed(emulated: dict[str, str], name: str, *arguments: str) -> None:
    ended = run_check(name, *arguments, fake=False, variables=emulated)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert any(line.endswith(" 0 failed") or line == "0 failed" for line in ended.stdout.splitlines())


def _said(emulated: dict[str, str], code: str) -> str:
    ended = run_check("line", code, fake=False, variables=emulated)
    return ended.stdout + ended.stderr


@pytest.mark.slow
def test_programs_find_the_emulated_gpus(emulated: dict[str, str]) -> None:
    ended = run_check("machine", fake=False, variables=emulated)
    assert ended.stdout.startswith("CuPy 14.2.0")  # not a fake of it
    assert "cuda:1: Properties(name='Emulated GPU'" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "products",
        "epilogues",
        "convolutions",
        "copies",
        "in_place",
        "memory_history",
        "graphs",
        "several",
        "loading",
        "profiler",
    ],
)
def test_checks_pass(emulated: dict[str, str], name: str) -> None:
    _assert_passed(emulated, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "recurrent", "ctc"])
def test_a_few_kernels_agree_with_what_they_replace(emulated: dict[str, str], name: str) -> None:
    _assert_passed(emulated, name, "few")


@pytest.mark.slow
def test_attention_without_scores_in_memory_agrees_with_the_cpu(emulated: dict[str, str]) -> None:
    ended = run_check("fused_attention", "few", fake=False, variables=emulated, seconds=FUSED_SECONDS)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_attention_without_scores_in_memory_spills_no_registers(emulated: dict[str, str]) -> None:
    script = [str(ROOT / "benchmarks" / "gpu_registers.py"), "--widths", "64,128"]
    path = os.pathsep.join([str(ROOT), emulated["PYTHONPATH"]])
    environment_of_it = {**os.environ, **emulated, "PYTHONPATH": path}
    ended = subprocess.run(
        [sys.executable, *script],
        env=environment_of_it,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count(" 0 bytes spilled") == 36  # kernels by widths, masks and dropout: 3, 2, 3 and 2


@pytest.mark.slow
def test_a_part_of_the_op_table_agrees_with_the_cpu(emulated: dict[str, str]) -> None:
    _assert_passed(emulated, "operations", "0", str(PARTS), "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("collectives", "cpu:gloo,cuda:nccl", "0", "2", ""),
        ("collectives", "cpu:gloo,cuda:nccl", "0", "1", "deterministic"),
        ("ddp",),
        ("faults", "mismatch"),
        ("faults", "death"),
    ],
    ids=" ".join,
)
def test_ranks_exchange_by_the_binding_of_nccl(emulated: dict[str, str], arguments: tuple[str, ...]) -> None:
    _assert_passed(emulated, "nccl", "2", *arguments)
    assert not list(Path("/dev/shm").glob("emulated-nccl-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("3", "cuda_aware", "collectives", "0", "2", "pieces"),
        ("3", "cuda_aware", "late_sums"),
        ("2", "cuda_aware", "nothing_crosses"),
    ],
    ids=" ".join,
)
def test_ranks_exchange_and_add_up_by_mpi(emulated: dict[str, str], arguments: tuple[str, ...]) -> None:
    pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    _assert_passed(emulated, "mpi", *arguments)


@pytest.mark.slow
def test_files_of_ranks_that_have_all_been_killed_are_taken_away(emulated: dict[str, str]) -> None:
    dead, alive = (Path(f"/dev/shm/emulated-nccl-{os.getpid()}-{what}") for what in ("dead", "alive"))
    for each in (dead, alive):
        each.mkdir()
        (each / "call0-0").write_text("what a rank has sent")
    held = os.open(alive, os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)  # as each rank does until it ends
        said = _said(emulated, "exec('from cupy.cuda import nccl; print(len(nccl.get_unique_id()))')")
        assert "128" in said, said
        assert [each.exists() for each in (dead, alive)] == [False, True]
    finally:
        os.close(held)
        for each in (dead, alive):
            shutil.rmtree(each, ignore_errors=True)


_FULL = """
import resource, time
from cupy.cuda import nccl
communicator = nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)
x = cupy.ones(5000, "f")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
communicator.allReduce(x.data.ptr, x.data.ptr, 5000, nccl.NCCL_FLOAT, nccl.NCCL_SUM, 0)
try:
    for _ in range(1000):
        communicator.check_async_error()
        time.sleep(0.01)
finally:
    communicator.abort()
"""


@pytest.mark.slow
def test_a_file_of_ranks_that_cannot_be_written_is_an_error_of_nccl(emulated: dict[str, str]) -> None:
    said = _said(emulated, f"exec({_FULL!r})")
    assert "NcclError: NCCL_ERROR_SYSTEM_ERROR" in said, said
    assert "call0-0: File too large" in said


_COPY = """
from cupy.cuda import nvrtc
import numpy
code = 'extern "C" __global__ void copy(float* to, const float* from, int n) {{' \\
       ' int i = threadIdx.x; to[i] = from[i + {far}]; }}'
copy = cupy.RawModule(code=code).get_function("copy")
x, y = cupy.ones(60, "f"), cupy.zeros(60, "f")
copy((1,), (60,), (y, x, numpy.int32(60)))
cupy.cuda.runtime.deviceSynchronize()
print("all well", float(y.sum()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("far", "words"), [(0, "all well 60.0"), (8, "bytes behind the begin of 240")])
def test_what_is_read_beyond_an_array_is_found(emulated: dict[str, str], far: int, words: str) -> None:
    code = f"exec({_COPY.format(far=far)!r})"
    said = _said({**emulated, "DISTRT_EMULATED_GUARD": "1"}, code)
    assert words in said
    assert ("in kernel copy" in said) == bool(far)


#: What a stream does that has something to wait for first.
_LATE = """
import time
runtime = cupy.cuda.runtime
stream = cupy.cuda.Stream(non_blocking=True)
x, falling, host, out = cupy.full(3, 5.0), cupy.array([3.0, 2, 1]), numpy.ones(3), numpy.zeros(3)
runtime.deviceSynchronize()
stream.launch_host_func(lambda _: time.sleep(0.3), None)
{code}
stream.synchronize()
print("found", {found})
"""
_GRAPH = """
with stream:
    stream.begin_capture()
    x += 1
    graph = stream.end_capture()
graph.launch(stream)
del graph
"""
_FREE = """
place = runtime.mallocAsync(24, stream.ptr)
own = cupy.ndarray(3, memptr=cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(place, 24, None), 0))
with stream:
    own.fill(7)
    x = own.copy()
    runtime.freeAsync(place, stream.ptr)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "found", "words"),
    [
        ("x.data.copy_from_host_async(host.ctypes.data, 24, stream); host[:] = 2", "x", "[1. 1. 1.]"),
        ("x.data.copy_to_host_async(out.ctypes.data, 24, stream); early = out.copy()", "early", "[5. 5. 5.]"),
        (_GRAPH, "x", "[6. 6. 6.]"),
        (_FREE, "x", "[7. 7. 7.]"),
        ("with stream: x[...] = falling; x.sort()", "x", "[1. 2. 3.]"),
    ],
    ids=["a copy up", "a copy down", "a graph that is gone", "memory that is freed", "a sort"],
)
def test_what_is_queued_behind_something_has_what_it_needs(
    emulated: dict[str, str], code: str, found: str, words: str
) -> None:
    said = _said(
        {**emulated, "DISTRT_EMULATED_GUARD": "1"}, f"exec({_LATE.format(code=code, found=found)!r})"
    )
    assert f"found {words}" in said, said


_STRANGE = """
code = 'extern "C" __global__ void strange() { asm volatile("wgmma.fence.sync.aligned;"); }'
cupy.RawModule(code=code, options=("-arch=sm_90a",)).get_function("strange")((1,), (1,), ())
"""


@pytest.mark.slow
def test_a_kernel_that_cannot_be_translated_is_an_error_with_the_instruction(
    emulated: dict[str, str],
) -> None:
    said = _said(emulated, f"exec({_STRANGE!r})")
    assert "does not know the instruction wgmma.fence" in said
    assert "CUDADriverError: cudaErrorInvalidPtx" in said


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "g++" else f"/usr/bin/{name}")
    with pytest.raises(environment.EmulationError, match=r"expected g\+\+ in PATH"):
        environment.variables(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            environment.EmulationError, match=r"expected a folder that can be made at .*file/below"
        ),
        environment.locked(tmp_path / "file" / "below"),
    ):
        pass


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(
        environment.EmulationError, match=r"could not find it: .* ended with 1\n.*no such thing"
    ):
        environment.run("find it", [sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_step_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "STEP_SECONDS", 0.05)
    with pytest.raises(environment.EmulationError, match=r"to wait took more than 0\.05 s"):
        environment.run("wait", [sys.executable, "-c", "import time; time.sleep(60)"])


def test_two_at_a_time_make_it_once(tmp_path: Path) -> None:
    made: list[str] = []

    def fill(target: Path) -> None:
        time.sleep(0.02)
        made.append(target.name)
        (target / "file").write_text("whole")

    def make() -> None:
        with environment.locked(tmp_path):
            environment.made_once(tmp_path, "thing", ["a"], fill)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert len(made) == 1
    assert [each.read_text() for each in tmp_path.glob("thing-*/file")] == ["whole"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        (target / "half").write_text("")
        raise environment.EmulationError("no")

    with pytest.raises(environment.EmulationError):
        environment.made_once(tmp_path, "thing", ["a"], fail)
    assert not list(tmp_path.iterdir())


def test_who_waits_too_long_for_another_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LOCK_SECONDS", 0.05)
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(environment.EmulationError, match=r"waited 0\.05 s for another process"),
            environment.locked(tmp_path),
        ):
            pass


def test_the_script_refuses_what_makes_no_sense() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "gpu-check"), "--guard"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--guard is for --emulated" in ended.stderr
