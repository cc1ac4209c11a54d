"""What the communication functions do in shared memory, between processes."""

from tests.multiprocess.side_by_side import run_distrt

BEGIN = """
import datetime
import torch
import torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))
rank, size = dist.get_rank(), dist.get_world_size()
"""


def test_gradients_and_parameters_can_live_in_shared_tensors():
    script = """
    model = torch.nn.Linear(64, 128)
    torch.nn.init.constant_(model.weight, 0.5)
    gradients = dist.allocate_shared(sum(each.numel() for each in model.parameters()))
    memory, start = gradients.data_ptr(), 0
    for each in model.parameters():
        each.grad = gradients[start : start + each.numel()].view_as(each)
        start += each.numel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(3):
        optimizer.zero_grad(set_to_none=False)
        model(torch.ones(4, 64) * (rank + step)).sum().backward()
        alone = gradients.clone()
        dist.all_reduce(alone)
        dist.all_reduce(gradients)
        assert torch.equal(alone, gradients)
        dist.all_reduce(gradients[:128], dist.ReduceOp.MAX)
        optimizer.step()
    assert gradients.data_ptr() == memory and model.weight.grad.data_ptr() == memory
    weights = [torch.zeros_like(model.weight) for _ in range(size)]
    dist.all_gather(weights, model.weight.detach())
    print(all(torch.equal(each, weights[0]) for each in weights), float(weights[0].sum()) != 4096.0)
    shared = dist.allocate_shared(size, 1000, dtype=torch.float64)
    whole, part = torch.zeros(size, size, 1000, dtype=torch.float64), torch.zeros(1000, dtype=torch.float64)
    shared += rank
    dist.all_gather_single(whole, shared)
    dist.reduce_scatter_single(part, shared)
    dist.broadcast(shared, 1)
    print(whole[:, 0, 0].tolist(), part[0].item(), shared[0, 0].item())
    del model, optimizer, each
    dist.free_shared(gradients)
    dist.destroy_process_group()
    """
    for out in run_distrt(BEGIN + script.replace("\n    ", "\n"), 3):
        assert out.split("\n") == ["True True", "[0.0, 1.0, 2.0] 3.0 1.0", ""]


def test_a_late_rank_is_named_and_the_group_goes_on():
    script = """
    import time
    if rank == 2:
        time.sleep(1.0)
    try:
        dist.monitored_barrier(timeout=datetime.timedelta(seconds=0.5))
    except RuntimeError as error:
        print(error)
    tensor = torch.ones(1)
    dist.all_reduce(tensor)
    dist.monitored_barrier(timeout=datetime.timedelta(seconds=20))
    print(tensor.item())
    dist.destroy_process_group()
    """
    told = "[Rank {}]: Rank 2 failed to pass monitoredBarrier in 500 ms"
    found = run_distrt(BEGIN + script.replace("\n    ", "\n"), 3)
    assert [out.split("\n") for out in found] == [[told.format(rank), "3.0", ""] for rank in range(3)]


def test_large_tensors_are_coalesced_and_their_futures_complete_by_themselves():
    script = """
    tensors = [torch.full((length,), rank + 1.0) for length in (3, 100_000, 17, 1_000_000, 1)]
    with dist._coalescing_manager(async_ops=True) as manager:
        for each in tensors:
            dist.all_reduce(each)
    manager.wait()
    print(*(each.unique().tolist() for each in tensors))
    futures = [dist.all_reduce(each, async_op=True).get_future().then(lambda done: done.value()[0].sum().item())
               for each in tensors]
    print([future.wait() for future in reversed(futures)])
    dist.destroy_process_group()
    """
    for out in run_distrt(BEGIN + script.replace("\n    ", "\n"), 2):
        assert out.split("\n") == ["[3.0] " * 4 + "[3.0]", "[6.0, 6000000.0, 102.0, 600000.0, 18.0]", ""]
