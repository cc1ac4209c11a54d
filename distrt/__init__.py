"""distrt: a distributed training runtime with PyTorch's shape.

    import distrt as torch

Names are resolved when first used (PEP 562): ``import distrt`` loads neither NumPy nor any room of the house, so the
launcher and command-line tools start at once.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from distrt.core import unsupported
from distrt.core.tensors.names import FUNCTIONS, IN_PLACE_FUNCTIONS

__version__ = "0.1.0"

e = math.e
inf = math.inf
nan = math.nan
newaxis = None
pi = math.pi

#: Names that are submodules: ``distrt.nn`` needs no import statement of its own.
_MODULES = frozenset(
    (
        "_C _VF __config__ __future__ _dynamo _inductor _tensor accelerator amp autograd backends checkpoint compiler "
        "cpu cuda debugging distributed distributions fft func functional futures fx hub jit library linalg mps mtia "
        "multiprocessing nn onnx ops optim overrides profiler random serialization signal sparse special storage "
        "testing torch_version types utils version xpu "
    ).split()
)

#: name -> (module, attribute). Functions of ``core.ops`` and ``core.creation``, dtypes and modes.
_NAMES: dict[str, tuple[str, str]] = {}


def _list(module: str, names: str) -> None:
    for name in names.split():
        _NAMES[name] = (f"distrt.core.{module}", name)


_list("tensor", "Tensor")
_list(
    "tensors.construct",
    "BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor",
)
_list("tensors.construct", "LongTensor ShortTensor")
_list(
    "autocast",
    "autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache get_autocast_cpu_dtype "
    "get_autocast_dtype get_autocast_gpu_dtype get_autocast_ipu_dtype get_autocast_xla_dtype "
    "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled is_autocast_ipu_enabled "
    "is_autocast_xla_enabled set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled "
    "set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype set_autocast_ipu_dtype "
    "set_autocast_ipu_enabled set_autocast_xla_dtype set_autocast_xla_enabled",
)
_NAMES["autocast"] = ("distrt.amp", "autocast")
_NAMES.update({name: ("distrt.files", name) for name in ("load", "save")})
_NAMES["vmap"] = ("distrt.autograd.mapping", "vmap")
_NAMES["summary"] = ("distrt.debugging", "summary")
_NAMES["compile"] = ("distrt.nn.modules.compiled", "compile")
_list(
    "tensors.formats",
    "channels_last channels_last_3d contiguous_format jagged layout memory_format preserve_format",
)
_list("tensors.formats", "sparse_bsc sparse_bsr sparse_coo sparse_csc sparse_csr strided")
_list(
    "process.determinism",
    "are_deterministic_algorithms_enabled get_deterministic_debug_mode is_deterministic_algorithms_warn_only_enabled "
    "set_deterministic_debug_mode use_deterministic_algorithms",
)
_list("tensors.interchange", "from_dlpack to_dlpack")
_list("tensors.printing", "set_printoptions")
_list(
    "tensors.questions",
    "get_device is_complex is_conj is_distributed is_floating_point is_inference is_neg is_nonzero is_same_size "
    "is_signed is_storage is_tensor numel typename",
)
_list(
    "process.settings",
    "get_float32_matmul_precision get_num_interop_threads get_num_threads is_warn_always_enabled "
    "set_float32_matmul_precision set_flush_denormal set_num_interop_threads set_num_threads set_warn_always",
)
_list("storage.storage", "TypedStorage UntypedStorage")
_list("unsupported", " ".join([*unsupported.FUNCTIONS, *unsupported.MODULES]))
_list("errors", "AcceleratorError OutOfMemoryError")
_list(
    "sparse.creation",
    "sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor "
    "sparse_csr_tensor",
)
_list("sparse.products", "hspmm smm spmm sspaddmm")
_list("tensors.size", "Size")
_list("device", "device get_default_device get_device_module set_default_device")
_list("dtypes.dtype", "dtype")
_list(
    "dtypes.rules",
    "can_cast get_default_dtype promote_types result_type set_default_dtype set_default_tensor_type",
)
_list("dtypes.limits", "finfo iinfo")
_list("autograd.anomaly", "is_anomaly_check_nan_enabled is_anomaly_enabled")
_list(
    "random.generator",
    "Generator default_generator get_rng_state initial_seed manual_seed seed set_rng_state",
)
_list("creation.windows", "bartlett_window blackman_window hamming_window hann_window kaiser_window")
_list(
    "modes", "enable_grad inference_mode is_grad_enabled is_inference_mode_enabled no_grad set_grad_enabled"
)
_list(
    "creation",
    "arange as_tensor asarray empty empty_like empty_permuted empty_strided eye from_numpy frombuffer "
    "full full_like linspace logspace normal ones ones_like rand rand_like "
    "randint randint_like randn randn_like randperm range scalar_tensor tensor tril_indices triu_indices vander zeros "
    "zeros_like",
)
_list("ops", " ".join(FUNCTIONS.values()))
_list(
    "definitions.in_place_functions",
    "alpha_dropout_ celu_ dropout_ feature_alpha_dropout_ feature_dropout_ relu_ rrelu_ selu_ threshold_ "
    + IN_PLACE_FUNCTIONS,
)

_IN_NN = (  # functions of ``nn.functional`` that PyTorch has here, too
    "adaptive_avg_pool1d avg_pool1d conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d "
    "max_pool1d max_pool1d_with_indices max_pool2d max_pool3d"
)
_NAMES.update({name: ("distrt.nn.functional", name) for name in _IN_NN.split()})
_NAMES["adaptive_max_pool1d"] = ("distrt.nn.functional", "adaptive_max_pool1d_with_indices")

_DTYPES = frozenset(
    "bfloat16 bool cdouble cfloat complex128 complex64 double float float16 float32 float64 half int int16 int32 int64 "
    "int8 long short uint16 uint32 uint64 uint8".split()
)

#: Names that are no part of PyTorch's interface, and that libraries of distributions call all the same.
_OF_DRAWS = {
    "_dirichlet_grad": "dirichlet_slope",
    "_sample_dirichlet": "sample_dirichlet",
    "_standard_gamma": "standard_gamma",
    "_standard_gamma_grad": "gamma_slope",
}

__all__ = sorted([*_NAMES, *_DTYPES, *_MODULES, "e", "inf", "nan", "newaxis", "pi"])  # noqa: PLE0605 - one table, not two lists to keep in step


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"distrt.{name}")
    if name in _NAMES or name in _DTYPES:
        importlib.import_module(
            "distrt.core.tensors.methods"
        )  # every tensor that is handed out has its methods
        if name in _DTYPES:
            found = importlib.import_module("distrt.core.dtypes.dtype").PUBLIC_NAMES[name]
        else:
            module, attribute = _NAMES[name]
            found = getattr(importlib.import_module(module), attribute)
            if module.startswith(("distrt.core.ops", "distrt.core.creation")):
                wording = importlib.import_module("distrt.core.definitions.wording")
                found = wording.as_users_get(found, __name__, name)
        globals()[name] = found
        return found
    if name in _OF_DRAWS:
        importlib.import_module("distrt.core.tensors.methods")
        found = getattr(importlib.import_module("distrt.core.ops"), _OF_DRAWS[name])
        globals()[name] = found
        return found
    if name.startswith("_foreach_"):
        found = importlib.import_module("distrt.core.foreach").functions()
        if name in found:
            globals().update(found)
            return found[name]
    raise AttributeError(f"module 'distrt' has no attribute {name!r}; README.md lists what this version has")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
