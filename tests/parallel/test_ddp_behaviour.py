"""What scripts do with ``DistributedDataParallel``: under PyTorch and under distrt they must print the same."""

import pytest

from tests.multiprocess.side_by_side import side_by_side

PRELUDE = """
import copy, io, os, pickle, warnings
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.checkpoint import checkpoint
warnings.simplefilter('ignore')
dist.init_process_group('gloo')
rank = dist.get_rank()
def net():
    m = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    with torch.no_grad():
        for i, p in enumerate(m.parameters()):
            p.copy_(torch.arange(p.numel()).view_as(p) * 0.5 - 1 + i)
    return m.double()
x = torch.full((4, 2), 1.0 + rank, dtype=torch.float64)
def numbers(t):
    return [round(v, 8) + 0.0 for v in t.reshape(-1).tolist()]
def grads(m):
    return [None if p.grad is None else numbers(p.grad) for p in m.parameters()]
def say(name, f):
    try:
        r = f()
    except Exception as e:
        builtin = (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError, KeyError, AssertionError)
        kinds = [k.__name__ for k in builtin if isinstance(e, k)]
        r = f'{kinds[:1]} {e}'
    print(name, '->', r, flush=True)
class Ck(nn.Module):

    def __init__(self, reentrant):
        super().__init__()
        self.body = net()
        self.head = nn.Linear(1, 1).double()
        self.r = reentrant
        [nn.init.constant_(p, 0.5) for p in self.head.parameters()]

    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=self.r))
class Kw(nn.Module):

    def __init__(self):
        super().__init__()
        self.a = net()

    def forward(self, x, *, scale=1, as_what='dict'):
        y = self.a(x) * scale
        kinds = {'dict': {'y': y, 'n': 3}, 'list': [y, y * 2], 'tuple': (y, None, 's'), 'nested': {'a': [(y,)]}}
        return kinds[as_what]
class Un(nn.Module):

    def __init__(self):
        super().__init__()
        self.a = net()
        self.b = net()

    def forward(self, x, both=False):
        return self.a(x) + (self.b(x) if both else 0)
class Kw2(nn.Module):

    def __init__(self):
        super().__init__()
        self.a = net()
        self.b = net()

    def forward(self, x):
        return (self.a(x), self.b(x))
"""

