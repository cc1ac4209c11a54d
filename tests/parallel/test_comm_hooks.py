"""Communication hooks: scripts must print the same under PyTorch and under distrt."""

import pytest

from tests.multiprocess.side_by_side import side_by_side

PRELUDE = """
import copy, logging, warnings
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks as default
warnings.simplefilter("ignore")
dist.init_process_group("gloo")
rank = dist.get_rank()

class Sum(nn.Module):
    "Its gradient is its input, to the bit."
    def __init__(self, *sizes):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(size)) for size in sizes])
    def forward(self, x, only=None):
        used = self.weights if only is None else [self.weights[i] for i in only]
        return sum((weight * x[: weight.numel()].view_as(weight)).sum() for weight in used)

x = torch.tensor([0.1, -2.3, 70000.0, 3e-6, 1 / 3, 1e-9, 12.75, 5.0]) * (rank * 0.7 + 1)

def grads(model):
    return [None if p.grad is None else p.grad.reshape(-1).tolist() for p in model.parameters()]

def train(hook, state=None, steps=3, sizes=(3, 5), **options):
    model = DDP(Sum(*sizes), **options)
    model.register_comm_hook(state, hook)
    for step in range(steps):
        model.zero_grad()
        model(x * (step + 1)).backward()
    return grads(model)

def say(name, call):
    try:
        found = call()
    except Exception as error:
        builtin = (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError, KeyError)
        found = [kind.__name__ for kind in builtin if isinstance(error, kind)][:1]
    print(name, "->", found, flush=True)

def done(value):
    future = torch.futures.Future()
    future.set_result(value)
    return future
"""

