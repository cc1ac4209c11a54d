"""DistributedDataParallel(shard_optimizer=True) on real ranks: one memory, and what a rank leaves that dies in it."""

import signal

import pytest

from tests.conformance.ranks import Serving, ranks
from tests.multiprocess.conftest import leaked_shared_memory, shared_memory

TRAINING = """
import numpy as np
import distrt as torch
from distrt.core.errors import DistributedError, PeerFailed
from distrt.nn.utils import clip_grad_norm_
from distrt.parallel import DistributedDataParallel
from tests.parallel.models import batches, make
from tests.parallel.test_zero import backward, values

def wrapped(shards=True, seed=None, **options):
    model = make("mlp", seed=group.rank() if seed is None else seed)
    return DistributedDataParallel(model, process_group=group, shard_optimizer=shards, **options)

def trained(model, optimizer, steps=4, keep=None):
    for batch in batches("mlp", steps):
        optimizer.zero_grad()
        backward(model, group, batch)
        if keep is not None:
            keep += [p.grad.detach() for p in model.parameters()]
        optimizer.step()
    return values(model)

def state_of(optimizer):
    return [np.array(v.numpy()) for each in optimizer.state_dict()["state"].values() for v in each.values()]

def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))
"""

SAME_BITS = """
found = []
for kind, options in ((torch.optim.SGD, dict(lr=0.1, momentum=0.9)), (torch.optim.AdamW, dict(lr=0.01))):
    for cap in (None, 1e-4):
        results = []
        for shards in (False, True):
            model, kept = wrapped(shards, bucket_cap_mb=cap), []
            optimizer = kind(model.parameters(), **options)
            trained(model, optimizer, keep=kept)
            optimizer.zero_grad()
            with model.no_sync():
                backward(model, group, batches("mlp", 1)[0])
            backward(model, group, batches("mlp", 2)[1])
            norm = clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
            with model.join():
                for batch in batches("mlp", 2 + group.rank()):
                    backward(model, group, batch)
                    optimizer.step()
                    optimizer.zero_grad()
            state = state_of(optimizer) if group.rank() == group.size() - 1 else []
            results.append(values(model) + state + [each.numpy().copy() for each in (*kept, norm)])
        found.append(same(*results))
print(found)
"""

ONE_MEMORY = """
model = wrapped()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
trained(model, optimizer)
(part, *_) = model._update.shared.parts
average = model.reducer.buckets[0].average
moment = model._update._states[optimizer]._entries[id(part.parameter)].rows["exp_avg"]
group.barrier()
if group.rank() == 0:
    part.live[0] = moment[0] = average[0, 0] = 42.0
group.barrier()
state = optimizer.state[part.parameter]
gradient = model.reducer.buckets[0].parameters[0].grad
print([each.view(-1)[0].item() for each in (part.parameter, state["exp_avg"], gradient)])
group.barrier()
"""


def test_one_copy_is_trained_to_the_bits_of_many(pair: Serving) -> None:
    assert pair.output(TRAINING + SAME_BITS) == ["[True, True, True, True]\n"] * 2


@pytest.mark.slow
def test_one_copy_is_trained_to_the_bits_of_many_on_three_ranks() -> None:
    with ranks(3, "group = join(timeout_s=60)\n" + TRAINING + SAME_BITS) as started:
        assert started.output(100) == ["[True, True, True, True]\n"] * 3


def test_parameters_averages_and_state_are_one_memory(pair: Serving) -> None:
    assert pair.output(TRAINING + ONE_MEMORY) == ["[42.0, 42.0, 42.0]\n"] * 2


RESIDENT = """
def kept_kb(addresses):
    # What this process answers for of the mappings with these addresses: shared pages are divided by who has them.
    found, is_wanted = 0, False
    with open("/proc/self/smaps") as smaps:
        lines = smaps.readlines()
    for line in lines:
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            low, high = (int(each, 16) for each in first.split("-"))
            is_wanted = any(low <= each < high for each in addresses)
        elif first == "Pss:" and is_wanted:
            found += int(rest[0])
    return found

torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(500, 500), process_group=group, shard_optimizer=True)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(2, 500)).sum().backward()
    optimizer.step()
group.barrier()
state = [v for each in optimizer.state.values() for v in each.values() if v.ndim]
seen = sum(each.sum().item() for each in (*model.parameters(), *state))  # every rank has looked at all
halves = [part.following.ctypes.data for part in model._update.shared.parts]
group.barrier()
kept = np.array([kept_kb([*(each.data_ptr() for each in (*model.parameters(), *state)), *halves])])
group.all_reduce(kept)
print(kept[0], 4 * (500 * 500 + 500) * 4 // 1024)
"""


def test_parameters_and_state_take_their_memory_once(pair: Serving) -> None:
    require_once(pair.output(TRAINING + RESIDENT))


@pytest.mark.slow
def test_parameters_and_state_take_their_memory_once_on_four_ranks() -> None:
    with ranks(4, "group = join(timeout_s=60)\n" + TRAINING + RESIDENT) as started:
        require_once(started.output(100))


def require_once(lines: list[str]) -> None:
    for line in lines:
        kept, expected = map(int, line.split())
        assert expected <= kept <= expected + 64 * len(lines)


@pytest.mark.slow
def test_ranks_of_several_machines_get_the_same_bits(two_by_two: Serving) -> None:
    bits = SAME_BITS.replace("with model.join():", "if True:").replace("2 + group.rank()", "2")
    bits = bits.replace("if group.rank() == group.size() - 1 else []", "")
    assert two_by_two.output(TRAINING + bits) == ["[True, True, True, True]\n"] * 4


