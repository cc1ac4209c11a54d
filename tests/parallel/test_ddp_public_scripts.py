"""Scripts as public repositories write them: under PyTorch and under distrt they must print the same."""

import pytest

from tests.multiprocess.side_by_side import side_by_side

PRELUDE = """
import math
import sys
import warnings
from contextlib import contextmanager, nullcontext
from math import inf
import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
from torch.distributed import ReduceOp
from torch.distributed.constants import default_pg_timeout
from torch.nn.parallel.distributed import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DistributedSampler, Sampler
torch.set_default_dtype(torch.float64)
warnings.simplefilter('ignore')
"""

#: Momentum contrast: another encoder's weights follow, a queue of keys is a buffer, batches are shuffled among ranks.
CONTRAST = """
class NativeScalerWithGradNormCount:
    state_dict_key = "amp_scaler"
    def __init__(self):
        self._scaler = torch.amp.GradScaler("cpu")
    def __call__(self, loss, optimizer, clip_grad=None, parameters=None, create_graph=False, update_grad=True):
        self._scaler.scale(loss).backward(create_graph=create_graph)
        if update_grad:
            if clip_grad is not None:
                assert parameters is not None
                self._scaler.unscale_(optimizer)
                norm = torch.nn.utils.clip_grad_norm_(parameters, clip_grad)
            else:
                self._scaler.unscale_(optimizer)
                norm = get_grad_norm_(parameters)
            self._scaler.step(optimizer)
            self._scaler.update()
        else:
            norm = None
        return norm
    def state_dict(self):
        return self._scaler.state_dict()
    def load_state_dict(self, state_dict):
        self._scaler.load_state_dict(state_dict)
def get_grad_norm_(parameters, norm_type: float = 2.0) -> torch.Tensor:
    if isinstance(parameters, torch.Tensor):
        parameters = [parameters]
    parameters = [p for p in parameters if p.grad is not None]
    norm_type = float(norm_type)
    if len(parameters) == 0:
        return torch.tensor(0.)
    device = parameters[0].grad.device
    if norm_type == inf:
        total_norm = max(p.grad.detach().abs().max().to(device) for p in parameters)
    else:
        norms = [torch.norm(p.grad.detach(), norm_type).to(device) for p in parameters]
        total_norm = torch.norm(torch.stack(norms), norm_type)
    return total_norm
def all_reduce_mean(x):
    world_size = dist.get_world_size()
    if world_size > 1:
        x_reduce = torch.tensor(x)
        dist.all_reduce(x_reduce)
        x_reduce /= world_size
        return x_reduce.item()
    return x
class GatherLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        output = [torch.zeros_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(output, x)
        return tuple(output)
    @staticmethod
    def backward(ctx, *grads):
        all_gradients = torch.stack(grads)
        dist.all_reduce(all_gradients)
        return all_gradients[dist.get_rank()]
@torch.no_grad()
def concat_all_gather(tensor):
    tensors_gather = [torch.ones_like(tensor) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(tensors_gather, tensor, async_op=False)
    return torch.cat(tensors_gather, dim=0)
class MoCo(nn.Module):
    def __init__(self, dim=4, K=16, m=0.9, T=0.2):
        super().__init__()
        self.K, self.m, self.T = K, m, T
        def encoder(): return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, dim))
        self.encoder_q, self.encoder_k = (encoder() for _ in range(2))
        rng = np.random.default_rng(0)
        for p in self.encoder_q.parameters(): p.data.copy_(torch.from_numpy(rng.normal(size=p.shape)))
        for param_q, param_k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            param_k.data.copy_(param_q.data)
            param_k.requires_grad = False
        self.register_buffer("queue", torch.from_numpy(rng.normal(size=(dim, K))).double())
        self.queue = nn.functional.normalize(self.queue, dim=0)
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
    @torch.no_grad()
    def _momentum_update_key_encoder(self):
        for param_q, param_k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            param_k.data = param_k.data * self.m + param_q.data * (1.0 - self.m)
    @torch.no_grad()
    def _dequeue_and_enqueue(self, keys):
        keys = concat_all_gather(keys)
        batch_size = keys.shape[0]
        ptr = int(self.queue_ptr)
        assert self.K % batch_size == 0
        self.queue[:, ptr:ptr + batch_size] = keys.T
        ptr = (ptr + batch_size) % self.K
        self.queue_ptr[0] = ptr
    @torch.no_grad()
    def _batch_shuffle_ddp(self, x):
        batch_size_this = x.shape[0]
        x_gather = concat_all_gather(x)
        batch_size_all = x_gather.shape[0]
        num_gpus = batch_size_all // batch_size_this
        idx_shuffle = torch.arange(batch_size_all - 1, -1, -1)
        torch.distributed.broadcast(idx_shuffle, src=0)
        idx_unshuffle = torch.argsort(idx_shuffle)
        gpu_idx = torch.distributed.get_rank()
        idx_this = idx_shuffle.view(num_gpus, -1)[gpu_idx]
        return x_gather[idx_this], idx_unshuffle
    @torch.no_grad()
    def _batch_unshuffle_ddp(self, x, idx_unshuffle):
        batch_size_this = x.shape[0]
        x_gather = concat_all_gather(x)
        num_gpus = x_gather.shape[0] // batch_size_this
        idx_this = idx_unshuffle.view(num_gpus, -1)[torch.distributed.get_rank()]
        return x_gather[idx_this]
    def forward(self, im_q, im_k):
        q = nn.functional.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            self._momentum_update_key_encoder()
            im_k, idx_unshuffle = self._batch_shuffle_ddp(im_k)
            k = nn.functional.normalize(self.encoder_k(im_k), dim=1)
            k = self._batch_unshuffle_ddp(k, idx_unshuffle)
        l_pos = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", [q, self.queue.clone().detach()])
        logits = torch.cat([l_pos, l_neg], dim=1)
        logits /= self.T
        labels = torch.zeros(logits.shape[0], dtype=torch.long)
        self._dequeue_and_enqueue(k)
        return logits, labels
dist.init_process_group("gloo")
rank = dist.get_rank()
model = torch.nn.parallel.DistributedDataParallel(MoCo(), find_unused_parameters=True)
trained = [p for n, p in model.named_parameters() if p.requires_grad]
param_groups = [
    {"params": [p for p in trained if p.ndim > 1]},
    {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.},
]
opt = torch.optim.AdamW(param_groups, lr=1e-2, betas=(0.9, 0.95))
print(sum(len(g["params"]) for g in opt.param_groups), [g["weight_decay"] for g in opt.param_groups])
loss_scaler = NativeScalerWithGradNormCount()
data = np.random.default_rng(rank)
for i in range(6):
    opt.param_groups[0]["lr"] = 1e-2 * 0.5 * (1. + math.cos(math.pi * i / 6))
    a, b = (torch.from_numpy(data.normal(size=(4, 6))).double() for _ in range(2))
    with torch.autocast("cpu", enabled=False):
        out, target = model(a, b)
        loss = nn.CrossEntropyLoss()(out, target)
    if not math.isfinite(loss.item()): sys.exit(1)
    norm = loss_scaler(loss / 2, opt, parameters=model.parameters(), clip_grad=3.0 if i % 2 else None, update_grad=True)
    opt.zero_grad()
    print(i, f"{all_reduce_mean(loss.item()):.3f} {norm.item():.2f}", int(model.module.queue_ptr))
# simclr gather layer
z = torch.from_numpy(data.normal(size=(2, 3))).requires_grad_()
zs = torch.cat(GatherLayer.apply(z), 0)
((zs @ zs.T).logsumexp(-1).mean()).backward()
print(zs.shape, zs.grad_fn is not None, f"{z.grad.sum().item():.4f}")
print(round(model.module.queue.sum().item(), 3))
dist.destroy_process_group()
"""

