"""fully_shard on real ranks: the bits of DistributedDataParallel, ranks that differ, and ranks that die."""

import signal

import pytest

from tests.conformance.ranks import ranks

PRELUDE = """
import contextlib, copy, time
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
for name in ("mlp", "deep", "transformer", "tied", "branches", "checkpointed", "wrapped", "reentrant"):
    model = sharded(name, torch.float32)
    units = model._get_fsdp_state().find_root().units
    assert all(unit.is_together for unit in units)
    for each in (each for unit in units for each in unit.parameters if each.part._array.size):
        assert np.shares_memory(each.part._array, each.whole._array)
    train(model, name, group, steps=5, dtype=torch.float32)
    plain = data_parallel(name, group, torch.float32)
    train(plain, name, group, steps=5, dtype=torch.float32)
    print(name, all(map(np.array_equal, values(model), values(plain))), flush=True)
    if name == "deep":  # one message for all units of a forward pass
        lane, gathers = model._get_fsdp_state().passes.lanes.gathers, []
        barrier = lane.barrier
        lane.barrier = lambda **options: (gathers.append(options.get("what", "")), barrier(**options))[1]
        loss_of(model, batches(name, 1, torch.float32)[0], group).backward()
        del lane.barrier
        print("gathers", gathers == [f"units {[unit.number for unit in units]}", ""] and len(units) > 2, gathers)
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_real_ranks_have_the_bits_of_data_parallelism(size: int) -> None:
    with ranks(size, PRELUDE + SAME_BITS) as started:
        for out in started.output(100):
            assert [line.split()[1] for line in out.splitlines()] == ["True"] * 9, out


SETTINGS = """
from distrt.distributed.fsdp import MixedPrecisionPolicy

def accumulating(model, synchronised):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for number, batch in enumerate(batches("deep", 9, torch.float32)):
        is_last = number % 3 == 2
        with synchronised(is_last):
            loss_of(model, batch, group).backward()
        if is_last:
            optimizer.step()
            optimizer.zero_grad(set_to_none=number % 2 == 0)
    return values(model)

plain = data_parallel("deep", group, torch.float32)
expected = accumulating(plain, lambda is_last: contextlib.nullcontext() if is_last else plain.no_sync())
for setting in ("", "one in flight", "five in flight", "whole until backward", "divisor", "by hand"):
    model = sharded("deep", torch.float32)
    if "flight" in setting:
        model.set_reduce_scatter_max_input_buffers(1 if "one" in setting else 5)
    if setting == "whole until backward":
        model.set_reshard_after_forward(False)
    if setting == "divisor":
        for part in model.modules():
            if hasattr(part, "set_gradient_divide_factor"):
                part.set_gradient_divide_factor(group.size())

    def synchronised(is_last):
        if setting == "by hand":
            model[4].unshard()
            model[6].unshard(async_op=True)
        model.set_requires_gradient_sync(is_last)
        return contextlib.nullcontext()

    print(setting, all(map(np.array_equal, accumulating(model, synchronised), expected)), sep=":", flush=True)
"""


@pytest.mark.slow
def test_settings_do_not_change_bits() -> None:
    with ranks(2, PRELUDE + SETTINGS) as started:
        for out in started.output(100):
            assert [line.split(":")[1] for line in out.splitlines()] == ["True"] * 6, out


EARLY = """
def slow(*_):
    if group.rank() == 1:
        time.sleep(0.3)

model = sharded("mlp")
model[2].register_forward_hook(slow)
model[2].register_full_backward_hook(slow)
x = torch.ones(2, WIDTH, dtype=torch.float64)
plain = make("mlp")
for is_recorded in (False, True):
    with torch.set_grad_enabled(is_recorded):
        found = model(x)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
        expected = plain(x)
        for p in plain.parameters():
            p.mul_(2)
    print(torch.equal(found, expected), flush=True)
model.zero_grad()
loss = model(x).sum()
loss.backward()
with torch.no_grad():
    for p in model.parameters():
        p.zero_()
plain(x).sum().backward()
found = [p.grad.full_tensor() for p in model.parameters()]
print(all(map(torch.equal, found, [p.grad for p in plain.parameters()])), flush=True)
"""

BY_HAND = """
model = fully_shard(make("mlp")[0])
model.unshard()
before = make("mlp")[0].weight.detach()
if group.rank() == 0:
    model.reshard()
    with torch.no_grad():
        model.weight.fill_(7.0)
group.barrier()
if group.rank() == 1:
    print(torch.equal(model.weight, before), flush=True)
    model.reshard()
