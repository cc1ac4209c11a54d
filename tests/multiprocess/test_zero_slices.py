"""ShardedOptimizer on real ranks: one copy of the parameters, and what is left of a step when a rank dies in it."""

import signal

import pytest

from tests.conformance.ranks import Serving, ranks
from tests.multiprocess.conftest import leaked_shared_memory, shared_memory

TRAINING = """
import distrt as torch
from distrt.core.errors import DistributedError, PeerFailed
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.sliced import ShardedOptimizer
from tests.parallel.models import batches, make
from tests.parallel.test_zero import backward, values
group = join(timeout_s=60)

def trained(model, optimizer):
    for batch in batches("mlp", 5):
        optimizer.zero_grad()
        backward(model, group, batch)
        optimizer.step()
    return values(model)

def params_and_optimizer(kind, **options):
    model = make("mlp", seed=group.rank())
    return model, ShardedOptimizer(model.parameters(), kind, process_group=group, **options)
"""

SAME_BITS = """
for kind, options in ((torch.optim.SGD, dict(lr=0.1, momentum=0.9)), (torch.optim.AdamW, dict(lr=0.01))):
    for repetition in range(3):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        expected = trained(model, kind(model.parameters(), **options))
        model, optimizer = params_and_optimizer(kind, **options)
        found = trained(model, optimizer)
        print(all(map(np.array_equal, expected, found)), flush=True)

(flat,) = optimizer.flats[0]
group.barrier()
if group.rank() == 0:
    model[0].bias.data[3] = 42.0  # seen by all: it is the same memory
group.barrier()
print(flat.is_one_copy, float(model[0].bias[3]), flush=True)
halves = sum(half.nbytes for half in flat._halves)
print(halves // flat._halves[0].nbytes, flush=True)
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_one_copy_is_trained_to_the_bits_of_many(size: int) -> None:
    with ranks(size, TRAINING + SAME_BITS) as started:
        for out in started.output(100):
            assert out.splitlines() == ["True"] * 6 + ["True 42.0", "2"]


DYING = """
model, optimizer = params_and_optimizer(torch.optim.SGD, lr=0.1, momentum=0.9)
trained(model, optimizer)
before = values(model)
data = batches("mlp", 1)[0]
print("ready", flush=True)
backward(model, group, data)
if group.rank() == 1:
    (flat,) = optimizer.flats[0]
    def half_a_step():
        flat.shard._array[: flat.shard.numel() // 2] = 1e9
        os.kill(os.getpid(), signal.SIGKILL)
    optimizer.optim.step = half_a_step
try:
    optimizer.step()
except PeerFailed:
    print("lost", flush=True)
print(all(map(np.array_equal, before, values(model))), flush=True)
for call in (optimizer.step, optimizer.consolidate_state_dict):
    try:
        call()
    except DistributedError as error:
        print("broken off" in str(error), flush=True)
"""


def test_a_rank_that_dies_in_its_update_leaves_the_others_whole_parameters() -> None:
    before = shared_memory()
    with ranks(3, TRAINING + DYING) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        codes, outs, errors = zip(*started.results(60), strict=True)
    assert codes == (0, -signal.SIGKILL, 0), errors
    for rank in (0, 2):
        assert outs[rank].splitlines() == ["lost", "True", "True", "True"], errors[rank]
    assert not leaked_shared_memory(before, patience_s=1.0)


REFUSING = """
import distrt.parallel.sharding.one_copy as home
home.available_bytes = lambda: 100
try:
    params_and_optimizer(torch.optim.SGD, lr=0.1)
except DistributedError as error:
    print(str(error), flush=True)
print(float(group.size()), flush=True)
group.barrier()
"""


def test_too_little_memory_is_an_error_on_all_ranks() -> None:
    with ranks(2, TRAINING + REFUSING) as started:
        first, second = started.output(60)
    assert "0 MB are left on this machine" in first
    assert "another rank says why" in second


MACHINES = """
import numpy as np
import distrt as torch
from distrt.parallel import DistributedDataParallel
from distrt.parallel.sharding.sliced import ShardedOptimizer
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer
from tests.parallel.models import batches, make
from tests.parallel.test_zero import backward, values
found, states = [], []
for kind in (None, "in place", "views", "slices"):
    model = make("mlp", seed=group.rank())
    if kind == "slices":
        optimizer = ShardedOptimizer(model.parameters(), torch.optim.Adam, process_group=group)
    else:
        model = DistributedDataParallel(model, process_group=group)
        optimizer = torch.optim.Adam(model.parameters()) if kind is None else ZeroRedundancyOptimizer(
            model.parameters(), torch.optim.Adam, process_group=group, parameters_as_bucket_view=kind == "views"
        )
    for batch in batches("mlp", 4):
        optimizer.zero_grad()
        backward(model, group, batch)
        optimizer.step()
    found.append(values(model))
    if kind is not None:
        optimizer.consolidate_state_dict(to=3)
    if group.rank() == 3:
        state = optimizer.state_dict()["state"]
        states.append([value.numpy().tobytes() for each in state.values() for value in each.values()])
print([all(map(np.array_equal, found[0], other)) for other in found[1:]], [each == states[0] for each in states[1:]])
"""


@pytest.mark.slow
def test_ranks_of_several_machines_get_the_same_bits(two_by_two: Serving) -> None:
    same = [True] * 3
    assert two_by_two.output(MACHINES) == [f"{same} []\n"] * 3 + [f"{same} {same}\n"]


LARGE = """
import numpy as np
import distrt as torch
from distrt.parallel.sharding.zero import ZeroRedundancyOptimizer
shapes, found = [(700, 300), (300,), (900, 120), (2, 3)], []
for as_views in (False, True):
    params = [torch.nn.Parameter(torch.ones(shape).double()) for shape in shapes]
    optimizer = ZeroRedundancyOptimizer(
        params, torch.optim.SGD, process_group=group, parameters_as_bucket_view=as_views, lr=1.0
    )
    for step in range(3):
        for number, param in enumerate(params):
            rows = torch.arange(param.numel(), dtype=torch.float64).reshape(param.shape)
            param.grad = rows + number if optimizer._param_to_rank[param] == group.rank() else None
        optimizer.step()
    found += [
        np.array_equal(param.detach().numpy().reshape(-1), 1 - 3.0 * (number + np.arange(param.numel())))
        for number, param in enumerate(params)
    ]
print(all(found), len(found))
"""


@pytest.mark.parametrize("place", ["pair", "two_by_two"])
def test_large_parameters_arrive(place: str, request: pytest.FixtureRequest) -> None:
    served: Serving = request.getfixturevalue(place)
    assert set(served.output(LARGE)) == {"True 8\n"}
