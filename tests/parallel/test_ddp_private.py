"""What ``DistributedDataParallel`` has beside its documented names, as under PyTorch."""

from tests.multiprocess.side_by_side import side_by_side

SCRIPT = """
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel as DDP
dist.init_process_group('gloo')
rank = dist.get_rank()
left_out = 'master_port', 'gloo_num_threads', 'prev_iteration_grad_ready_order_indices'
def logged(model):
    data = model._get_ddp_logging_data()
    print({k: v for k, v in sorted(data.items()) if 'time' not in k and k not in left_out})
def train(model, passes):
    for _ in range(passes): model(torch.ones(2, 4) + rank).sum().backward()
    return model
def net(): return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
model = DDP(net(), bucket_cap_mb=1)
for passes in 0, 2, 1, 1: logged(train(model, passes))
model = DDP(net(), find_unused_parameters=True)
model.register_comm_hook(None, default_hooks.fp16_compress_hook)
logged(train(model, 13))
model = DDP(net(), find_unused_parameters=True)
model._set_ddp_runtime_logging_sample_rate(6)
logged(train(model, 15))
logged(DDP(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2).double()), static_graph=True))
class Some(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 1), nn.Linear(4, 5)
    def forward(self, x): return self.a(x)
logged(train(DDP(Some(), find_unused_parameters=True), 4))

t = torch.ones(2, 2)
print(model.scatter((1, 'a'), {'b': 2}, [0, 1]), model.scatter((), {}, [0, 1]))
print(model.to_kwargs((t, [t, 3]), {'a': {'b': t}}, 0))
print(model.to_kwargs((), {'a': t}, 0), model.to_kwargs((1,), None, 0))
print(model.use_side_stream_for_tensor_copies, model._use_python_reducer)
try: model.gather([1, 2], 0)
except TypeError as error: print(error)

order = []
def show_order(model, *size):
    order.clear()
    for name, each in model.named_parameters():
        each.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    model(torch.ones(size)).sum().backward()
    print(order)
show_order(DDP(net()), 2, 4)
show_order(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0), 2, 3, 4)
show_order(nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 2)), 1, 1, 3, 3)
model = DDP(net())
with model.join():
    for _ in range(1 + rank): train(model, 1)
logged(model)
model = DDP(net())
model._set_static_graph()
train(model, 1)
model = train(DDP(net()), 1)
try: model._set_static_graph()
except RuntimeError as error: print(str(error)[:98])
dist.destroy_process_group()
"""


def test_logging_data_older_methods_and_the_order_of_gradients_are_pytorchs():
    side_by_side(SCRIPT, size=2)
