"""What a machine without a GPU answers, settings that scripts make, and names that are left out: against PyTorch."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import distrt
from distrt.core import unsupported
from distrt.core.errors import DeviceMissing, UnsupportedError

ANSWERS: dict[str, Callable[[Any], Any]] = {
    "cuda.is_available": lambda t: t.cuda.is_available(),
    "cuda.device_count": lambda t: t.cuda.device_count(),
    "cuda.is_initialized": lambda t: t.cuda.is_initialized(),
    "cuda.is_bf16_supported": lambda t: t.cuda.is_bf16_supported(),
    "cuda.current_device": lambda t: t.cuda.current_device(),
    "cuda.get_device_name": lambda t: t.cuda.get_device_name(0),
    "cuda.get_device_properties": lambda t: t.cuda.get_device_properties(0),
    "cuda.get_device_capability": lambda t: t.cuda.get_device_capability(),
    "cuda.synchronize": lambda t: t.cuda.synchronize(),
    "cuda.current_stream": lambda t: t.cuda.current_stream(),
    "cuda.Stream": lambda t: t.cuda.Stream(),
    "cuda.Event": lambda t: t.cuda.Event(enable_timing=True),
    "cuda.stream": lambda t: t.cuda.stream(None).__enter__(),
    "cuda.device": lambda t: t.cuda.device(0).__enter__(),
    "cuda.init": lambda t: t.cuda.init(),
    "cuda.mem_get_info": lambda t: t.cuda.mem_get_info(),
    "cuda.empty_cache": lambda t: t.cuda.empty_cache(),
    "cuda seeds": lambda t: (t.cuda.manual_seed(1), t.cuda.manual_seed_all(1), t.cuda.seed()),
    "cuda states": lambda t: (t.cuda.get_rng_state_all(), t.cuda.set_rng_state_all([])),
    "cuda.get_rng_state": lambda t: t.cuda.get_rng_state(),
    "cuda memory": lambda t: [
        getattr(t.cuda, name)()
        for name in "memory_allocated max_memory_allocated memory_reserved max_memory_reserved".split()
    ],
    "cuda.memory_stats": lambda t: dict(t.cuda.memory_stats()),
    "cuda.get_arch_list": lambda t: t.cuda.get_arch_list(),
    **{
        f"cuda.{name}": lambda t, name=name: getattr(t.cuda, name)()
        for name in (
            "caching_allocator_enable current_blas_handle current_solver_handle get_per_process_memory_fraction "
            "host_memory_stats host_memory_stats_as_nested_dict"
        ).split()
    },
    "cuda.caching_allocator_alloc": lambda t: t.cuda.caching_allocator_alloc(512),
    "cuda.get_stream_from_external": lambda t: t.cuda.get_stream_from_external(0),
    "cuda.cudaStatus": lambda t: (t.cuda.cudaStatus.SUCCESS, t.cuda.cudaStatus.ERROR_NOT_READY),
    "cuda errors": lambda t: (
        t.cuda.CudaError.__mro__[1:],
        t.cuda.DeferredCudaCallError.__mro__[1:],
        t.cuda.has_half,
    ),
    "cudnn": lambda t: (
        t.backends.cudnn.is_available(),
        t.backends.cudnn.version(),
        t.backends.cudnn.enabled,
        t.backends.cudnn.benchmark,
        t.backends.cudnn.deterministic,
        t.backends.cudnn.allow_tf32,
    ),
    "backends.cuda": lambda t: (
        t.backends.cuda.is_built(),
        t.backends.cuda.matmul.allow_tf32,
        t.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        t.backends.cuda.flash_sdp_enabled(),
        t.backends.cuda.math_sdp_enabled(),
    ),
    "backends.cuda of AMD's": lambda t: (
        t.backends.cuda.is_ck_sdpa_available(),
        t.backends.cuda.fp16_bf16_reduction_math_sdp_allowed(),
    ),
    **{
        f"device {arguments}": lambda t, arguments=arguments: t.device(*arguments)
        for arguments in (("cuda", -1), ("cpu", -1), ("meta", -2), (-1,), ("cuda:-1",), ("cuda", 3))
    },
    "backends.mps": lambda t: (t.backends.mps.is_available(), t.backends.mps.is_built()),
    "version": lambda t: (t.version.cuda, t.version.hip, t.version.debug),
    "accelerator": lambda t: (
        t.accelerator.is_available(),
        t.accelerator.current_accelerator(),
        t.accelerator.device_count(),
    ),
    "accelerator.current_device_index": lambda t: t.accelerator.current_device_index(),
    "accelerator.set_device_index": lambda t: t.accelerator.set_device_index(0),
    "accelerator.synchronize": lambda t: t.accelerator.synchronize(),
    "accelerator.device_index None": lambda t: t.accelerator.device_index(None).__enter__(),
    "accelerator.device_index 0": lambda t: t.accelerator.device_index(0).__enter__(),
    "cpu": lambda t: (
        t.cpu.is_available(),
        t.cpu.device_count(),
        t.cpu.current_device(),
        t.cpu.synchronize(),
    ),
    "get_device_module": lambda t: (
        t.get_device_module().__name__.rpartition(".")[2],
        t.get_device_module("cuda").__name__.rpartition(".")[2],
    ),
    "float32_matmul_precision": lambda t: t.get_float32_matmul_precision(),
    "num_threads 0": lambda t: t.set_num_threads(0),
    "num_threads of a float": lambda t: t.set_num_threads(1.5),
    "deterministic by a number": lambda t: t.use_deterministic_algorithms(1),
    "deterministic": lambda t: (
        t.are_deterministic_algorithms_enabled(),
        t.is_deterministic_algorithms_warn_only_enabled(),
        t.get_deterministic_debug_mode(),
    ),
    "deterministic by an unknown name": lambda t: t.set_deterministic_debug_mode("some"),
    "compiling": lambda t: (t.compiler.is_compiling(), t.jit.is_scripting(), t.jit.is_tracing()),
}

CLASSES = (AttributeError, TypeError, ValueError, AssertionError, RuntimeError)


def _answer(library: Any, ask: Callable[[Any], Any]) -> Any:
    try:
        return repr(ask(library))
    except CLASSES as fault:
        return next(kind for kind in CLASSES if isinstance(fault, kind))


@pytest.mark.parametrize(
    "name", "utilization memory_usage temperature power_draw clock_rate device_memory_used".split()
)
def test_without_the_management_library_it_is_named(name: str, torch: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as where it is not installed
    monkeypatch.setattr(torch.cuda, "_HAS_PYNVML", False)
    for library in (torch, distrt):
        with pytest.raises(ModuleNotFoundError, match="nvidia-ml-py does not seem to be installed"):
            getattr(library.cuda, name)()
    assert distrt.cuda.list_gpu_processes() == torch.cuda.list_gpu_processes()


def test_without_a_driver_the_management_library_is_not_asked_further(monkeypatch: Any) -> None:
    class NVMLError(Exception):
        pass

    def fail() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError, nvmlInit=fail))
    with pytest.raises(RuntimeError, match=r"cuda driver can't be loaded, is cuda enabled\?"):
        distrt.cuda.temperature()
    assert distrt.cuda.list_gpu_processes() == "cuda driver can't be loaded, is cuda enabled?"


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_is_pytorchs(name: str, torch: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so PyTorch answers for it")
    expected, found = (_answer(library, ANSWERS[name]) for library in (torch, distrt))
    if found is AssertionError:  # DeviceMissing is both of the classes that PyTorch raises without a GPU
        assert expected in (AssertionError, RuntimeError)
    else:
        assert found == expected


def test_settings_are_given_back() -> None:
    threads = distrt.get_num_threads()
    try:
        distrt.set_num_threads(1)
        assert distrt.get_num_threads() == 1
        distrt.set_float32_matmul_precision("high")
        assert distrt.get_float32_matmul_precision() == "high"
        distrt.use_deterministic_algorithms(True, warn_only=True)
        assert distrt.is_deterministic_algorithms_warn_only_enabled()
        assert distrt.get_deterministic_debug_mode() == 1
    finally:
        distrt.set_num_threads(threads)
        distrt.set_float32_matmul_precision("highest")
        distrt.use_deterministic_algorithms(False)
    with pytest.warns(UserWarning, match="not one of"):
        distrt.set_float32_matmul_precision("best")
    assert distrt.get_float32_matmul_precision() == "highest"


def test_switches_are_remembered_and_given_back_after_a_block() -> None:
    cudnn = distrt.backends.cudnn
    with cudnn.flags(enabled=False, benchmark=True):
        assert (cudnn.enabled, cudnn.benchmark) == (False, True)
    assert (cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit) == (True, False, None)
    with distrt.backends.cuda.sdp_kernel(enable_flash=False):
        assert not distrt.backends.cuda.flash_sdp_enabled()
    assert distrt.backends.cuda.flash_sdp_enabled()
    with distrt.backends.mkldnn.flags(enabled=True):
        assert distrt.backends.mkldnn.enabled


def test_marks_for_profilers_do_nothing_without_one() -> None:
    with distrt.cuda.nvtx.range("step {}", 1):
        assert distrt.cuda.nvtx.range_push("inner") == -1
        assert distrt.cuda.nvtx.range_pop() == -1
    with pytest.raises(RuntimeError, match="GPU"):
        distrt.cuda.nccl.version()


def test_what_it_runs_with_is_told() -> None:
    assert "NumPy" in distrt.__config__.show()
    assert str(distrt.get_num_threads()) in distrt.__config__.parallel_info()


def test_compile_wraps_modules_and_returns_functions() -> None:
    model = distrt.nn.Linear(2, 1)
    compiled = distrt.compile(model, mode="reduce-overhead", fullgraph=True)
    assert compiled._orig_mod is model and isinstance(compiled, distrt._dynamo.OptimizedModule)
    assert list(compiled.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"]
    assert distrt.compile(model, disable=True) is model
    assert distrt.jit.script(compiled)(distrt.ones(3, 2)).shape == (3, 1)
    assert type(pickle.loads(pickle.dumps(compiled))) is type(compiled)

    @distrt.compile
    def plain(x: Any) -> Any:
        return x + 1

    @distrt.compile(dynamic=True)
    def optioned(x: Any) -> Any:
        return x + 1

    assert plain(1) == optioned(1) == 2
    with pytest.raises(RuntimeError, match="mode or options"):
        distrt.compile(model, mode="default", options={})
    with pytest.raises(RuntimeError, match="function"):
        distrt.compile(3)
    with pytest.raises(RuntimeError, match="Unrecognized mode=fastest"):
        distrt.compile(model, mode="fastest")


def test_what_decorates_for_compilers_returns_the_function() -> None:
    def function() -> int:
        return 1

    for decorate in (
        distrt.compiler.disable,
        distrt.compiler.disable(),
        distrt.compiler.allow_in_graph,
        distrt.compiler.set_stance("force_eager"),
        distrt.jit.ignore,
        distrt.jit.ignore(drop=True),
        distrt.jit.unused,
        distrt.jit.export,
    ):
        assert decorate(function) is function
    assert distrt.jit.annotate(int, 3) == 3


@pytest.mark.parametrize("name", unsupported.FUNCTIONS)
def test_functions_that_are_left_out_say_what_to_use(name: str, torch: Any) -> None:
    assert hasattr(torch, name)
    with pytest.raises(UnsupportedError, match=name):
        getattr(distrt, name)(distrt.ones(1))


@pytest.mark.parametrize("name", unsupported.METHODS)
def test_methods_that_are_left_out_say_what_to_use(name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        getattr(distrt.ones(1), name)()


@pytest.mark.parametrize("name", unsupported.MODULES)
def test_modules_that_are_left_out_say_what_to_use(name: str, torch: Any) -> None:
    assert hasattr(torch, name)
    with pytest.raises(UnsupportedError, match=name):
        getattr(distrt, name).anything()


@pytest.mark.skipif(distrt.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    "call",
    [
        lambda memory: memory._record_memory_history(),
        lambda memory: memory._record_memory_history(False),
        lambda memory: memory._snapshot(),
        lambda memory: memory._dump_snapshot("never.pickle"),
        lambda memory: memory.MemPool(),
        lambda memory: distrt.cuda._sleep(1),
    ],
)
def test_memory_of_no_gpu_is_not_told_of(call: Callable[[Any], Any]) -> None:
    with pytest.raises(DeviceMissing):
        call(distrt.cuda.memory)
    assert distrt.cuda.memory_snapshot() == []
    assert distrt.cuda.memory._allocation_traceback(0) is None


def test_ranges_are_given_to_those_who_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    marks = SimpleNamespace(
        RangePush=lambda text: said.append(f"push {text}"),
        RangePop=lambda: said.append("pop"),
        Mark=lambda text: said.append(f"mark {text}"),
    )
    monkeypatch.setattr(distrt.cuda.nvtx, "_marks", lambda: marks)
    with distrt.cuda.nvtx.range("step {}", 1):
        assert distrt.cuda.nvtx.range_push("inner") == 1
        distrt.cuda.nvtx.mark("here")
        assert distrt.cuda.nvtx.range_pop() == 1
    assert distrt.cuda.nvtx.range_pop() == -1  # there is none
    assert said == ["push step 1", "push inner", "mark here", "pop", "pop"]
