"""What a script keeps of a gradient without copying it stays what it was, as with PyTorch's default."""

import gc

import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.comm.process_group import ProcessGroup
from distrt.parallel import DistributedDataParallel
from tests.multiprocess.side_by_side import run_distrt, side_by_side

SCRIPT = """
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
dist.init_process_group('gloo')
rank = dist.get_rank()
x = torch.arange(4.0).view(2, 2) + rank
def make(**options):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(torch.arange(float(p.numel())).view_as(p) - i)
    return DDP(model, **options)
def looks_at(g):
    return [g, g.detach(), g.data, g.view(-1), g[:1], g.t() if g.dim() > 1 else g.view(1, -1), g.numpy(), g[0].numpy()]
def run_all(model):
    kept = []
    for i in range(3):
        model.zero_grad()
        model(x * (i + 1)).sum().backward()
        kept += [p.grad.numpy() for p in model.parameters()]
        print(told([kept]))
def told(kept):
    return [[round(float(each.sum()), 4) for each in row] for row in kept]
def run(model, between, who=(0, 1), passes=4):
    kept = []
    for i in range(passes):
        between(model, i)
        with model.no_sync() if i == 2 else torch.enable_grad():
            (model(x * (i + 1)) ** 2).sum().backward()
        if rank in who:
            kept += [looks_at(p.grad) for p in model.parameters() if p.grad is not None]
        print(i, told(kept), flush=True)
"""

BETWEEN = {
    "gradients are set to None": """
run(make(), lambda model, i: model.zero_grad())
""",
    "each is kept once": """
run_all(make())
""",
    "one rank keeps them": """
run(make(), lambda model, i: model.zero_grad(), who=(1,))
""",
    "gradients that were kept are changed": """
def double(model, i):
    for p in model.parameters():
        if i % 2 and p.grad is not None: p.grad.mul_(2)
    model.zero_grad()
run(make(), double)
""",
    "small buckets, parameters without gradient": """
def freeze(model, i):
    model.zero_grad()
    if i == 2: model.module[0].bias.requires_grad_(False)
run(make(find_unused_parameters=True, bucket_cap_mb=0.00001), freeze)
""",
    "some gradients are set to None": """
def forget(model, i):
    if i: model.module[0].weight.grad = model.module[1].bias.grad = None
model = make()
with model.no_sync(): model(x).sum().backward()
model.zero_grad()
model(x).sum().backward()
kept = [p.grad.numpy() for p in model.parameters()]
for i in range(3):
    forget(model, 1)
    model(x * 3).sum().backward()
    print(told([[kept[0], kept[3]]]), [p.grad.tolist() for p in model.parameters()])
""",
    "they are set to None after the forward pass": """
model, kept = make(), []
for i in range(4):
    loss = (model(x * (i + 1)) ** 2).sum()
    model.zero_grad()
    loss.backward()
    kept += [looks_at(p.grad) for p in model.parameters()]
    print(i, told(kept))
""",
    "no call of the wrapper comes before": """
model, kept = make(), []
for i in range(6):
    model.zero_grad()
    (model if i % 2 == 0 else model.module)(x * (i + 1)).sum().backward()
    kept += [looks_at(p.grad) for p in model.parameters()]
    print(i, told(kept))
for i in range(3):
    for loss in [model(x * (i + 1)).sum(), model(x * (i + 2)).sum()]:
        model.zero_grad()
        loss.backward()
        kept += [looks_at(p.grad) for p in model.parameters()]
    print(i, told(kept))
""",
    "a graph is kept": """
model, kept = make(), []
for i in range(3):
    with model.no_sync(): loss = model(x * (i + 1)).sum()
    for _ in range(2):
        model.zero_grad()
        loss.backward(retain_graph=True)
        kept += [looks_at(p.grad) for p in model.parameters()]
    model(x).sum().backward()
    print(i, told(kept))
""",
    "gradients that the script has made": """
model = make()
flat, place = torch.zeros(13), 0
for p in model.parameters():
    p.grad = flat[place:place + p.numel()].view_as(p)
    place += p.numel()
mine = [p.grad for p in model.parameters()]
for i in range(3):
    flat.zero_()
    model(x * (i + 1)).sum().backward()
    print(flat.tolist(), [p.grad is each for p, each in zip(model.parameters(), mine)])
""",
    "some are kept, others added to": """
model, kept = make(), []
model(x).sum().backward()
for i in range(4):
    kept += [looks_at(p.grad) for p in model.parameters()]
    model.module[i % 2].weight.grad = None
    loss = model(x * (i + 1)).sum()
    model.module[i % 2].bias.grad = None
    loss.backward()
    print(i, told(kept))
""",
    "a rank runs out of input": """
model, kept = make(), []
with model.join():
    for i in range(2 + rank):
        loss = model(x * (i + 1)).sum()
        model.zero_grad()
        loss.backward()
        kept += [looks_at(p.grad) for p in model.parameters()]
print(told(kept))
""",
    "gradients are added to": """
model = make()
model(x).sum().backward()
model(x).sum().backward()
kept = [looks_at(p.grad) for p in model.parameters()]
print(told(kept))
with model.no_sync(): model(x).sum().backward()
print(told(kept))
model.zero_grad(set_to_none=False)
print(told(kept))
model(x).sum().backward()
print(told(kept))
""",
}

