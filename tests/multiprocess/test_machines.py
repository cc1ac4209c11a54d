"""Ranks on several (simulated) machines, over each network: bits as in one process; deaths."""

import ast
import functools
import os
import signal
import time

import pytest

from distrt.comm.local import run_local
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.multiprocess.conftest import PROMPT_S
from tests.multiprocess.mpi_ranks import mpi_ranks, ranks_between
from tests.multiprocess.namespaces import needs_namespaces, two_machines

SEED = int(os.environ.get("DISTRT_TEST_SEED", "0"))

IMPORTS = """
import numpy as np
from distrt.comm.process_group import ReduceOp
from distrt.core.errors import CollectiveTimeout, DistributedError, PeerFailed, ShapeError
"""
JOIN = IMPORTS + "from tests.conformance.ranks import join\n"

CONFORMANCE = """
from tests.conformance.cases import COLLECTIVES, run_all, sample
print({{name: run_all(group, sample(name, {SEED}, {amount})) for name in COLLECTIVES}})
group.barrier()
"""

PLACEMENTS = {
    "1+1": [0, 1],
    "2+1": [0, 0, 1],
    "2+2": [0, 0, 1, 1],
    "round robin": [0, 1, 0, 1],
    "1+1+1": [0, 1, 2],
    "3+2": [0, 0, 0, 1, 1],
    "2+2+1": [0, 0, 1, 1, 2],
}


@functools.cache
def reference(size, amount):
    return run_local(
        lambda group: {name: run_all(group, sample(name, SEED, amount)) for name in COLLECTIVES}, size
    )[0]


@functools.cache
def digests(placement, amount, two_by_two, network):
    program, machines = CONFORMANCE.format(SEED=SEED, amount=amount), PLACEMENTS[placement]
    if placement == "2+2":
        return [ast.literal_eval(text) for text in two_by_two.output(program)]
    program = f"{JOIN}\ngroup = join()\n{program}\ngroup.close()"
    with mpi_ranks(len(machines), program, machines=machines, network=network) as started:
        return [ast.literal_eval(text) for text in started.output(timeout_s=110 if amount else 3000)]


@pytest.mark.ci
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(
    "placement",
    [name if name == "2+2" else pytest.param(name, marks=pytest.mark.slow) for name in PLACEMENTS],
)
def test_a_sample_of_cases_is_right_and_bit_equal_wherever_the_ranks_are(
    placement, collective, two_by_two, network
):
    per_rank = [each[collective] for each in digests(placement, 5, two_by_two, network)]
    assert all(each == per_rank[0] for each in per_rank), f"ranks differ (seed {SEED})"
    expected = reference(len(PLACEMENTS[placement]), 5)[collective]
    assert per_rank[0] == expected, f"{network} and local differ (seed {SEED})"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("placement", ["2+1", "3+2"])
def test_every_case_is_right_and_bit_equal_wherever_the_ranks_are(placement, collective, network):
    per_rank = [each[collective] for each in digests(placement, None, None, network)]
    assert all(each == per_rank[0] for each in per_rank), f"ranks differ (seed {SEED})"
    expected = reference(len(PLACEMENTS[placement]), None)[collective]
    assert per_rank[0] == expected, f"{network} and local differ (seed {SEED})"


@pytest.mark.slow
def test_a_large_all_reduce_passes_in_chunks_on_three_machines(network):
    program = """
group = join()
rank, rng = group.rank(), [np.random.default_rng(seed) for seed in range(5)]
for dtype in (np.float32, np.float16):
    inputs = [np.resize(each.standard_normal(65_521), 2_000_001).astype(dtype) for each in rng]
    array = inputs[rank].copy()
    group.all_reduce(array, ReduceOp.AVG)
    wide = [each.astype(np.float32) for each in inputs]
    total = ((wide[0] + wide[1]) + (wide[2] + wide[3])) + wide[4]
    assert np.array_equal(array, (total * np.float32(1 / 5)).astype(dtype)), dtype
group.barrier()
"""
    with mpi_ranks(5, JOIN + program, machines=[0, 0, 1, 1, 2], network=network) as started:
        started.output()


