"""Every public name of PyTorch's modules for users is here, or is left out for a reason."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest


def _left(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


_STORAGES = (
    "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage "
    "FloatStorage HalfStorage IntStorage LongStorage ShortStorage"
)
_POOLS = "CUDAPluggableAllocator change_current_allocator"
_OF_LIBRARIES = (
    "blas_workspace_size cuBLASModule cuFFTPlanCache cuFFTPlanCacheAttrContextProp cuFFTPlanCacheManager "
    "cublas_workspace_size cublaslt_workspace_size"
)

#: What has no place here, by module.
LEFT_OUT: dict[str, dict[str, str]] = {
    "nn.functional": dict.fromkeys(
        ("ScalingType", "SwizzleType", "grouped_mm", "scaled_grouped_mm", "scaled_mm"),
        "products of 8-bit floats on GPUs",
    )
    | {"assert_int_or_pair": "a helper"},
    "accelerator": _left(
        "accelerators are asked for by cuda's names",
        "Graph empty_host_cache get_device_capability get_memory_info",
    ),
    "autograd": _left("machinery", "NestedIOFunction")
    | _left("the layout of gradients is the parameter's", "enforce_grad_layout_policy"),
    "autograd.graph": _left("saved tensors that change raise", "allow_mutation_on_saved_tensors")
    | _left(
        "of the compiler and of streams",
        "region_activation_memory_budget set_override_stale_capture_stream set_warn_on_accumulate_grad_stream_mismatch",
    ),
    "backends.cuda": _left("attention is computed one way", "SDPAParams")
    | _left(
        "attention is computed one way",
        "can_use_cudnn_attention can_use_efficient_attention can_use_flash_attention",
    )
    | _left("plans are CuPy's, and so is memory for cuBLAS", _OF_LIBRARIES)
    | _left("libraries are chosen by what they can do", "preferred_blas_library preferred_rocm_fa_library"),
    "cuda": _left("storages are TypedStorage and UntypedStorage", _STORAGES)
    | _left("memory is CuPy's pool's", _POOLS)
    | _left("GPUs are not divided", "GreenContext")
    | _left("machinery", "classproperty"),
    "cuda.memory": _left("memory is CuPy's pool's", _POOLS),
    "cuda.nccl": _left(
        "ranks are processes, and DataParallel has `cuda.comm`",
        "all_gather all_reduce broadcast init_rank reduce reduce_scatter unique_id",
    ),
    "distributed.checkpoint": _left(
        "plans and storages are distrt's own",
        "HuggingFaceStorageReader HuggingFaceStorageWriter LoadPlan LoadPlanner QuantizedHuggingFaceStorageReader "
        "ReadItem SavePlan SavePlanner StorageReader StorageWriter WriteItem load_sharded_optimizer_state_dict",
    ),
    "func": _left("there is no tracer, and no einops", "debug_unwrap functionalize rearrange"),
    "jit": _left("machinery", "CompilationUnit"),
    "random": _left("machinery", "thread_safe_generator"),
    "utils.checkpoint": _left(
        "machinery",
        "DefaultDeviceType GraphExecGroup",
    ),
    "utils.data": _left(
        "there are no DataPipes",
        "DFIterDataPipe DataChunk IterDataPipe MapDataPipe _DatasetKind argument_validation functional_datapipe "
        "guaranteed_datapipes_determinism non_deterministic runtime_validation runtime_validation_disabled",
    ),
}

MODULES = (
    "accelerator",
    "amp",
    "autograd",
    "autograd.functional",
    "autograd.graph",
    "backends.cuda",
    "cuda",
    "cuda.amp",
    "cuda.comm",
    "cuda.memory",
    "cuda.nccl",
    "cuda.nvtx",
    "cuda.profiler",
    "cuda.random",
    "distributed",
    "distributed.algorithms._checkpoint.checkpoint_wrapper",
    "distributed.checkpoint",
    "distributed.checkpoint.state_dict",
    "distributed.device_mesh",
    "distributed.fsdp",
    "distributed.fsdp.wrap",
    "distributions",
    "distributions.constraints",
    "distributions.transforms",
    "func",
    "futures",
    "hub",
    "jit",
    "multiprocessing",
    "nn",
    "nn.functional",
    "nn.grad",
    "nn.init",
    "nn.parallel",
    "nn.utils",
    "nn.utils.parametrizations",
    "nn.utils.parametrize",
    "nn.utils.prune",
    "nn.utils.rnn",
    "optim",
    "optim.lr_scheduler",
    "optim.swa_utils",
    "random",
    "signal.windows",
    "testing",
    "utils.checkpoint",
    "utils.data",
)


def _public(module: Any, root: str) -> set[str]:
    """The names that the module defines or gives in ``__all__``, other modules and typing helpers left out."""
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    found = {name: getattr(module, name) for name in names}
    return {
        name
        for name, value in found.items()
        if not inspect.ismodule(value)
        and (inspect.isclass(value) or inspect.isroutine(value))
        and (getattr(value, "__module__", None) or root).startswith(root)
        and not name.endswith(("_C", "VF"))
    }


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_here(name: str, torch: Any) -> None:
    theirs = importlib.import_module(f"torch.{name}")
    ours = importlib.import_module(f"distrt.{name}")
    wanted = _public(theirs, f"torch.{name.partition('.')[0]}") - set(LEFT_OUT.get(name, ()))
    assert not sorted(each for each in wanted if not hasattr(ours, each))
    assert not sorted(each for each in LEFT_OUT.get(name, ()) if hasattr(ours, each)), (
        "is here, and is listed as left out"
    )