SCRIPTS = {
    "passes": """
def order():
    m = DDP(net())
    return ([n for n, _ in m.named_parameters()], list(m.state_dict()), [n for n, _ in m.named_modules()])
say('order', order)
def load():
    m = DDP(net())
    s = {k: v + 1 for k, v in m.state_dict().items()}
    r = m.load_state_dict(s)
    m(x).sum().backward()
    return (str(r), grads(m))
say('load', load)
def loadplain():
    m = DDP(net())
    return str(m.load_state_dict(net().state_dict(), strict=False))
say('loadplain', loadplain)
def modes():
    m = DDP(net())
    a = m.eval()
    b = (m.module.training, m.training)
    m.train()
    return (a is m, b, m.module.training)
say('modes', modes)
def nested():
    m = DDP(net())
    with m.no_sync():
        with m.no_sync():
            m(x).sum().backward()
        a = m.require_backward_grad_sync
        m(x).sum().backward()
    g = grads(m)
    m(x).sum().backward()
    return (a, g, grads(m))
say('nested', nested)
def partly():
    m = DDP(net())
    with m.no_sync():
        out = m(x)
    out.sum().backward()
    a = grads(m)
    out = m(x)
    with m.no_sync():
        out.sum().backward()
    return (a, grads(m))
say('partly', partly)
def twofwd():
    m = DDP(net())
    a, b = (m(x), m(x * 2))
    (a.sum() + b.sum()).backward()
    return grads(m)
say('two forwards', twofwd)
def twofwdtwobwd():
    m = DDP(net())
    a, b = (m(x), m(x * 2))
    a.sum().backward()
    g = grads(m)
    b.sum().backward()
    return (g, grads(m))
say('two forwards, two backwards', twofwdtwobwd)
def retain():
    m = DDP(net())
    o = m(x).sum()
    o.backward(retain_graph=True)
    g = grads(m)
    o.backward()
    return (g, grads(m))
say('retain', retain)
def higher():
    m = DDP(net())
    o = m(x).square().sum()
    g = torch.autograd.grad(o, list(m.parameters()), create_graph=True)
    pen = sum((v.square().sum() for v in g))
    pen.backward()
    return grads(m)
say('higher', higher)
def nograd():
    m = DDP(net())
    with torch.no_grad():
        a = m(x).requires_grad
    with torch.inference_mode():
        b = m(x).is_inference()
    m(x).sum().backward()
    return (a, b, grads(m))
say('nograd', nograd)
def changed():
    m = DDP(net())
    for _ in range(3):
        m.zero_grad()
        m(x).sum().backward()
        with torch.no_grad():
            for p in m.parameters():
                p -= 0.1 * p.grad
    return [round(v, 8) for v in m.module[0].weight.reshape(-1).tolist()]
say('changed', changed)
def frozen():
    m = DDP(net(), find_unused_parameters=True)
    m(x).sum().backward()
    m.zero_grad()
    m.module[0].weight.requires_grad_(False)
    m(x).sum().backward()
    return grads(m)
say('frozen later', frozen)
def zero():
    m = DDP(net())
    for _ in range(3):
        m.zero_grad(set_to_none=False)
        m(x).sum().backward()
    return grads(m)
say('zero', zero)
def clip():
    m = DDP(net())
    m(x).sum().backward()
    n = nn.utils.clip_grad_norm_(m.parameters(), 0.5)
    return (round(float(n), 8), grads(m))
say('clip', clip)
def held():
    m = DDP(net())
    m(x).sum().backward()
    h = [p.grad for p in m.parameters()]
    before = [v.tolist() for v in h]
    m.zero_grad()
    m(x * 3).sum().backward()
    after = [v.tolist() for v in h]
    return before == after
say('held', held)
def held2():
    m = DDP(net())
    for _ in range(3):
        m.zero_grad()
        m(x).sum().backward()
    h = [p.grad for p in m.parameters()]
    before = [v.tolist() for v in h]
    for p in m.parameters():
        p.grad = None
    m(x * 3).sum().backward()
    after = [v.tolist() for v in h]
    return before == after
say('held2', held2)
def newgrad():
    m = DDP(net())
    for p in m.parameters():
        p.grad = torch.ones_like(p) * rank
    m(x).sum().backward()
    return grads(m)
say('given grads', newgrad)
def datap():
    m = DDP(net())
    m(x).sum().backward()
    for p in m.parameters():
        p.data = p.data * 2
    m.zero_grad()
    m(x).sum().backward()
    return grads(m)
say('data replaced', datap)
def inputs_grad():
    m = DDP(net())
    xx = x.clone().requires_grad_()
    m(xx).sum().backward()
    return [round(v, 8) for v in xx.grad.reshape(-1).tolist()]
say('input grads', inputs_grad)
def optimizer():
    m = DDP(net())
    o = torch.optim.Adam(m.parameters(), lr=0.1, foreach=True)
    r = []
    for i in range(4):
        l = m(x).square().mean()
        l.backward()
        o.step()
        o.zero_grad()
        r.append(round(l.item(), 8))
    return r
say('adam', optimizer)
def emptyout():
    m = DDP(net())
    o = m(x)
    return (o.shape == (4, 1), m.module(x).requires_grad)
say('plain', emptyout)
def sharedp():
    m = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).double()
    nn.init.constant_(m[0].weight, 0.1)
    nn.init.constant_(m[0].bias, 0.1)
    nn.init.constant_(m[1].bias, 0.1)
    m[1].weight = m[0].weight
    m = DDP(m)
    m(x).sum().backward()
    return grads(m)
say('shared', sharedp)
""",
    "graphs": """
for r in (True, False):
    for s in (True, False):

        def ck():
            m = DDP(Ck(r), static_graph=s)
            xx = x.clone().requires_grad_()
            out = []
            for _ in range(3):
                m.zero_grad()
                m(xx).sum().backward()
                out.append(grads(m))
            return out
        say(f'checkpoint {r} {s}', ck)
def static():
    m = DDP(Kw(), static_graph=True)
    r = []
    for _ in range(3):
        m.zero_grad()
        m(x)['y'].sum().backward()
        r.append(grads(m))
    return r
say('static', static)
for k in ({'find_unused_parameters': True}, {'static_graph': True}):

    def un():
        m = DDP(Un(), **k)
        r = []
        for i in range(3):
            m.zero_grad()
            m(x).sum().backward()
            r.append(grads(m))
        return r
    say(f'unused {k}', un)
def un2():
    m = DDP(Un(), find_unused_parameters=True)
    r = []
    for i in range(3):
        m.zero_grad()
        m(x, both=i == 1 or rank == 0).sum().backward()
        r.append(grads(m))
    return r
say('unused on one', un2)
def notinloss():
    m = DDP(Kw2(), find_unused_parameters=True)
    a, b = m(x)
    a.sum().backward()
    return grads(m)
say('not in loss', notinloss)
def ignore():
    m = Un()
    names = [n for n, _ in m.named_parameters() if n.startswith('b')]
    DDP._set_params_and_buffers_to_ignore_for_model(m, names)
    m = DDP(m)
    m(x, True).sum().backward()
    return (grads(m), len(list(DDP._get_data_parallel_params(m.module))))
say('ignore', ignore)
def rebuilt():
    m = DDP(net())
    seen = [m._has_rebuilt_buckets]
    for _ in range(3):
        m(x).sum().backward()
        seen.append(m._has_rebuilt_buckets)
    d = m._get_ddp_logging_data()
    given = [d.get(k) for k in ('world_size', 'rank', 'module_name', 'dtypes', 'broadcast_buffers', 'comm_hook')]
    sizes = [d.get(k) for k in ('iteration', 'bucket_sizes', 'rebuilt_bucket_sizes', 'has_rebuilt_buckets')]
    return (seen, given, sizes, d['num_parameter_tensors'], d['total_parameter_size_bytes'])
say('rebuilt', rebuilt)
""",
    "copies": """
def deep():
    m = DDP(net())
    m(x).sum().backward()
    c = copy.deepcopy(m)
    m.zero_grad()
    c.zero_grad()
    c(x).sum().backward()
    return (grads(c), grads(m), type(c).__name__)
say('deepcopy', deep)
def pick():
    m = DDP(net())
    c = pickle.loads(pickle.dumps(m))
    c(x).sum().backward()
    return grads(c)
say('pickle', pick)
def pickgroup():
    m = DDP(net(), process_group=dist.new_group([0, 1]))
    pickle.dumps(m)
say('pickle group', pickgroup)
def inside():
    m = DDP(DDP(net()))
    m(x).sum().backward()
    return (list(m.state_dict())[:1], grads(m))
say('ddp in ddp', inside)
""",
    "outputs": """
for w in ('dict', 'list', 'tuple', 'nested'):
    for f in (True, False):

        def kw():
            m = DDP(Kw(), find_unused_parameters=f)
            o = m(x, scale=2, as_what=w)
            if w == 'dict':
                y = o['y']
            if w == 'list':
                y = o[0] + o[1]
            if w == 'tuple':
                y = o[0]
            if w == 'nested':
                y = o['a'][0][0]
            y.sum().backward()
            return (type(o).__name__, grads(m))
        say(f'kw {w} {f}', kw)
def hooks():
    m = DDP(net())
    seen = []
    m.register_forward_hook(lambda mod, i, o: seen.append(('ddp', type(mod).__name__, len(i))))
    m.module.register_forward_hook(lambda mod, i, o: seen.append(('mod', type(mod).__name__)))
    m.register_forward_pre_hook(lambda mod, i: seen.append('pre'))
    m.module[0].weight.register_hook(lambda g: seen.append('grad') or g * 2)
    m.register_full_backward_hook(lambda mod, gi, go: seen.append('full'))
    m(x).sum().backward()
    return (seen, grads(m))
say('hooks', hooks)
def optin():
    m = net()
    opts = {p: torch.optim.SGD([p], lr=0.1) for p in m.parameters()}
    m = DDP(m)

    def step(p):
        opts[p].step()
    for p in m.parameters():
        p.register_post_accumulate_grad_hook(step)
    m(x).sum().backward()
    return [p.shape == p.grad.shape for p in m.parameters()]
say('optimizer hook', optin)
""",
    "buffers": """
def buffers():
    m = nn.BatchNorm1d(2).double()
    m.running_mean += rank
    m = DDP(m, forward_sync_buffers=True)
    a = m.module.running_mean.tolist()
    m(x)
    m(x)
    return (a, [round(v, 8) for v in m.module.running_mean.tolist()])
say('buffers', buffers)
def nobuf():
    m = nn.BatchNorm1d(2).double()
    m.running_mean += rank
    m = DDP(m, broadcast_buffers=False)
    a = m.module.running_mean.tolist()
    m(x)
    return (a, m.broadcast_buffers, m.forward_sync_buffers)
say('no buffers', nobuf)
def reassign():
    m = nn.BatchNorm1d(2).double()
    m = DDP(m)
    m(x)
    m.module.running_mean = torch.zeros(2, dtype=torch.float64) + rank
    seen = []
    m.module.register_forward_pre_hook(lambda mod, i: seen.append(mod.running_mean.tolist()))
    m(x)
    return seen
say('reassigned buffer', reassign)
""",
    "buffer hooks": """
from torch.nn.parallel.distributed import _BufferCommHookLocation as Location
def hooked(where, later=False, other_passes=False):
    m = nn.BatchNorm1d(2).double()
    m = DDP(m)
    seen = []
    m.module.register_forward_pre_hook(lambda mod, i: seen.append(('forward', numbers(mod.running_mean))))
    def hook(state, buffers):
        seen.append((state, sorted(buffers), numbers(buffers['running_mean'])))
        works = []
        for name, each in buffers.items():
            works.append(dist.all_reduce(each, async_op=True))
        if later:
            return [w.get_future() for w in works]
        [w.wait() for w in works]
    m._register_buffer_comm_hook('state', hook, *where)
    for _ in range(3):
        m(x).sum().backward()
        seen.append(numbers(m.module.running_mean))
        if other_passes:
            with m.no_sync():
                m(x * 3).sum().backward()
            with torch.no_grad():
                m(x * 2)
    return seen, m.buffer_hook.buffer_comm_hook_state
for where in ((), (Location.POST_FORWARD,), (Location.PRE_FORWARD,)):
    say(str([each.name for each in where]), lambda: hooked(where))
    say('and more', lambda: hooked(where, False, True))
say('later', lambda: hooked((), True))
say('wrong', lambda: DDP(net())._register_buffer_comm_hook(None, 3))
""",
    "constructor": """
say('devices', lambda: DDP(net(), device_ids=[0, 1]))
say('device', lambda: DDP(net(), device_ids=['cpu']))
say('output', lambda: DDP(net(), output_device=1))
say('empty ids', lambda: DDP(net(), device_ids=[], output_device=None).device_ids)
say('none', lambda: DDP(nn.ReLU()))
say('frozen', lambda: DDP(net().requires_grad_(False)))
say('lazy', lambda: DDP(nn.LazyLinear(2)))
say('not module', lambda: DDP(3))
say('delay', lambda: DDP(net(), delay_all_reduce_named_params=[]))
say('cap0', lambda: DDP(net(), bucket_cap_mb=0).bucket_bytes_cap)
say('caps', lambda: DDP(net(), bucket_cap_mb_list=[1, 2]).bucket_bytes_cap)
say('caps both', lambda: DDP(net(), bucket_cap_mb=3, bucket_cap_mb_list=[1, 2]).bucket_bytes_cap)
def warned(**k):
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        DDP(net(), **k)
    return [(i.category.__name__, str(i.message)[:60]) for i in w]
say('w1', lambda: warned(broadcast_buffers=True))
say('w2', lambda: warned(broadcast_buffers=True, forward_sync_buffers=False))
say('w3', lambda: warned(check_reduction=True))
say('w4', lambda: warned(static_graph=True, find_unused_parameters=True))
def attrs():
    m = DDP(net())
    caps = ('bucket_bytes_cap', 'bucket_bytes_cap_default', 'bucket_bytes_cap_list', 'broadcast_bucket_size')
    places = ('device', 'device_ids', 'device_type', 'dim', 'is_multi_device_module', 'output_device')
    flags = ('find_unused_parameters', 'gradient_as_bucket_view', 'mixed_precision', 'static_graph')
    more = ('parameters_to_ignore', 'require_backward_grad_sync', 'require_forward_param_sync')
    private = ('_has_rebuilt_buckets', '_distributed_rank', '_comm_hooks', 'modules_buffers', 'named_module_buffers')
    return [(n, str(getattr(m, n))) for n in caps + places + flags + more + private]
say('attrs', attrs)
""",
}

END = "\ndist.destroy_process_group()\n"


@pytest.mark.parametrize("about", SCRIPTS)
def test_scripts_print_what_they_print_under_pytorch(about):
    side_by_side(PRELUDE + SCRIPTS[about] + END, size=2)