@pytest.mark.ci
@pytest.mark.parametrize("machines", ["abc", pytest.param("aabbc", marks=pytest.mark.slow)])
def test_reductions_pass_in_pieces_and_results_may_replace_what_is_reduced(machines, network):
    program = """
from distrt.comm.machines import reduce
reduce._CHUNK_BYTES, reduce._SMALL_BYTES = 4096, 1024
group = join()
rank, size = group.rank(), group.size()
for count in (100, 5003):
    rows = [np.arange(size * count, dtype=np.float16).reshape(size, count) % 97 + other for other in range(size)]
    expected = sum(each.astype(np.float32) for each in rows).astype(np.float16)
    for dst in range(size):
        array = rows[rank].copy()
        group.reduce(array, dst)
        assert np.array_equal(array, expected if rank == dst else rows[rank]), (count, dst)
    for place in range(size):  # of the rank's own row, and of others'
        array = rows[rank].copy()
        group.reduce_scatter(array[(rank + place) % size], array)
        assert np.array_equal(array[(rank + place) % size], expected[rank]), (count, place)
    shifted = rows[rank].copy().reshape(-1)
    group.reduce_scatter(shifted[7 : 7 + count], shifted.reshape(size, count))
    assert np.array_equal(shifted[7 : 7 + count], expected[rank]), count
group.barrier()
"""
    with mpi_ranks(len(machines), JOIN + program, machines=machines, network=network) as started:
        started.output()


def test_outstanding_operations_overlap_with_messages_and_other_groups(two_by_two):
    program = """
rank, size = group.rank(), group.size()
buffers = [group.allocate(50_000, np.float32) for _ in range(3)]
for trial in range(5):
    for i, buffer in enumerate(buffers):
        buffer[...] = i + rank
    received = np.empty(1000)
    letter = group.recv(received, (rank - 1) % size, tag=7, async_op=True)
    works = [group.all_reduce(buffer, async_op=True) for buffer in buffers]
    sent = group.send(np.full(1000, float(rank)), (rank + 1) % size, tag=7, async_op=True)
    for work in (*reversed(works), letter, sent):
        work.wait()
    assert (received == (rank - 1) % size).all() and letter.source_rank() == (rank - 1) % size
    assert [buffer.mean() for buffer in buffers] == [size * i + sum(range(size)) for i in range(3)]
for buffer in buffers:
    group.free(buffer)
"""
    two_by_two.output(IMPORTS + program)


def test_receives_take_messages_in_posting_order_and_by_tag(two_by_two):
    program = """
if group.rank() == 0:
    for tag, value in ((1, 10), (2, 20), (1, 11), (1, 12)):
        group.send(np.full(4, value), 2, tag=tag)
    group.send(np.full(100_000, 13), 2, tag=1)
elif group.rank() == 2:
    arrays = [np.empty(4, int) for _ in range(4)] + [np.empty(100_000, int)]
    works = [group.recv(arrays[i], None if i == 1 else 0, tag=tag, async_op=True)
             for i, tag in ((0, 1), (1, 1), (2, 2), (3, 1), (4, 1))]
    for work in reversed(works):
        work.wait()
    assert [array[0] for array in arrays] == [10, 11, 20, 12, 13], arrays
    assert all(work.source_rank() == 0 for work in works)
group.barrier()
"""
    two_by_two.output(IMPORTS + program)


def test_a_message_that_does_not_fit_is_an_error_and_the_next_arrives(two_by_two):
    program = """
if group.rank() == 0:
    group.send(np.ones(3, np.float32), 2)
    group.send(np.ones(2, np.float32), 2)
elif group.rank() == 2:
    try:
        group.recv(np.empty(2, np.float32), 0)
    except ShapeError as error:
        print(error)
    array = np.zeros(2, np.float32)
    group.recv(array, 0)
    print(array.sum())
group.barrier()
"""
    first, second = two_by_two.output(IMPORTS + program)[2].splitlines()
    assert "rank 0 sent 3 elements of float32, the receiver has room for 2 elements of float32" in first
    assert second == "2.0"


def test_lengths_that_do_not_fit_are_an_error_on_every_rank_and_the_group_goes_on(two_by_two):
    program = """
rank, size = group.rank(), group.size()
inputs = [np.ones(3 if (rank, other) == (0, 2) else 1) for other in range(size)]
try:
    group.all_to_all([np.zeros(1) for _ in range(size)], inputs)
except ShapeError as error:
    print("rank 0 sends 24 bytes to rank 2, which expects 8" in str(error))
group.barrier()
"""
    assert two_by_two.output(IMPORTS + program) == ["True\n"] * 4


