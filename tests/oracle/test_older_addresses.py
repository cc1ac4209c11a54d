"""Names that scripts take from PyTorch's rarer modules: older addresses, other devices, switches of its compiler."""

from __future__ import annotations

import importlib
import operator
from typing import Any

import pytest

import distrt
from distrt.core.errors import DeviceMissing
from distrt.torch_version import TorchVersion
from tests.oracle.scripts import assert_same_outcomes

#: One address, and what it is another name for.
SAME = {
    "cuda.OutOfMemoryError": "OutOfMemoryError",
    "distributed._tensor.DTensor": "distributed.tensor.DTensor",
    "functional.F": "nn.functional",
    "functional.einsum": "einsum",
    "functional.stft": "stft",
    "nn.functional.grad": "nn.grad",
    "storage.UntypedStorage": "UntypedStorage",
    "utils.model_zoo.load_url": "hub.load_state_dict_from_url",
    "utils.data.dataset.StackDataset": "utils.data.StackDataset",
}


def _named(library: Any, path: str) -> Any:
    found = library
    for part in path.split("."):
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("path", SAME)
def test_an_older_address_leads_to_the_same(path: str, torch: Any) -> None:
    for library in (distrt, torch):
        assert _named(library, path) is _named(library, SAME[path])


def test_the_function_of_a_modules_name_says_what_to_use(torch: Any) -> None:
    for library in (distrt, torch):
        importlib.import_module(f"{library.__name__}.autograd.variable")
        with pytest.raises(RuntimeError, match=r"use torch.tensor\(...\) instead"):
            library.autograd.variable(3)


