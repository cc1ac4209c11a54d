"""Several ranks with GPUs, and no library of NCCL's: "nccl" says so, and its group is left."""

from __future__ import annotations

from datetime import timedelta

from distrt import distributed
from distrt.comm.nccl import library
from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import DeviceMissing
from tests.gpu.checking import assert_refused


def main(group: ProcessGroup) -> None:
    """Prints "told"."""
    group.close()
    library.find = lambda: None  # type: ignore[assignment]  # as where its package is not installed
    words = "CuPy finds no NCCL library; pip install distrt"
    assert_refused(DeviceMissing, words, lambda: distributed.init_process_group("nccl"))
    assert not distributed.is_initialized()
    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    assert_refused(DeviceMissing, words, lambda: distributed.new_group([0, 1], backend="nccl"))
    assert distributed.new_group([distributed.get_rank()], backend="gloo") is not None
    distributed.destroy_process_group()
    print("told")