@pytest.mark.ci
def test_subgroups_within_a_machine_and_across(network):
    program = """
import distrt as torch, distrt.distributed as dist
dist.init_process_group()
rank = dist.get_rank()
results = []
for ranks in ([0, 1], [2, 3], [1, 2], [3, 0, 2], [0]):
    group = dist.new_group(ranks)
    if rank in ranks:
        tensor = torch.ones(2) * 10 ** rank
        dist.all_reduce(tensor, group=group)
        assert tensor.tolist() == [float(sum(10 ** each for each in ranks))] * 2
        results.append(group.transport.kind)
print(results)
dist.destroy_process_group()
"""
    with mpi_ranks(4, program, machines=[0, 0, 1, 1], network=network) as started:
        outputs = started.output()
    assert outputs == [
        f"['shm', '{network}', 'solo']\n",
        f"['shm', '{network}']\n",
        f"['shm', '{network}', '{network}']\n",
        f"['shm', '{network}']\n",
    ]


@pytest.mark.ci
def test_a_world_can_be_left_and_joined_again(network):
    program = """
import distrt as torch, distrt.distributed as dist
for _ in range(3):
    dist.init_process_group()
    tensor = torch.ones(1)
    dist.all_reduce(tensor)
    assert tensor.item() == 3
    dist.destroy_process_group()
"""
    with mpi_ranks(3, program, machines=[0, 1, 1], network=network) as started:
        started.output()


@pytest.mark.ci
@needs_namespaces
def test_collectives_cross_a_real_network(network):
    program = """
group = join()
rank, large = group.rank(), np.full(700_000, float(group.rank()))
group.all_reduce(large)
assert (large == 6).all()
group.broadcast(small := np.full(5, rank), 2)
assert (small == 2).all()
gathered = [np.empty(10) for _ in range(4)]
group.all_gather(gathered, np.full(10, float(rank)))
assert [each[0] for each in gathered] == [0, 1, 2, 3]
group.barrier()
"""
    with two_machines() as machines, ranks_between(machines, JOIN + program, network=network) as started:
        started.output()


@needs_namespaces
def test_every_byte_crosses_the_network_once(network):
    """Two ranks on each of two machines: what each machine sends is one array, and what the protocols add."""
    program = """
from pathlib import Path
group = join()
def sent():
    return sum(int(each.read_text()) for each in Path("/sys/class/net").glob("dv*/statistics/tx_bytes"))
for count, array in ((2_000_000, np.ones(2_000_000)), (1_000_000, group.allocate(1_000_000, np.float64))):
    array[...] = 1 + group.rank()
    group.all_reduce(array[:10])
    group.barrier()
    before = sent()
    group.barrier()
    group.all_reduce(array)
    group.barrier()
    crossed = sent() - before
    assert (array[10:] == 10).all()
    print(array.nbytes, crossed, flush=True)
    assert array.nbytes <= crossed <= 1.05 * array.nbytes, (array.nbytes, crossed)
"""
    with two_machines() as machines, ranks_between(machines, JOIN + program, network=network) as started:
        print(started.output())


@pytest.mark.ci
def test_training_on_two_machines_gives_the_parameters_of_one(network):
    program = """
import hashlib
import distrt as torch, distrt.distributed as dist
from distrt.parallel import DistributedDataParallel
dist.init_process_group()
torch.manual_seed(dist.get_rank())
model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
wrapped = DistributedDataParallel(model, bucket_cap_mb=0.001)
optimizer = torch.optim.Adam(wrapped.parameters(), lr=1e-2)
rng = np.random.default_rng(dist.get_rank())
for _ in range(5):
    optimizer.zero_grad()
    wrapped(torch.tensor(rng.standard_normal((8, 20)).astype(np.float32))).square().mean().backward()
    optimizer.step()
print(hashlib.sha256(b"".join(each.detach().numpy().tobytes() for each in model.parameters())).hexdigest())
dist.destroy_process_group()
"""
    digests = set()
    for machines in ([0, 0, 0, 0], [0, 1, 1, 2]):
        with mpi_ranks(4, JOIN + program, machines=machines, network=network) as started:
            digests |= set(started.output())
    assert len(digests) == 1


@pytest.mark.ci
def test_a_buffer_that_no_machine_can_hold_is_refused_and_the_group_goes_on(network):
    program = """
group = join()
try:
    group.allocate(2**45, np.float64)
except DistributedError as error:
    print(error)
group.barrier()
"""
    with mpi_ranks(3, JOIN + program, machines=[0, 0, 1], network=network) as started:
        outputs = started.output()
    assert (
        all("MB of shared memory" in output for output in outputs[:2]) and "Unable to allocate" in outputs[2]
    )


