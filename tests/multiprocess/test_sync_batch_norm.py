"""SyncBatchNorm and DivergenceGuard on real ranks: the numbers of one process, and who differs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.multiprocess.conftest import ROOT, RankRun
from tests.parallel.batch_statistics import net, trained

RunRanks = Callable[..., RankRun]

DIVISIONS = [[3, 5], [8, 0], [1, 7], [0, 8], [4, 4]]

TRAINING = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.parallel import DivergenceGuard
from tests.parallel.batch_statistics import net, trained

dist.init_process_group("gloo")
group = dist.new_group(list(range(dist.get_world_size()))) if sys.argv[2] == "own group" else None
model = DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(net(), group), bucket_cap_mb=1e-5)
assert any(type(each) is nn.SyncBatchNorm for each in model.modules())
guard = DivergenceGuard(model, every=2)
found = trained(model, {DIVISIONS}, dist.get_rank(), dist.get_world_size())
guard.check()
if dist.get_rank() == 0:
    np.savez(sys.argv[1], **found)
print(found["norm.running_var"].tobytes().hex(), guard.passes)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("group", ["the world", "own group"])
def test_ranks_train_as_one_process_with_batch_statistics(
    run_ranks: RunRanks, tmp_path: Path, group: str
) -> None:
    output = tmp_path / "trained.npz"
    run = run_ranks(TRAINING, 2, args=[str(output), group])
    assert run.exit_code == 0, run
    assert run.lines(0) == run.lines(1), run
    assert run.lines(0)[0].endswith(f" {len(DIVISIONS)}"), run
    alone = trained(net(), DIVISIONS)
    with np.load(output) as together:
        assert set(together.files) == set(alone)
        for name, expected in alone.items():
            np.testing.assert_allclose(together[name], expected, rtol=0, atol=1e-12, err_msg=name)


DRIFT = """
import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.parallel import DivergenceGuard

dist.init_process_group("gloo")
model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)))
DivergenceGuard(model, every=2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(10):
    optimizer.zero_grad()
    model(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    if step == 4 and dist.get_rank() == 1:
        model.module[1].weight.data[1, 3] += 1e-6
"""


def test_a_poked_value_ends_the_job_with_its_name(run_ranks: RunRanks) -> None:
    run = run_ranks(DRIFT, 3)
    assert run.exit_code == 1, run
    said = re.search(r"DistributedError: rank \d: after (\d+) forward passes .*", run.stderr)
    assert said, run
    assert said[1] == "6", run
    assert re.search(
        r"module\.1\.weight \(2, 8\) \S+ differs on rank 1 from that on ranks 0, 2\.", said[0]
    ), run
