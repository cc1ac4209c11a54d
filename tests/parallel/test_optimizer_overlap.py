"""Optimizers that step in backward, and gradients that are averaged late: what PyTorch's do, on two real ranks."""

import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.distributed.algorithms.ddp_comm_hooks.optimizer_overlap_hooks import (
    _hook_then_optimizer,
    _OptimizerHookState,
)
from distrt.distributed.optim.utils import as_functional_optim, register_functional_optim
from distrt.parallel import DistributedDataParallel
from distrt.parallel.hooks.all_reducing import allreduce_hook
from tests.multiprocess.side_by_side import side_by_side
from tests.parallel.test_ddp_behaviour import END, PRELUDE

#: PyTorch asks for the accelerator's stream, which a CPU does not have.
NO_STREAM = """
import torch.distributed.optim.apply_optimizer_in_backward
_in_backward = torch.distributed.optim.apply_optimizer_in_backward
if hasattr(torch, 'accelerator'):
    class Nothing:
        def wait_stream(self, other): pass
    torch.accelerator.current_stream = lambda *a: Nothing()
def values(m):
    return [numbers(p) for p in m.parameters()]
"""

SCRIPTS = {
    "fused": """
def fused(cls, *args, only=False, k={}, **kwargs):
    m = DDP(net(), **k)
    chosen = list(m.parameters())[1:] if only else None
    m._register_fused_optim(cls, *args, optim_params=chosen, **kwargs)
    for _ in range(3):
        m.zero_grad()
        m(x).sum().backward()
    return values(m), grads(m)
o = torch.optim
for c, args, kwargs in ((o.SGD, (0.1,), {'momentum': 0.9}), (o.SGD, (), {}), (o.Adam, (0.1, (0.8, 0.9)), {}),
    (o.AdamW, (), {'amsgrad': True})):
    say(c.__name__, lambda: fused(c, *args, **kwargs))
for k in ({'bucket_cap_mb': 1e-5}, {'gradient_as_bucket_view': True}, {'static_graph': True}):
    say(f'fused {k}', lambda: fused(o.SGD, 0.1, k=k))
say('only some', lambda: fused(o.SGD, 0.1, only=True))
print(told(lambda: fused(o.LBFGS), ValueError))
def twice():
    m = DDP(net())
    m._register_fused_optim(o.SGD)
    m._register_fused_optim(o.SGD)
say('twice', twice)
""",
    "in backward": """
def apply(*args, **kwargs):
    return _in_backward._apply_optimizer_in_backward(*args, **kwargs)
def alone(times=1, **k):
    m = net()
    for _ in range(times):
        apply(torch.optim.SGD, m.parameters(), {'lr': 0.1, 'momentum': 0.5}, **k)
    for _ in range(3):
        m(x).sum().backward()
    return values(m), grads(m), len(_in_backward._get_in_backward_optimizers(m))
say('alone', alone)
say('twice', lambda: alone(2))
say('no hook', lambda: alone(register_hook=False))
def wrapped(some=False, k={}):
    m = net()
    apply(torch.optim.SGD, list(m.parameters())[: 2 if some else None], {'lr': 0.1, 'momentum': 0.5})
    m = DDP(m, **k)
    r = []
    for i in range(4):
        if i == 2:
            with m.no_sync():
                m(x * 2).sum().backward()
            r.append(grads(m))
        m(x).sum().backward()
        r.append((values(m), grads(m)))
    return r, len(_in_backward._get_in_backward_optimizers(m)), list(m.module[0].weight._optimizer_kwargs)
for k in ({}, {'bucket_cap_mb': 1e-5}, {'gradient_as_bucket_view': True}):
    say(f'wrapped {k}', lambda: wrapped(False, k))
# Without views, PyTorch leaves the other parameters the gradients of their rank.
say('some', lambda: wrapped(True, {'gradient_as_bucket_view': True}))
""",
    "delayed": """
import time
def rough(m):
    return [[float('%.4g' % v) for v in p.grad.reshape(-1).tolist()] for p in m.parameters()]
def delay(which, trigger, k={}):
    m = net().float()
    with torch.no_grad():
        [p.add_(rank) for p in m.parameters()]
    named = list(m.named_parameters())
    m = DDP(m, delay_all_reduce_named_params=[named[i] for i in which], param_to_hook_all_reduce=named[trigger][1], **k)
    r = [[numbers(p) for p in m.parameters()], sorted(m.parameters_to_ignore), list(m.state_dict())]
    for i in range(3):
        m.zero_grad(set_to_none=i < 2)
        m(x.float()).sum().backward()
        time.sleep(0.1)  # PyTorch's backward does not wait for late gradients: they may still be halves
        dist.barrier()
        r.append(rough(m))
    return r
say('last layer', lambda: delay((2, 3), 0))
say('its weight', lambda: delay((3,), 2))
say('one of it', lambda: delay((3,), 0))
say('in small buckets', lambda: delay((2, 3), 0, {'bucket_cap_mb': 1e-5}))
def said(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error)[:120]
print(said(lambda: delay((0, 1, 2, 3), 0)))
print(said(lambda: DDP(net(), delay_all_reduce_named_params=[])))
print(said(lambda: DDP(net(), param_to_hook_all_reduce=torch.ones(1))))
""",
}


