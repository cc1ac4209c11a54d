"""What ranks exchange, in a profile: events as PyTorch's backends have, beside the calls."""

import pytest

from tests.multiprocess.side_by_side import side_by_side

SCRIPT = """
import warnings
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.profiler import profile
warnings.simplefilter('ignore')
dist.init_process_group('gloo')
rank = dist.get_rank()
t = torch.ones(3, 2)
rows = [torch.zeros(3, 2) for _ in range(2)]
def exchanges(run, shapes=True):
    run()
    with profile(record_shapes=shapes) as prof: run()
    return [(e.name, e.input_shapes, e.is_async, e.count, e.is_user_annotation, e.cpu_parent, e.cpu_time_total > 0)
            for e in prof.events() if e.name.startswith('gloo:')]
calls = {
    'all_reduce': lambda: dist.all_reduce(t),
    'max': lambda: dist.all_reduce(torch.ones(100_000), dist.ReduceOp.MAX),
    'async': lambda: dist.all_reduce(t, async_op=True).wait(),
    'strided': lambda: dist.all_reduce(torch.ones(2, 2).t()),
    'broadcast': lambda: dist.broadcast(t, 1),
    'reduce': lambda: dist.reduce(t, 0),
    'all_gather': lambda: dist.all_gather(rows, t),
    'all_gather_into_tensor': lambda: dist.all_gather_into_tensor(torch.zeros(6, 2), t),
    'scatter': lambda: dist.scatter(t, rows if rank == 0 else None, 0),
    'gather': lambda: dist.gather(t, rows if rank == 0 else None, 0),
    'all_to_all': lambda: dist.all_to_all([torch.zeros(2), torch.zeros(2)], [torch.ones(2), torch.ones(2)]),
    'barrier': lambda: dist.barrier(),
    'any': lambda: dist.send(t, 1) if rank == 0 else dist.recv(t),
    'tag': lambda: dist.send(t, 1, tag=3) if rank == 0 else dist.irecv(t, 0, tag=3).wait(),
}
for name, call in calls.items(): print(name, exchanges(call))
print(exchanges(calls['broadcast'], shapes=False))
model = DDP(nn.Linear(4, 4))
def step(): model(torch.ones(2, 4)).sum().backward()
step()
print(exchanges(step))
with profile() as prof: calls['broadcast']()
averages = {e.key: e for e in prof.key_averages()}
print(averages['gloo:broadcast'].count, averages['gloo:broadcast'].self_cpu_time_total == 0)
dist.destroy_process_group()
"""


@pytest.mark.ci
def test_collectives_and_messages_are_events_as_under_pytorch() -> None:
    side_by_side(SCRIPT, size=2)