SCRIPTS = {
    "the library's": """
small = dict(sizes=((2, 2), 3, 5, (1, 4)), bucket_cap_mb=1e-6)
for options in ({}, small):
    say("allreduce", lambda: train(default.allreduce_hook, **options))
    say("with a group", lambda: train(default.allreduce_hook, dist.group.WORLD, **options))
    say("fp16", lambda: train(default.fp16_compress_hook, **options))
    say("wrapped", lambda: train(default.fp16_compress_wrapper(default.allreduce_hook), **options))
    from torch.distributed.algorithms.ddp_comm_hooks.debugging_hooks import noop_hook
    say("noop", lambda: train(noop_hook, **options))
from torch.distributed.algorithms.ddp_comm_hooks import DDPCommHookType, register_ddp_comm_hook
def by_kind(kind):
    model = DDP(Sum(3, 5))
    register_ddp_comm_hook(kind, model, dist.group.WORLD)
    model(x).backward()
    return kind.name, grads(model), model._get_ddp_logging_data()["comm_hook"]
for kind in (DDPCommHookType.ALLREDUCE, DDPCommHookType.FP16_COMPRESS, DDPCommHookType.POWER_SGD,
             DDPCommHookType.POWER_SGD_RANK2, DDPCommHookType.BATCHED_POWER_SGD, DDPCommHookType.NOOP):
    say("kind", lambda: by_kind(kind))
print([kind.name for kind in DDPCommHookType])
def built_in(kind):
    model = DDP(Sum(3, 5))
    model._register_builtin_comm_hook(kind)
    model(x).backward()
    return str(kind), int(kind), grads(model)
say("built in", lambda: built_in(dist.BuiltinCommHookType.ALLREDUCE))
say("built in", lambda: built_in(dist.BuiltinCommHookType.FP16_COMPRESS))
say("built in", lambda: built_in(1))
""",
    "the user's": """
def chained(state, bucket):
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda f: f.value()[0] / 2).then(lambda f: f.value() + 1)
say("then", lambda: train(chained))
def by_group(group, bucket):
    return group.allreduce([bucket.buffer()]).get_future().then(lambda f: f.value()[0].div(group.size()))
say("group", lambda: train(by_group, dist.group.WORLD))
def gathered(state, bucket):
    parts = [torch.empty_like(bucket.buffer()) for _ in range(2)]
    future = dist.all_gather(parts, bucket.buffer(), async_op=True).get_future()
    return future.then(lambda f: torch.stack(parts).amax(0))
say("gather", lambda: train(gathered))
def nested(state, bucket):
    first = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
    def again(future):
        return dist.all_reduce(future.value()[0], async_op=True).get_future().wait()[0]
    return first.then(again)
say("a collective in a callback", lambda: train(nested))
def halves(state, bucket):
    for gradient, parameter in zip(bucket.gradients(), bucket.parameters()):
        assert gradient.shape == parameter.shape
        gradient.mul_(0.5)
    return done(bucket.buffer())
say("in place", lambda: train(halves, sizes=((2, 2), 3), bucket_cap_mb=1e-6))
seen = []
def look(state, bucket):
    shapes = [tuple(gradient.shape) for gradient in bucket.gradients()]
    seen.append((bucket.index(), bucket.is_last(), tuple(bucket.buffer().shape), shapes))
    return done(bucket.buffer())
train(look, sizes=((2, 2), 3, 5), bucket_cap_mb=1e-6)
train(look, sizes=((2, 2), 3, 5))
print(seen)
say("longer", lambda: train(lambda state, bucket: done(torch.cat([bucket.buffer(), torch.ones(2)]))))
say("another dtype", lambda: train(lambda state, bucket: done(bucket.buffer().double() + 1)))
say("another shape", lambda: train(lambda state, bucket: done(bucket.buffer().view(1, -1) * 2)))
def accumulated():
    model = DDP(Sum(3, 5))
    model.register_comm_hook(None, default.allreduce_hook)
    with model.no_sync():
        model(x).backward()
    model(x).backward()
    return grads(model)
say("no_sync", accumulated)
def unused():
    model = DDP(Sum(3, 5, 2), find_unused_parameters=True)
    model.register_comm_hook(None, default.allreduce_hook)
    model(x, only=[0, 1] if rank else [0]).backward()
    return grads(model)
say("unused", unused)
def late():
    model = DDP(Sum(3))
    model(x).backward()
    model.register_comm_hook(None, lambda state, bucket: done(bucket.buffer() * 0))
    model(x).backward()
    return grads(model)
say("late", late)
class Callable:
    def __init__(self): self.calls = 0
state = Callable()
def counting(state, bucket):
    state.calls += 1
    return default.allreduce_hook(None, bucket)
train(counting, state)
print(state.calls)
""",
    "refused": """
def fails(state, bucket): raise KeyError("inside the hook")
def future_fails(state, bucket): return done(bucket.buffer()).then(lambda future: 1 / 0)
def no_future(state, bucket): return bucket.buffer()
say("an exception", lambda: train(fails))
say("an exception in a callback", lambda: train(future_fails))
say("a tensor", lambda: train(no_future))
say("a number", lambda: train(lambda state, bucket: done(3)))
say("a list", lambda: train(lambda state, bucket: done([bucket.buffer()])))
say("too short", lambda: train(lambda state, bucket: done(bucket.buffer()[:-1].clone())))
def register(*hooks):
    model = DDP(Sum(3))
    for hook in hooks:
        model.register_comm_hook(None, hook)
    return "registered"
def wrong(state, bucket: int): ...
def wrong_too(state, bucket: dist.GradBucket) -> int: ...
def right(state: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]: ...
say("not callable", lambda: register(3))
say("annotated", lambda: register(wrong))
say("annotated", lambda: register(wrong_too))
say("annotated", lambda: register(right))
say("two", lambda: register(right, right))
""",
    "post-local": """
from torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import PostLocalSGDState, post_localSGD_hook
from torch.distributed.algorithms.model_averaging import averagers, utils
from torch.distributed.algorithms.model_averaging.hierarchical_model_averager import HierarchicalModelAverager
from torch.distributed.optim import PostLocalSGDOptimizer
subgroup, _ = dist.new_subgroups(group_size=1)
for local in (True, False):
    state = PostLocalSGDState(None, subgroup, start_localSGD_iter=2, post_local_gradient_allreduce=local)
    say("hook", lambda: [train(post_localSGD_hook, state, steps=steps) for steps in (1, 2)])
    print(state.iter)
say("no subgroup", lambda: train(post_localSGD_hook, PostLocalSGDState(None, None, 0), steps=1))
def values(tensors): return [[round(value, 6) for value in each.tolist()] for each in tensors]
def stepped(averager, steps=6):
    model = DDP(Sum(3, 2))
    model.register_comm_hook(PostLocalSGDState(None, subgroup, 2), post_localSGD_hook)
    optimizer = PostLocalSGDOptimizer(torch.optim.SGD(model.parameters(), lr=0.01), averager)
    told = []
    for step in range(steps):
        optimizer.zero_grad()
        model(x[[0, 1, 3, 4]]).backward()
        optimizer.step()
        told.append(values(model.parameters()))
    saved = optimizer.state_dict()
    averager.step = 0
    optimizer.load_state_dict(saved)
    return told, sorted(saved), averager.step, repr(optimizer) == repr(optimizer.optim)
say("periodic", lambda: stepped(averagers.PeriodicModelAverager(period=2, warmup_steps=2)))
say("hierarchy", lambda: stepped(HierarchicalModelAverager({1: 1, 3: 2}, warmup_steps=1)))
say("period", lambda: averagers.PeriodicModelAverager(period=0))
say("warm-up", lambda: averagers.PeriodicModelAverager(period=2, warmup_steps=-1))
say("abstract", lambda: averagers.ModelAverager())
say("empty", lambda: HierarchicalModelAverager({}))
say("not all", lambda: HierarchicalModelAverager({2: 1}))
say("zero", lambda: HierarchicalModelAverager({0: 2}))
def averaged():
    a, b = nn.Parameter(torch.ones(2) * rank), nn.Parameter(torch.ones(2, dtype=torch.float64) * rank)
    a.grad = torch.ones(2)
    utils.average_parameters_or_parameter_groups([{"params": [a, b]}], None)
    first = values([a, b])
    utils.average_parameters(iter([a, b]), None)
    return first, values([a, b]), b.dtype == torch.float64, len(utils.get_params_to_average([a, b]))
say("averaged", averaged)
say("neither", lambda: utils.get_params_to_average([3]))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    averagers.PeriodicModelAverager(period=1)
    HierarchicalModelAverager({1: 2})
print([str(each.message) for each in caught])
from torch.distributed.algorithms.join import Join, Joinable, JoinHook
print(issubclass(DDP, Joinable), sorted(name for name in dir(JoinHook) if name.endswith("hook")))
""",
    "PowerSGD": """
import pickle
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as powerSGD
logging.disable(logging.WARNING)
torch.manual_seed(0)
def inputs(rows, columns, step):
    i = torch.arange(rows * columns, dtype=torch.float64) + 7.0 * step + 3.0 * rank
    return ((i * 0.37) % 1.3 - 0.6).view(rows, columns) + 0.01 * i.view(rows, columns)
class Matrices(nn.Module):
    def __init__(self):
        super().__init__()
        shapes = [(6, 8), (6, 8), (4, 3), (5,), (8, 2, 5)]
        self.all = nn.ParameterList([nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes])
    def forward(self, step):
        return sum((p * inputs(p.shape[0], p.numel() // p.shape[0], step + n).view_as(p)).sum()
                   for n, p in enumerate(self.all))
def compressed(steps=5, rank_=1, **options):
    state = powerSGD.PowerSGDState(None, rank_, start_powerSGD_iter=2, min_compression_rate=1.2, **options)
    # The first factors are random: take some that both libraries can have.
    n = {1: (22, 26), 2: (44, 52), 3: (66, 78)}[rank_]
    state.p_memory_dict[0] = torch.zeros(n[0], dtype=torch.float64)
    state.q_memory_dict[0] = torch.cos(torch.arange(n[1], dtype=torch.float64))
    model = DDP(Matrices())
    model.register_comm_hook(state, powerSGD.powerSGD_hook)
    told = []
    for step in range(steps):
        model.zero_grad()
        model(step).backward()
        told.append([[round(value, 7) + 0.0 for value in p.grad.reshape(-1).tolist()] for p in model.parameters()])
    errors = {k: [round(v, 7) + 0.0 for v in e.tolist()] for k, e in state.error_dict.items()}
    return told, errors, state.iter, state.compression_stats()
for rank_ in (1, 2):
    say("layers", lambda: compressed(rank_=rank_))
    say("batched", lambda: compressed(rank_=rank_, batch_tensors_with_same_shape=True))
    say("without error feedback", lambda: compressed(rank_=rank_, use_error_feedback=False))
    say("with an epsilon", lambda: compressed(rank_=rank_, orthogonalization_epsilon=1e-3))
cold = lambda: compressed(warm_start=False)[2:]
say("cold", cold)
say("refused", lambda: powerSGD.PowerSGDState(None, start_powerSGD_iter=1))
say("allowed", lambda: powerSGD.PowerSGDState(None, start_powerSGD_iter=0, use_error_feedback=False,
                                             warm_start=False).start_powerSGD_iter)
state = pickle.loads(pickle.dumps(powerSGD.PowerSGDState(None, 3, 7, random_seed=5)))
print(state.matrix_approximation_rank, state.start_powerSGD_iter, state.process_group is dist.group.WORLD)
print(state.rng.randint(1_000_000_000), state.compression_stats(), sorted(state.__slots__))
""",
}

END = "\ndist.destroy_process_group()\n"


@pytest.mark.parametrize("whose", SCRIPTS)
def test_hooks_give_what_they_give_under_pytorch(whose):
    side_by_side(PRELUDE + SCRIPTS[whose] + END, size=2)