#: A wrapper around model, optimizer and collectives, as of training frameworks.
FRAMEWORK = """
def _distributed_is_initialized():
    return torch.distributed.is_available() and torch.distributed.is_initialized()
def _sync_ddp(result, group=None, reduce_op=None):
    divide_by_world_size = False
    group = torch.distributed.group.WORLD if group is None else group
    if isinstance(reduce_op, str):
        reduce_op = "avg" if reduce_op == "mean" else reduce_op
        if reduce_op.lower() == "avg" and torch.distributed.get_backend(group) == "gloo":
            op = ReduceOp.SUM
            divide_by_world_size = True
        else:
            op = getattr(ReduceOp, reduce_op.upper())
    else:
        op = reduce_op
    torch.distributed.barrier(group=group)
    torch.distributed.all_reduce(result, op=op, group=group, async_op=False)
    world_size = torch.distributed.get_world_size(group)
    if not divide_by_world_size:
        return result
    if not torch.is_floating_point(result):
        return result.copy_(result / world_size)
    return result.div_(world_size)
def _all_gather_ddp_if_available(tensor, group=None, sync_grads=False):
    if not _distributed_is_initialized():
        return tensor
    from torch.distributed.nn.functional import all_gather
    tensor = tensor.contiguous()
    with nullcontext() if sync_grads else torch.no_grad():
        gathered_tensors = all_gather(tensor, group)
    return torch.stack(gathered_tensors)
class _FabricModule(nn.Module):
    def __init__(self, forward_module, original_module=None):
        super().__init__()
        self._forward_module = forward_module
        self._original_module = original_module or forward_module
    @property
    def module(self):
        return self._original_module or self._forward_module
    def forward(self, *args, **kwargs):
        return self._forward_module(*args, **kwargs)
    def state_dict(self, destination=None, prefix="", keep_vars=False):
        return self._original_module.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
    def __getattr__(self, item):
        try:
            return super().__getattr__(item)
        except AttributeError:
            original_module = super().__getattr__("_original_module")
            return getattr(original_module, item)
class _FabricOptimizer:
    def __init__(self, optimizer):
        self.__dict__ = {k: v for k, v in optimizer.__dict__.items() if k not in ("state_dict", "step")}
        self.__class__ = type("Fabric" + optimizer.__class__.__name__, (self.__class__, optimizer.__class__), {})
        self._optimizer = optimizer
    @property
    def optimizer(self):
        return self._optimizer
    def state_dict(self):
        return self._optimizer.state_dict()
    def step(self, closure=None):
        return self._optimizer.step(closure) if closure else self._optimizer.step()
class Fabric:
    def __init__(self):
        torch.distributed.init_process_group("gloo", timeout=default_pg_timeout)
        self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    def setup(self, model, opt):
        original = model
        model = DistributedDataParallel(module=model, device_ids=None)
        return _FabricModule(model, original), _FabricOptimizer(opt)
    @contextmanager
    def no_backward_sync(self, module, enabled=True):
        ctx = module._forward_module.no_sync() if enabled else nullcontext()
        with ctx: yield
    def all_reduce(self, t, op="mean"): return _sync_ddp(t.clone(), None, op)
    def broadcast(self, obj, src=0):
        obj = [obj]
        torch.distributed.broadcast_object_list(obj, src, group=torch.distributed.group.WORLD)
        return obj[0]
    def barrier(self, name=None):
        if not _distributed_is_initialized(): return
        if torch.distributed.get_backend() == "nccl":
            torch.distributed.barrier(device_ids=[0])
        else:
            torch.distributed.barrier()
f = Fabric()
rng = np.random.default_rng(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Hardswish(), torch.nn.Linear(8, 1))
for p in net.parameters(): p.data = torch.tensor(rng.normal(size=p.shape), dtype=torch.float64)
net.custom = "hello"
model, opt = f.setup(net, torch.optim.Adam(net.parameters(), lr=.05))
print(model.custom, type(opt).__name__, isinstance(opt, Optimizer), list(model.state_dict()))
data = np.random.default_rng(f.rank)
for i in range(6):
    x = torch.tensor(data.normal(size=(4, 3)), dtype=torch.float64)
    with f.no_backward_sync(model, enabled=i % 2 == 0):
        loss = model(x).square().mean()
        loss.backward()
    if i % 2:
        n = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0, norm_type=2, error_if_nonfinite=True)
        opt.step(); opt.zero_grad()
        print(i, f"{f.all_reduce(loss.detach()).item():.4f} {n.item():.4f}")
w = torch.ones(2, requires_grad=True)
g = _all_gather_ddp_if_available(w * (f.rank + 1), sync_grads=True)
(g * torch.tensor([[1.], [2.]])).sum().backward()
print(g, w.grad)
print(_all_gather_ddp_if_available(torch.tensor([f.rank])), f.broadcast({"r": f.rank, "p": "x"}))
print(f.all_reduce(torch.tensor([5 + f.rank, 2])), f.all_reduce(torch.tensor(3.) * f.rank, "sum"))
print(f.all_reduce(torch.tensor([f.rank]), "max"))
f.barrier()
class Wrapper(Sampler):
    def __init__(self, s): self.s = s
    def __iter__(self): return iter(self.s)
    def __len__(self): return len(self.s)
d = DistributedSampler(Wrapper(range(7)), num_replicas=f.world, rank=f.rank, shuffle=False)
print(list(d), d.num_samples, d.total_size)
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("script", [CONTRAST, FRAMEWORK], ids=["momentum contrast", "framework"])
def test_a_public_script_prints_what_it_prints_under_pytorch(script):
    side_by_side(PRELUDE + script, size=2)
