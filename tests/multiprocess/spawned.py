"""What the processes of ``test_spawn.py`` run: functions at the top level, since children import them."""

import os
import signal
import sys
import time

import distrt as torch
import distrt.distributed as dist


def notes(index, folder, *more):
    """Leaves a file that says what came."""
    with open(os.path.join(folder, str(index)), "w") as file:
        file.write(f"{index} {more}")


def raises(index, guilty):
    if index == guilty:
        raise ValueError(f"process {index} does not like it")
    time.sleep(60)


def exits(index, code):
    if index == 0:
        sys.exit(code)
    time.sleep(60)


def is_killed(index, victim):
    if index == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def ignores_sigterm(index):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if index == 0:
        time.sleep(0.5)
        raise ValueError("stop")
    time.sleep(60)


def writes(index, queue, tensor, model):
    """Changes its row of what is shared, and sends back a copy of it."""
    assert tensor.is_shared() and model.weight.is_shared() and model.weight.requires_grad
    tensor[index] += index + 1
    with torch.no_grad():
        model.weight[index] += 1
    queue.put((index, tensor[index].clone()))


def trains_shared(rank, model):
    torch.manual_seed(rank)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    target = torch.tensor([1.0, -2.0, 3.0, 0.5])
    for _ in range(200):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), (x @ target)[:, None] + model.bias.detach()).backward()
        optimizer.step()


def reduces(index, size, init_method, folder):
    """Joins a group by ``init_method`` and adds ranks up, twice, as scripts do that train and then evaluate."""
    for _ in range(2):
        dist.init_process_group("gloo", init_method=init_method, rank=index, world_size=size)
        total = torch.full((3,), float(index + 1))
        dist.all_reduce(total)
        assert total.tolist() == [size * (size + 1) / 2] * 3
        dist.destroy_process_group()
    notes(index, folder, total.tolist())


def leaves_early(index, size, init_method):
    """Rank 0 dies without a word while the other waits for the store."""
    dist.init_process_group("gloo", init_method=init_method, rank=index, world_size=size)
    if index == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_reduce(torch.ones(3))


def leaves_and_joins_again(rank, size, method):
    """A world of all, then one of the first two alone, at one meeting place, three times."""
    for _ in range(3):
        for ranks in (size, 2):
            if rank < ranks:
                dist.init_process_group("gloo", init_method=method, rank=rank, world_size=ranks)
                total = torch.ones(2)
                dist.all_reduce(total)
                assert total.tolist() == [ranks] * 2
                dist.destroy_process_group()
