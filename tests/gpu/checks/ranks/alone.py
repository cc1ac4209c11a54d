"""A rank that is alone in its group needs no NCCL."""

from __future__ import annotations

import cupy
import numpy as np

import distrt as torch
from distrt import distributed, nn
from distrt.comm.nccl import library
from distrt.comm.process_group import ProcessGroup
from distrt.parallel import DistributedDataParallel
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.gpu.checks.on_gpu import OnGpu


def main(group: ProcessGroup) -> None:
    """Prints how many collectives are right without it."""
    library.find = lambda: None  # type: ignore[assignment]  # as where its package is not installed
    lane = OnGpu(group)
    for name in COLLECTIVES:
        run_all(lane, sample(name, 0, 6))
    array = cupy.arange(3, dtype=np.float32)
    with cupy.cuda.Stream(non_blocking=True):
        array *= 2
        work = group.all_reduce(array, async_op=True)
    work.wait()
    assert array.get().tolist() == [0, 2, 4]
    model = DistributedDataParallel(nn.Linear(2, 1).cuda(), process_group=group)
    model(model.module.weight.detach()).sum().backward()
    assert model.module.weight.grad.is_cuda
    group.close()
    for backend in ("nccl", None):
        distributed.init_process_group(backend)
        ones = torch.ones(3, device="cuda")
        distributed.all_reduce(ones)
        model = DistributedDataParallel(nn.Linear(2, 1).cuda())
        model(model.module.weight.detach()).sum().backward()
        assert ones.tolist() == [1, 1, 1] and distributed.new_group([0], backend=backend).size() == 1
        distributed.destroy_process_group()
    print(f"{len(COLLECTIVES)} collectives are right")
