"""Several wrappers in one program: parts of a model, a wrapper in a wrapper, tied weights, models that compete."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel
from tests.multiprocess.side_by_side import side_by_side
from tests.parallel.models import make
from tests.parallel.test_ddp_behaviour import END, PRELUDE

GROUPS = """
world = dist.group.WORLD
n = dist.get_world_size()
both = dist.new_group(list(range(n)))
pair = [dist.new_group([2 * i, 2 * i + 1]) for i in range(n // 2)][rank // 2]
OPTIONS = ({}, {'bucket_cap_mb': 1e-5}, {'find_unused_parameters': True})
KINDS = (('same', world, world), ('other', world, both), ('pair', world, pair), ('pair first', pair, world))
def passes(a, b, loss):
    r = []
    for i in range(3):
        a.zero_grad()
        b.zero_grad()
        loss(i).backward()
        r.append((grads(a), grads(b)))
    return r
"""

SCRIPTS = {
    "nested": """
class Two(nn.Module):
    def __init__(self, inner, first):
        super().__init__()
        self.inner, self.first = inner, first
        self.own = nn.Linear(2, 2).double() if first else nn.Linear(1, 1).double()
        [nn.init.constant_(p, 0.5) for p in self.own.parameters()]

    def forward(self, x):
        return self.inner(self.own(x)) if self.first else self.own(self.inner(x))
def nest(outer_group, inner_group, first, k):
    m = DDP(Two(DDP(net(), process_group=inner_group, **k), first), process_group=outer_group, **k)
    return passes(m, m, lambda i: m(x).sum())
for first in (True, False):
    for k in OPTIONS:
        for name, o, i in KINDS:
            say(f'{name} {first} {k}', lambda: nest(o, i, first, k))
""",
    "tied": """
def tied(a_group, b_group, k):
    a, b = net(), net()
    b[0].weight = a[0].weight
    a, b = DDP(a, process_group=a_group, **k), DDP(b, process_group=b_group, **k)
    r = passes(a, b, lambda i: (a(x) + b(x * 0.5)).sum())
    r += passes(a, b, lambda i: a(x).sum())
    r += passes(a, b, lambda i: b(x).sum())
    a.zero_grad()
    b.zero_grad()
    with a.no_sync():
        a(x).sum().backward()
    b(x).sum().backward()
    return r, grads(a), grads(b)
for k in OPTIONS[:2]:
    for name, a, b in KINDS[:2]:
        say(f'{name} {k}', lambda: tied(a, b, k))
""",
    "parts": """
def parts(a_group, b_group, k):
    a = DDP(nn.Sequential(*net()[:2]), process_group=a_group, **k)
    b = DDP(net()[2], process_group=b_group, **k)
    return passes(a, b, lambda i: b(a(x)).sum())
for k in OPTIONS:
    for name, a, b in KINDS:
        say(f'{name} {k}', lambda: parts(a, b, k))
""",
    # Which wrapper's gradients come first differs between ranks, and so do the parameters that get none.
    "crossed": """
def crossed(a_group, b_group):
    a = DDP(Un(), find_unused_parameters=True, process_group=a_group)
    b = DDP(Un(), find_unused_parameters=True, process_group=b_group)
    def loss(i):
        if rank % 2:
            return a(b(x, both=rank == 0).expand(4, 2), both=True).sum()
        return b(a(x, both=i == 1).expand(4, 2)).sum()
    return passes(a, b, loss)
say('crossed', lambda: crossed(world, both))
""",
    "adversaries": """
def gan(g_group, d_group, syncs):
    g, d = DDP(nn.Linear(2, 2).double(), process_group=g_group), DDP(net(), process_group=d_group)
    [nn.init.constant_(p, 0.5) for p in g.parameters()]
    og, od = torch.optim.SGD(g.parameters(), lr=0.1), torch.optim.SGD(d.parameters(), lr=0.1)
    r = []
    for i in range(3):
        od.zero_grad()
        fake = g(x)
        (d(x).mean() - d(fake.detach()).mean()).backward()
        od.step()
        og.zero_grad()
        if syncs:
            d(fake).mean().backward()
        else:
            with d.no_sync():
                d(fake).mean().backward()
        og.step()
        r.append((grads(g), grads(d), [numbers(p) for p in [*g.parameters(), *d.parameters()]]))
    return r
for syncs in (True, False):
    for name, g, d in KINDS:
        say(f'{name} {syncs}', lambda: gan(g, d, syncs))
""",
}


@pytest.mark.parametrize("about", [["nested", "tied"], ["parts", "crossed", "adversaries"]])
def test_several_wrappers_give_the_gradients_that_they_give_under_pytorch(about):
    side_by_side(PRELUDE + GROUPS + "".join(SCRIPTS[each] for each in about) + END, size=4, timeout_s=120.0)


def test_a_pass_that_one_wrapper_breaks_off_does_not_spoil_the_next_of_another():
    def run(group):
        first = DistributedDataParallel(make("mlp", 1), process_group=group, find_unused_parameters=True)
        second = DistributedDataParallel(make("mlp", 2), process_group=group)
        inputs = torch.full((2, 6), 1.0 + group.rank(), dtype=torch.float64)
        second.module[0].bias.requires_grad_(False)  # so that it gets no gradient
        with pytest.raises(RuntimeError, match=r"0\.bias"):
            (first(inputs).sum() + second(inputs).sum()).backward()
        second.module[0].bias.requires_grad_(True)
        for each in (second, first):
            each.zero_grad()
            each(inputs).sum().backward()
        return [p.grad.numpy().copy() for p in [*first.parameters(), *second.parameters()]]

    for mine, theirs in zip(*run_local(run, 2), strict=True):
        assert np.array_equal(mine, theirs)


def test_a_model_that_is_wrapped_again_is_averaged_once():
    def run(group):
        calls = []

        def hook(state, bucket):
            calls.append(state)
            future = torch.futures.Future()
            future.set_result(bucket.buffer())
            return future

        model = nn.Linear(2, 1)
        for number in range(3):
            wrapped = DistributedDataParallel(model, process_group=group)
            wrapped.register_comm_hook(number, hook)
            outputs = wrapped(torch.ones(1, 2))
        outputs.sum().backward()
        return calls

    assert run_local(run, 2) == [[2], [2]]
