"""Traces of several ranks fit together: one clock, the collectives of data parallelism, and the rank in each."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import RankRun

PROGRAM = """
import sys
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.profiler import profile, record_function

dist.init_process_group()
model = DistributedDataParallel(nn.Linear(64, 8))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
inputs = torch.randn(4, 64)

def step():
    optimizer.zero_grad()
    model(inputs).square().mean().backward()
    optimizer.step()

step()
with profile() as prof:
    step()
    for _ in range(5):
        with record_function("together"):
            dist.barrier()
prof.export_chrome_trace(f"{sys.argv[1]}/{dist.get_rank()}.json")
dist.destroy_process_group()
"""


@pytest.mark.ci
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_have_one_clock(run_ranks: Callable[..., RankRun], tmp_path: Path, ranks: int) -> None:
    run = run_ranks(PROGRAM, ranks, args=[str(tmp_path)])
    assert run.exit_code == 0, run
    barriers = []
    for rank in range(ranks):
        trace = json.loads((tmp_path / f"{rank}.json").read_text())
        assert trace["distributedInfo"] == {"backend": "gloo", "rank": rank, "world_size": ranks}
        spans = [each for each in trace["traceEvents"] if each["ph"] == "X"]
        names = {each["name"] for each in spans}
        assert {"DistributedDataParallel.forward", "c10d::all_reduce", "c10d::barrier"} <= names
        barriers.append([each for each in spans if each["name"] == "together"])
    for together in zip(*barriers, strict=True):
        last_begin = max(each["ts"] for each in together)
        first_end = min(each["ts"] + each["dur"] for each in together)
        assert last_begin <= first_end + 100, together  # nobody leaves a barrier before all have come