MACHINES = """
from distrt.core.errors import UnsupportedError
model = wrapped()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
trained(model, optimizer)
try:
    with model.join():
        pass
except UnsupportedError as error:
    print("needs even inputs" in str(error), end=" ")
part = max(model._update.shared.parts, key=lambda part: part.live.size)
group.barrier()
if group.rank() % 2 == 0:
    part.live[0] = 42.0 + group.rank()
group.barrier()
print(part.parameter.view(-1)[0].item())
"""


@pytest.mark.slow
def test_each_machine_has_a_copy(two_by_two: Serving) -> None:
    assert two_by_two.output(TRAINING + MACHINES) == [
        "True 42.0\n",
        "True 42.0\n",
        "True 44.0\n",
        "True 44.0\n",
    ]


DYING = """
group = join(timeout_s=60)
model = wrapped()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
trained(model, optimizer)
before = values(model)
data = batches("mlp", 1)[0]
plain = wrapped(False)
trained(plain, plainly := torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9))
plainly.zero_grad()
backward(plain, group, data)
plainly.step()
after = values(plain)
print("ready", flush=True)
optimizer.zero_grad()
backward(model, group, data)
update = model._update
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""

IN_ITS_UPDATE = """
if group.rank() == 1:
    def half_a_step():
        for part in update.shared.parts:
            part.following[part.low : part.high] = 1e9
        die()
    optimizer._may_run = lambda *_: half_a_step()
"""

AS_IT_PUBLISHES = """
if group.rank() == 1:
    commit = update._ledger.commit
    update._ledger.commit = lambda: (commit(), die())
"""

WHILE_IT_COPIES_BACK = """
names = [p.data for p in model.parameters()] if group.rank() == 0 else []
if group.rank() == 1:
    commit = update._ledger.commit
    def half_of_it():
        commit()
        part = next(part for part in update.shared.parts if part.low < part.high)
        part.live[part.low] = part.following[part.low]
        die()
    update._ledger.commit = half_of_it
"""

LEFT_AFTER_THE_STEP = """
optimizer.step()
now = values(model)
print(same(after, now), flush=True)
try:
    optimizer.step()
except PeerFailed:
    print("lost", flush=True)
print(len(optimizer.state), same(now, values(model)), flush=True)
"""

LEFT = """
try:
    optimizer.step()
except PeerFailed:
    print("lost", flush=True)
now = values(model)
print("before" if same(before, now) else "after" if same(after, now) else "torn", flush=True)
for call in (optimizer.step, optimizer.state_dict):
    try:
        call()
    except DistributedError as error:
        print("broken off" in str(error), flush=True)
print(len(optimizer.state), same(now, values(model)), flush=True)
"""


@pytest.mark.parametrize(
    ("moment", "then"),
    [
        pytest.param(IN_ITS_UPDATE, "before", id="update"),
        pytest.param(WHILE_IT_COPIES_BACK, "after", id="copying back", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_dies_in_a_step_leaves_the_others_whole_parameters(moment: str, then: str) -> None:
    before = shared_memory()
    with ranks(3, TRAINING + DYING + moment + LEFT) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        codes, outs, errors = zip(*started.results(60), strict=True)
    assert codes == (0, -signal.SIGKILL, 0), errors
    for rank in (0, 2):
        assert outs[rank].splitlines() == ["lost", then, "True", "True", "0 True"], errors[rank]
    assert not leaked_shared_memory(before, patience_s=1.0)


@pytest.mark.slow
def test_a_rank_that_dies_as_all_have_written_leaves_the_others_the_step() -> None:
    with ranks(3, TRAINING + DYING + AS_IT_PUBLISHES + LEFT_AFTER_THE_STEP) as started:
        codes, outs, errors = zip(*started.results(60), strict=True)
    assert codes == (0, -signal.SIGKILL, 0), errors
    for rank in (0, 2):
        assert outs[rank].splitlines() == ["ready", "True", "lost", "0 True"], errors[rank]


REFUSING = """
import distrt.comm.shm.one_copy as home
available = home.available_bytes
home.available_bytes = lambda: 100
try:
    wrapped()
except DistributedError as error:
    print("0 MB are left on this machine" in str(error), "one copy for all ranks" in str(error), end=" ")
home.available_bytes = available
trained(wrapped(), torch.optim.SGD(make("mlp").parameters()))
print("goes on")
"""


def test_too_little_memory_is_an_error_on_all_ranks(pair: Serving) -> None:
    first, second = pair.output(TRAINING + REFUSING)
    assert first == "True True goes on\n"
    assert second.endswith("True goes on\n")


WITHDRAWING = """
group = join(timeout_s=4)
model = wrapped()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
trained(model, optimizer)
before = values(model)
backward(model, group, batches("mlp", 1)[0])
update = model._update
if group.rank() == 1:  # it is late for the meeting
    begin, update._ledger.begin = update._ledger.begin, lambda stays: (begin(stays), time.sleep(6))
try:
    optimizer.step()
except DistributedError as error:
    print(type(error).__name__, "has given up" in str(error))
now = values(model)
time.sleep(3)
whole = [np.array_equal(part.following, value.reshape(-1)) for part, value in zip(update.shared.parts, now)]
print("before" if same(before, now) else "after" if all(whole) else "torn", same(now, values(model)))
try:
    optimizer.step()
except DistributedError as error:
    print("broken off" in str(error))
"""


@pytest.mark.slow
def test_ranks_that_lose_patience_in_a_step_have_whole_parameters() -> None:
    with ranks(2, TRAINING + WITHDRAWING) as started:
        (code, patient, _), (other, late, _) = started.results(60)
    assert (code, other) == (0, 0)
    assert patient.splitlines()[1:] == ["before True", "True"], patient
    assert late.splitlines()[-2:] in (["before True", "True"], ["after True", "True"]), late
