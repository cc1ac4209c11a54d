"""Area S, the half that needs no GPU; and row 013, one front over several devices."""

from __future__ import annotations

import pytest

import distrt as torch
from tests.inventory.rows import covers

without_cuda = pytest.mark.skipif(
    "torch.cuda.is_available()", reason="states what a machine without a GPU answers; this one has a GPU"
)


@covers("S1", "S2")
@without_cuda
def test_a_machine_without_a_gpu_says_so() -> None:
    assert torch.cuda.is_available() is False and torch.cuda.device_count() == 0
    for question in (torch.cuda.current_device, lambda: torch.cuda.get_device_name(0)):
        with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
            question()


@covers("S3", "S6")
def test_versions() -> None:
    assert isinstance(torch.__version__, str)
    assert torch.version.cuda is None or isinstance(torch.version.cuda, str)
    assert torch.backends.cudnn.version() is None or isinstance(torch.backends.cudnn.version(), int)
    assert "NumPy" in torch.__config__.show()


@covers("S4", "S5")
def test_backend_flags() -> None:
    flags = torch.backends.cudnn
    before = flags.deterministic, flags.benchmark
    try:
        flags.deterministic, flags.benchmark = True, False
        assert flags.deterministic is True and flags.benchmark is False
    finally:
        flags.deterministic, flags.benchmark = before
    assert torch.backends.mps.is_available() is False


@covers("S7", "013")
def test_devices_compare_and_hash() -> None:
    first = torch.device("cuda:0")
    assert (first.type, first.index) == ("cuda", 0) and first == torch.device("cuda", 0)
    assert torch.device("cuda").index is None and torch.device("cpu") == torch.zeros(1).device
    assert {torch.device("cpu"): 1}[torch.device("cpu")] == 1 and str(first) == "cuda:0"
    with pytest.raises(RuntimeError):
        torch.device("abacus")


@covers("S8", "S9", "S10")
@without_cuda
def test_memory_questions_are_answered_without_a_gpu() -> None:
    for question in (
        torch.cuda.memory_allocated,
        torch.cuda.memory_reserved,
        torch.cuda.max_memory_allocated,
    ):
        assert question() == 0
    torch.cuda.empty_cache()
    with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
        torch.cuda.synchronize()


@covers("S11")
@without_cuda
def test_a_tensor_cannot_be_put_where_nothing_is() -> None:
    with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
        torch.ones(2) + torch.ones(2, device="cuda")