def test_other_devices_are_absent_as_in_pytorch(torch: Any) -> None:
    assert_same_outcomes(
        """
t.xpu.is_available(), t.xpu.device_count(), t.xpu.is_initialized(), t.xpu.memory_allocated(), t.xpu.is_bf16_supported()
t.xpu.manual_seed(1), t.xpu.manual_seed_all(1), t.xpu.empty_cache()
t.mps.is_available(), t.mps.device_count(), t.mps.manual_seed(1)
t.mtia.is_available(), t.mtia.device_count()
t.cuda.is_tf32_supported(), t.cuda.default_generators, t.cuda.has_magma, t.cuda.get_gencode_flags()
t.cuda.FloatTensor, isinstance(t.ones(1), t.cuda.FloatTensor), isinstance(t.ones(1), t.FloatTensor)
t.cuda.FloatTensor(3)
issubclass(t.OutOfMemoryError, RuntimeError), issubclass(t.AcceleratorError, RuntimeError)
""",
        torch,
    )


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("xpu", "current_device"),
        ("cuda", "get_sync_debug_mode"),
        ("cuda", "cudart"),
        ("cuda.profiler", "start"),
    ],
)
def test_what_needs_a_device_raises_pytorchs_class(module: str, call: str, torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises(AssertionError, match=r"Torch not compiled with (CUDA|XPU) enabled"):
            getattr(_named(library, module), call)()


def test_cuda_graphs_need_a_gpu() -> None:
    graphs = distrt.cuda
    for call in (
        graphs.CUDAGraph,
        graphs.graph_pool_handle,
        lambda: graphs.graph(None),
        lambda: graphs.make_graphed_callables(distrt.sin, ()),
    ):
        with pytest.raises(DeviceMissing, match=r"requires CUDA|not compiled with CUDA"):
            call()


def test_the_compilers_switches_can_be_set() -> None:
    dynamo, inductor = importlib.import_module("distrt._dynamo"), importlib.import_module("distrt._inductor")
    config = importlib.import_module("distrt._inductor.config")
    assert config is inductor.config and not dynamo.config.never_set
    try:
        dynamo.config.suppress_errors = True
        inductor.config.triton.cudagraphs = True
        with dynamo.config.patch(suppress_errors=False, fresh=3), config.patch({"triton.cudagraphs": 5}):
            assert (dynamo.config.suppress_errors, dynamo.config.fresh, config.triton.cudagraphs) == (
                False,
                3,
                5,
            )
        with dynamo.config.patch("suppress_errors", 7):
            assert dynamo.config.suppress_errors == 7
        assert dynamo.config.suppress_errors is True and config.triton.cudagraphs is True
        assert not dynamo.config.fresh
    finally:
        del dynamo.config.suppress_errors, inductor.config.triton
    x = distrt.ones(2)
    assert dynamo.optimize("inductor")(distrt.sin)(x).tolist() == distrt.sin(x).tolist()
    dynamo.mark_dynamic(x, 0)
    dynamo.graph_break()


VERSIONS = ("2.13.0+cpu", "2.13.0", "2.13", "2.3", "2.13.0rc1", "2.14.0.dev1", "1.9.1", "3", "2.13.0.post1")


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_compare_as_pytorchs(version: str, torch: Any) -> None:
    from torch.torch_version import TorchVersion as Theirs

    for other in (*VERSIONS, (2, 13), (2,), (1, 10, 2)):
        mine, theirs = TorchVersion(version), Theirs(version)
        for law in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
            assert law(mine, other) == law(theirs, other), (version, law, other)
    assert TorchVersion(version) == version and hash(TorchVersion(version)) == hash(version)
    assert isinstance(TorchVersion(version), str) and TorchVersion("git") != version


def test_questions_about_functions_taken_over(torch: Any) -> None:
    for library in (distrt, torch):
        overrides = importlib.import_module(f"{library.__name__}.overrides")
        x = library.ones(2)
        assert not overrides.has_torch_function((x,)) and not overrides.has_torch_function_unary(x)
        assert not overrides.has_torch_function_variadic(x, x)
        assert overrides.is_tensor_like(x) and not overrides.is_tensor_like(3)
        assert overrides.is_tensor_method_or_property(library.Tensor.add)
        assert not overrides.is_tensor_method_or_property(library.add)
    overrides = importlib.import_module("distrt.overrides")
    with pytest.raises(TypeError, match="no implementation found for"):
        overrides.handle_torch_function(distrt.sin, (distrt.ones(2),), distrt.ones(2))


STACKED = """
data = t.utils.data
a, b = data.TensorDataset(t.arange(4)), [10, 11, 12, 13]
s = data.StackDataset(a, b)
len(s), s[1], s.__getitems__([0, 2]), type(s.datasets)
d = data.StackDataset(x=a, y=b)
len(d), d[1], d.__getitems__([0, 2]), type(d.datasets)
list(data.DataLoader(d, batch_size=3))
data.StackDataset()
data.StackDataset(a, y=b)
data.StackDataset(a, b[:2])
class Short(data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return i
    def __getitems__(self, rows): return rows[:1]
data.StackDataset(Short(), a).__getitems__([0, 1])
"""


def test_stacked_datasets_are_pytorchs(torch: Any) -> None:
    assert_same_outcomes(STACKED, torch)


MADE = """
m, f = t.testing.make_tensor, t.float32
[m(3, dtype=each, device='cpu').dtype for each in (t.bool, t.uint8, t.int64, f, t.bfloat16, t.complex64)]
m(2, 3, dtype=f, device='cpu').shape, m((2, 3), dtype=f, device='cpu').shape, m(dtype=f, device='cpu').shape
m(2, 3, dtype=f, device='cpu', noncontiguous=True).stride(), m(1, dtype=f, device='cpu', noncontiguous=True).stride()
m(2, 3, 4, 5, dtype=f, device='cpu', memory_format=t.channels_last).stride()
m(2, dtype=f, device='cpu', requires_grad=True).requires_grad, m(2, dtype=f, device='cpu', requires_grad=True).is_leaf
m(3, dtype=t.int64, device='cpu', low=0, high=1, exclude_zero=True)
m(3, dtype=t.bool, device='cpu', low=0, high=1)
m(3, dtype=t.int64, device='cpu', low=1.5, high=2.5)
m(3, dtype=t.uint8, device='cpu', low=-4, high=1)
m(3, dtype=f, device='cpu', low=4, high=3)
m(3, dtype=f, device='cpu', low=float('nan'))
m(3, dtype=f, device='cpu', low=float('inf'))
m(3, dtype=t.int64, device='cpu', requires_grad=True)
m((2, 3), dtype=f, device='cpu', noncontiguous=True, memory_format=t.contiguous_format)
bool((m(999, dtype=f, device='cpu', low=2, high=3) - 2.5).abs().max() <= 0.5)
bool(m(999, dtype=f, device='cpu').abs().max() > 8), bool(m(999, dtype=t.int16, device='cpu').max() == 9)
"""


def test_made_up_tensors_are_like_pytorchs(torch: Any) -> None:
    assert_same_outcomes(MADE, torch)