END = "\ndist.destroy_process_group()\n"


def test_what_was_kept_is_what_it_is_under_pytorch():
    between = (f"print({what!r}){script}" for what, script in BETWEEN.items())
    side_by_side(SCRIPT + "".join(between) + END, size=2)


ALONE = """
import distrt, numpy
import distrt.distributed as dist
from distrt.nn.parallel import DistributedDataParallel as DDP
dist.init_process_group()
model = DDP(distrt.nn.Linear(200, 10))
kept = []
def mappings():
    with open('/proc/self/maps') as lines:
        return sum(1 for _ in lines)
for i in range(40):
    if i == 1: before = mappings()
    model.zero_grad()
    (model(distrt.ones(1, 200)) * i).sum().backward()
    kept.append(model.module.weight.grad.numpy())
assert all((each == i).all() for i, each in enumerate(kept))
kept.clear()
assert mappings() <= before + 2, (mappings(), before)
dist.destroy_process_group()
"""


@pytest.mark.ci
def test_memory_that_was_kept_goes_when_nobody_looks_at_it_any_more():
    run_distrt(ALONE, 2)


@pytest.fixture
def renewed(monkeypatch):
    """The sizes of the buckets that have had to move."""
    sizes = []
    renew = ProcessGroup.renew
    monkeypatch.setattr(
        ProcessGroup, "renew", lambda group, array: (sizes.append(array.size), renew(group, array))[1]
    )
    return sizes


def trained(group, keep, set_to_none=True):
    """What ``keep`` kept of the gradients of five passes."""
    model = DistributedDataParallel(
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)), process_group=group
    )
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    scaler = torch.amp.GradScaler("cpu")
    averaged = torch.optim.swa_utils.AveragedModel(model.module)
    kept = []
    for factor in range(5):
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = model(torch.ones(2, 3) + group.rank()).sum() * factor
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        averaged.update_parameters(model.module)
        kept.append(keep(model))
    return kept


@pytest.mark.parametrize("set_to_none", [True, False])
def test_no_bucket_moves_where_nothing_is_kept(renewed, set_to_none):
    def norms(model):
        return [float(each.grad.norm()) for each in model.parameters()]

    run_local(lambda group: trained(group, norms, set_to_none), 2)
    assert renewed == ([] if set_to_none else [15, 15]), "the first layout's, with the gradients that it had"


def test_a_bucket_moves_only_where_something_is_kept(renewed):
    def run(group):
        model = DistributedDataParallel(
            nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)),
            process_group=group,
            bucket_cap_mb=1e-6,
            find_unused_parameters=True,
        )
        kept = []
        for factor in range(1, 4):
            model.zero_grad()
            (model(torch.ones(2, 3)) * factor).sum().backward()
            if group.rank() == 1:
                kept.append(model.module[1].bias.grad.numpy())
        gc.collect()
        return [each.tolist() for each in kept]

    assert run_local(run, 2) == [[], [[2.0], [4.0], [6.0]]]
    assert renewed == [1], "in the second pass, whose own gradient stays where backward put it"
