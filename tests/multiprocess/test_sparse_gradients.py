"""Sparse tensors between real ranks, beside PyTorch's gloo: their sums, and training by sparse gradients."""

import pytest

from tests.multiprocess.side_by_side import side_by_side

pytestmark = pytest.mark.ci

BEGIN = """
import contextlib, warnings
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
warnings.simplefilter("ignore")  # PyTorch says that it does not look at indices
dist.init_process_group("gloo")
rank = dist.get_rank()
BATCHES = [[[1, 3], [3, 0]], [[5, 5], [1, 2]], [[0, 0], [0, 4]], [[2, 3], [4, 1]]]
def filled(net):
    with torch.no_grad():
        for each in net.parameters():
            each.copy_(torch.arange(float(each.numel())).view(each.shape) / 8 - 1)
    return net
def model():
    return filled(nn.Sequential(nn.EmbeddingBag(7, 3, mode="sum", sparse=True), nn.Linear(3, 2)))
def rounded(tensor):
    return [round(float(each), 3) + 0.0 for each in tensor.detach().to_dense().reshape(-1)]
def tell(net):
    for each in net.parameters():
        print(rounded(each), each.grad.is_sparse, rounded(each.grad))
"""
END = "\ndist.barrier()\ndist.destroy_process_group()\n"


def test_sums_of_tensors_with_other_places_on_each_rank() -> None:
    side_by_side(
        BEGIN
        + """
for rows in ([[1], [0, 3, 3]], [[], [2, 0]], [[], []]):
    for sizes in ((), (2,)):
        for dtype in (torch.float32, torch.bfloat16, torch.int32):
            for async_op in (False, True):
                values = torch.ones(len(rows[rank]), *sizes, dtype=dtype) * (rank + 1)
                tensor = torch.sparse_coo_tensor(torch.tensor([rows[rank]], dtype=torch.int64), values, (5, *sizes))
                work = dist.all_reduce(tensor, async_op=async_op)
                if async_op:
                    work.wait()
                print(tensor._nnz(), tensor.is_coalesced(), tensor.dtype, rounded(tensor))
"""
        + END,
        2,
    )


def test_training_with_two_optimizers_a_schedule_and_a_restart() -> None:
    side_by_side(
        BEGIN
        + """
def made(net):
    of_table = torch.optim.SparseAdam([net.module[0].weight], lr=0.1)
    return of_table, torch.optim.lr_scheduler.StepLR(of_table, 2, 0.5)
def train(**options):
    net = DistributedDataParallel(model(), **options)
    of_table, schedule = made(net)
    of_head = torch.optim.SGD(net.module[1].parameters(), lr=0.01, momentum=0.9)
    for step, batch in enumerate(BATCHES * 2):
        of_table.zero_grad()
        of_head.zero_grad()
        with net.no_sync() if step == 3 else contextlib.nullcontext():
            (net(torch.tensor(batch[rank : rank + 1])) ** 2).mean().backward()
        if step == 3:  # two passes before a step
            (net(torch.tensor(batch[1 - rank :][:1])) ** 2).mean().backward()
        tell(net)
        of_table.step()
        of_head.step()
        schedule.step()
        if step == 4:
            kept = of_table.state_dict(), schedule.state_dict()
            of_table, schedule = made(net)
            of_table.load_state_dict(kept[0])
            schedule.load_state_dict(kept[1])
    print(schedule.get_last_lr(), of_table.state_dict()["state"][0]["step"])
train()
train(gradient_as_bucket_view=True)
train(find_unused_parameters=True)
train(static_graph=True, bucket_cap_mb=1e-5)
"""
        + END,
        2,
    )


def test_ranks_with_more_batches_and_with_empty_ones() -> None:
    side_by_side(
        BEGIN
        + """
net = DistributedDataParallel(model())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
with net.join():
    for batch in BATCHES[: 2 + rank]:
        optimizer.zero_grad()
        (net(torch.tensor(batch)) ** 2).mean().backward()
        optimizer.step()
print([rounded(each) for each in net.parameters()])
table = DistributedDataParallel(filled(nn.Embedding(4, 2, sparse=True)))
table(torch.tensor([2, 0, 2] if rank else [], dtype=torch.int32)).sum().backward()
tell(table)
"""
        + END,
        2,
    )