# What goes wrong.

REPORT = (
    JOIN
    + """
def report(call):
    try:
        call()
        print("fine", flush=True)
    except DistributedError as error:
        print(type(error).__name__, time.time(), error, flush=True)
"""
)

LOOP = """
group = join(timeout_s=float(sys.argv[1]))
array = np.ones(300_000, np.float32)
def loop():
    for step in range(10**9):
        group.all_reduce(array)
        array[...] = 1
        if step == 10:
            print("ready", flush=True)
report(loop)
"""


@pytest.mark.parametrize(
    "machines",
    [
        pytest.param([0, 1], marks=pytest.mark.slow),
        [0, 0, 1, 1],
        pytest.param([0, 1, 2], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_killed_rank_is_named_on_every_machine(machines, network):
    size = len(machines)
    with mpi_ranks(size, REPORT + LOOP, "60", machines=machines, network=network) as started:
        assert [started.line(rank) for rank in range(size)] == ["ready"] * size
        killed_at = time.time()
        started.signal(1, signal.SIGKILL)
        ended_by_mpich = []
        for rank in set(range(size)) - {1}:
            line = started.line(rank)
            if (
                network == "mpi" and not line
            ):  # MPICH dies of sending to a rank that has just died, before anybody can know of it
                assert started.processes[rank].wait(PROMPT_S) == -signal.SIGSEGV
                ended_by_mpich.append(rank)
                continue
            kind, at, text = line.split(" ", 2)
            assert kind == "PeerFailed" and "rank 1 " in text
            assert float(at) - killed_at < PROMPT_S
        assert len(ended_by_mpich) <= 1  # the one that had something for rank 1 just then
        for rank, (code, _, err) in enumerate(started.results(20)):
            assert rank in (1, *ended_by_mpich) or (code, err) == (0, ""), err


@pytest.mark.slow
def test_a_stopped_rank_leads_to_a_timeout_that_names_it(network):
    with mpi_ranks(3, REPORT + LOOP, "1.5", machines=[0, 1, 2], network=network) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        started.signal(2, signal.SIGSTOP)
        lines = [started.line(rank) for rank in range(2)]
    assert all(line.startswith("CollectiveTimeout") and "waited 1.5 s for rank 2" in line for line in lines)


def test_a_rank_that_waits_for_a_message_from_a_dead_rank_is_told(network):
    program = """
group = join()
print("ready", flush=True)
if group.rank() == 1: time.sleep(60)
report(lambda: group.recv(np.empty(3), 1))
"""
    with mpi_ranks(2, REPORT + program, machines=[0, 1], network=network) as started:
        assert [started.line(rank) for rank in range(2)] == ["ready"] * 2
        started.signal(1, signal.SIGKILL)
        assert started.line(0).startswith("PeerFailed")


@pytest.mark.slow
def test_messages_between_the_living_pass_when_another_rank_has_died(network):
    program = """
group = join()
rank = group.rank()
print("ready", flush=True)
if rank == 1: time.sleep(60)
while group.transport._links.network.lifeline.gone(1) is None: time.sleep(0.01)
time.sleep(1)
array = np.full(3, float(rank))
if rank == 0: group.send(array, 2)
else: group.recv(array, 0)
print(array[0], flush=True)
"""
    with mpi_ranks(3, REPORT + program, machines=[0, 1, 2], network=network) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        started.signal(1, signal.SIGKILL)
        assert [started.line(rank) for rank in (0, 2)] == ["0.0", "0.0"]


@pytest.mark.slow
def test_a_rank_that_leaves_is_named(network):
    program = """
group = join()
group.barrier()
if group.rank() == 1: group.close()
else: report(group.barrier)
"""
    with mpi_ranks(3, REPORT + program, machines=[0, 1, 2], network=network) as started:
        outputs = [out for _, out, _ in started.results(30)]
    assert all(
        out.startswith("PeerFailed") and "rank 1 left the group" in out for out in (outputs[0], outputs[2])
    )


@pytest.mark.ci
def test_a_message_that_was_sent_before_its_sender_ended_arrives(network):
    program = """
group = join()
if group.rank() == 0:
    group.send(np.full(20_000, 5.0), 1)
else:
    time.sleep(1)
    array = np.empty(20_000)
    group.recv(array, 0)
    print(array.sum())
"""
    with mpi_ranks(2, JOIN + program, machines=[0, 1], network=network) as started:
        assert started.output()[1] == "100000.0\n"
