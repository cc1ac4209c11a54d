"""fully_shard on real ranks: the bits of DistributedDataParallel, ranks that differ, and ranks that die."""

import signal

import pytest

from tests.conformance.ranks import ranks

PRELUDE = """
from tests.conformance.ranks import join as join_ranks
import distrt as torch
from distrt import nn
from distrt.core.errors import DistributedError
from distrt.distributed.fsdp import fully_shard
from tests.parallel.sharded_models import *
group = join_ranks(timeout_s=60)
set_default_group(group)
"""
SAME_BITS = """
for name in ("mlp", "transformer", "branches"):
    model = sharded(name, torch.float32)
    train(model, name, group, dtype=torch.float32)
    plain = data_parallel(name, group, torch.float32)
    train(plain, name, group, dtype=torch.float32)
    print(all(map(np.array_equal, values(model), values(plain))), flush=True)
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_real_ranks_have_the_bits_of_data_parallelism(size: int) -> None:
    with ranks(size, PRELUDE + SAME_BITS) as started:
        for out in started.output(100):
            assert out.splitlines() == ["True"] * 3


LARGE = """
torch.manual_seed(0)
model = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(512, 512), nn.Tanh())])
for layer in model:
    if isinstance(layer, nn.Linear):
        fully_shard(layer)
fully_shard(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
rng = np.random.default_rng(group.rank())
losses = []
for step in range(12):
    optimizer.zero_grad()
    x = torch.from_numpy(rng.standard_normal((4, 512)).astype(np.float32))
    loss = ((model(x) - x) ** 2).mean()
    loss.backward()
    optimizer.step()
print(float(sum(p.full_tensor().abs().sum() for p in model.parameters())), flush=True)
"""


@pytest.mark.slow
def test_rows_that_are_longer_than_a_transports_slots_arrive_whole() -> None:
    with ranks(3, PRELUDE + LARGE) as started:
        first, *others = started.output(100)
        assert others == [first] * 2


ORDERS = """
class Ordered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(300, 300) for _ in range(6)])
    def forward(self, x, order):
        return sum(self.layers[n](x) for n in order).sum()
torch.manual_seed(0)
model = Ordered()
for layer in model.layers:
    fully_shard(layer)
fully_shard(model)
rng = np.random.default_rng(group.rank())
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
for _ in range(15):
    optimizer.zero_grad()
    model(torch.ones(2, 300), rng.permutation(6)[: rng.integers(1, 7)]).backward()
    optimizer.step()
print(float(sum(p.full_tensor().double().sum() for p in model.parameters())), flush=True)
"""


def test_real_ranks_may_use_their_modules_in_different_orders() -> None:
    with ranks(3, PRELUDE + ORDERS) as started:
        first, *others = started.output(100)
        assert others == [first] * 2


DYING = """
model = sharded("mlp")
train(model, "mlp", group, steps=2)
if group.rank() == 1:
    model[2].register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
try:
    train(model, "mlp", group, steps=2)
except DistributedError as error:
    print("rank 1" in str(error), flush=True)
"""


def test_a_rank_that_dies_is_named() -> None:
    with ranks(3, PRELUDE + DYING) as started:
        codes, outs, errors = zip(*started.results(100), strict=True)
        assert codes == (0, -signal.SIGKILL, 0), errors
        assert [outs[0].strip(), outs[2].strip()] == ["True", "True"]