else:
    print(bool((model.weight.to_local() == 7.0).all()), flush=True)
whole = model.weight.full_tensor()
print(bool((whole[:16] == 7.0).all() and torch.equal(whole[16:], before[16:])), flush=True)
"""

CHANGING = """
class Doubling(nn.Linear):
    def forward(self, x):
        with torch.no_grad():
            self.weight.mul_(2)
            self.bias.data.add_(1)
        return super().forward(x)

torch.manual_seed(0)
plain = Doubling(4, 4)
before = plain.weight.detach().clone(), plain.bias.detach().clone()
model = fully_shard(copy.deepcopy(plain), reshard_after_forward=True)
expected = plain(torch.ones(1, 4))
found = [model(torch.ones(1, 4)) for _ in range(2)]
found[0].sum().backward()
print(all(torch.equal(each, expected) for each in found), flush=True)
print(all(torch.equal(a.full_tensor(), b) for a, b in zip(model.parameters(), before)), flush=True)
table = fully_shard(nn.Embedding(4, 4, max_norm=1.0))
table(torch.arange(4)).sum().backward()
print(bool((table.weight.grad.full_tensor() == 1).all()), flush=True)
"""


@pytest.fixture(scope="module")
def together() -> list[list[str]]:
    """What two ranks print for EARLY, BY_HAND and CHANGING."""
    with ranks(2, PRELUDE + EARLY + BY_HAND + CHANGING) as started:
        return [out.split() for out in started.output(100)]


def test_a_rank_that_is_ahead_and_changes_its_parts_leaves_the_others_pass_alone(together) -> None:
    assert [found[:3] for found in together] == [["True"] * 3] * 2


def test_what_is_gathered_by_hand_stays_when_another_rank_changes_its_part(together) -> None:
    assert [found[3:5] for found in together] == [["True"] * 2] * 2


def test_what_a_module_changes_in_forward_is_its_own_and_lost(together) -> None:
    assert [found[5:] for found in together] == [["True"] * 3] * 2


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
print(float(sum(p.detach().full_tensor().abs().sum() for p in model.parameters())), flush=True)
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
print(float(sum(p.detach().full_tensor().double().sum() for p in model.parameters())), flush=True)
"""


@pytest.mark.ci
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


PASS_AFTER_PASS = """
for name in ("deep", "transformer"):
    found = []
    for make in (sharded, lambda *args: data_parallel(args[0], group, args[1])):
        model = make(name, torch.float32)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for number, batch in enumerate(batches(name, 4, torch.float32)):
            optimizer.zero_grad()
            loss = loss_of(model, batch, group)
            for is_last in (False, True):  # no forward pass in between
                time.sleep(0.02 * (group.rank() == number % 2))  # in turns, a rank is late
                loss.backward(retain_graph=not is_last)
                if make is not sharded:
                    break
            if make is not sharded:
                for p in model.parameters():
                    p.grad += p.grad
            optimizer.step()
        found.append(values(model))
        if make is sharded:
            passes = model._get_fsdp_state().passes
            several = [len(each.units) for each in passes._slots.batches(passes._order[::-1])]
            print(max(several) > 1, sum(several) == len(passes.units), end=" ")
    print(all(map(np.array_equal, *found)))
"""


@pytest.mark.ci
def test_units_share_messages_and_a_backward_pass_may_follow_another() -> None:
    with ranks(2, PRELUDE + PASS_AFTER_PASS) as started:
        for out in started.output(100):
            assert out.splitlines() == ["True True True"] * 2, out


BYTES = """
from distrt.core.process import activity

class Heard(activity.Listener):
    def __init__(self):
        self.told = {}

    def launch(self, transfer):
        what = transfer.name.removeprefix("barrier(").split(" ")[0]
        self.told[what] = self.told.get(what, 0) + transfer.nbytes

model = fully_shard(nn.Linear(64, 32, bias=False))
model(torch.ones(2, 64)).sum().backward()
heard = Heard()
activity.listen(heard)
model(torch.ones(2, 64)).sum().backward()
activity.leave(heard)
print(heard.told["units"], heard.told["gradients"])
"""


@pytest.mark.ci
def test_what_ranks_gather_and_reduce_in_one_memory_is_told_with_its_bytes() -> None:
    weight = 32 * 64 * 4
    with ranks(2, PRELUDE + BYTES) as started:
        for out in started.output(60):
            parts, gradients = map(int, out.split())
            assert parts == weight // 2
            assert weight <= gradients <= weight + 64, "the gradients, and which parameters have one"