@pytest.mark.parametrize("about", SCRIPTS)
def test_scripts_print_what_they_print_under_pytorch(about):
    side_by_side(PRELUDE + NO_STREAM + SCRIPTS[about] + END, size=2)


@pytest.mark.parametrize("name", ["Adagrad", "Adadelta", "RMSprop", "Rprop", "Adamax"])
def test_optimizers_that_pytorch_does_not_overlap_step_as_after_backward(name):
    """Its functional forms of these lack ``step_param``."""

    def run(group):
        fused, plain = nn.Linear(2, 1), nn.Linear(2, 1)
        plain.load_state_dict(fused.state_dict())
        fused, plain = (DistributedDataParallel(each, process_group=group) for each in (fused, plain))
        optimizer_class = getattr(torch.optim, name)
        fused._register_fused_optim(optimizer_class, lr=0.1)
        optimizer = optimizer_class(plain.parameters(), lr=0.1)
        for step in range(3):
            for each in (fused, plain):
                each.zero_grad()
                each(torch.full((1, 2), step - 1.5 * group.rank())).square().sum().backward()
            optimizer.step()
        return [each.module.weight.tolist() for each in (fused, plain)]

    for stepped, expected in run_local(run, 2):
        assert stepped == expected


def test_a_hook_of_ones_own_can_be_followed_by_an_optimizer():
    class Halving:
        def step_param(self, param, grad):
            with torch.no_grad():
                param.sub_(grad / 2)

    def run(group):
        model = DistributedDataParallel(nn.Linear(2, 1), process_group=group)
        before = model.module.weight.detach().clone()
        model.register_comm_hook(group, _hook_then_optimizer(allreduce_hook, _OptimizerHookState(Halving())))
        model(torch.full((1, 2), 1.0 + group.rank())).sum().backward()
        return (before - model.module.weight).detach().tolist()

    assert run_local(run, 2) == [[[pytest.approx(0.75)] * 2]] * 2


def test_an_optimizer_without_step_param_is_refused():
    with pytest.raises(ValueError, match=r"must implement method step_param"):
        _OptimizerHookState(torch.optim.SGD([torch.ones(1)]))


def test_an_optimizer_can_be_registered_under_a_key():
    made = []
    register_functional_optim("mine", lambda *args, **kwargs: made.append((args, kwargs)))
    as_functional_optim("mine", 0.5, eps=1)
    assert made == [(([], 0.5), {"eps": 1, "_allow_empty_param_list": True})]


def test_late_averages_of_several_dtypes_are_taken():
    def run(group):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1).double())
        named = list(model.named_parameters())
        wrapped = DistributedDataParallel(
            model,
            process_group=group,
            delay_all_reduce_named_params=named[2:],
            param_to_hook_all_reduce=model[0].weight,
        )
        model.forward = lambda x: model[2](model[1](model[0](x)).double())
        wrapped(torch.ones(1, 2) + group.rank()).sum().backward()
        return [p.grad.tolist() for p in model.parameters()], [p.grad.dtype for p in model.parameters()]

    first, second = run_local(run, 2)
    assert first == second and first[1] == [torch.float32] * 4 + [torch.float64] * 2
