"""Every communication function under PyTorch's gloo and under distrt: one script, the same prints on every rank."""

import pytest

from tests.multiprocess.side_by_side import run_distrt, side_by_side

BEGIN = """
import datetime
import warnings
import torch
import torch.distributed as dist
warnings.simplefilter("ignore")
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))
rank, size = dist.get_rank(), dist.get_world_size()
def mine(*shape, dtype=torch.float32):
    count = 1
    for each in shape:
        count *= each
    return (torch.arange(count).reshape(shape) + 10 * rank + 1).to(dtype)
"""
END = """
dist.destroy_process_group()
"""


def run(script, size):
    side_by_side(BEGIN + script + END, size)


REDUCTIONS = """
OPS = ["SUM", "PRODUCT", "MIN", "MAX", "AVG", "BAND", "BOR", "BXOR"]
for dtype in (torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.int8, torch.float16,
              torch.bfloat16, torch.bool, torch.complex64):
    for name in OPS:
        op = getattr(dist.ReduceOp, name)
        if name[0] == "B" and (dtype.is_floating_point or dtype.is_complex):
            continue
        if name == "AVG" and dtype is not torch.float32:
            continue
        if dtype.is_complex and name != "SUM" or dtype is torch.bool and name not in ("MIN", "MAX"):
            continue
        tensor = (mine(2, 3) % 7 + 1).to(dtype)
        print(dtype, op, repr(op), dist.all_reduce(tensor, op), tensor)
        for root in range(size):
            tensor = (mine(3) % 5 + 1).to(dtype)
            dist.reduce(tensor, root, op=op)
            print(root, tensor if rank == root else None)
for shape in ((), (0,), (1,), (3, 0, 2), (4, 1)):
    tensor = mine(*shape)
    dist.all_reduce(tensor)
    print(tensor, tensor.shape)
tensor = mine(2, 3).t()
dist.all_reduce(tensor)
print(tensor, tensor.stride())
parameter = torch.nn.Parameter(torch.ones(2) * rank)
dist.all_reduce(parameter.data)
print(parameter)
leaf = torch.ones(2, requires_grad=True)
dist.all_reduce(leaf, dist.ReduceOp.RedOpType.MAX)
print(leaf)
tensor = mine(2)
dist.all_reduce(tensor=tensor, op=dist.ReduceOp.SUM, group=dist.group.WORLD, async_op=False)
print(tensor)
"""

FROM_AND_TO_ONE = """
for root in range(size):
    tensor = mine(2, 2)
    print(dist.broadcast(tensor, root), tensor)
    tensor = mine(3, dtype=torch.complex64) * 1j
    dist.broadcast(tensor, group_src=root)
    print(tensor)
    listed = [torch.zeros(3) for _ in range(size)] if rank == root else None
    print(dist.gather(mine(3), listed, dst=root), listed)
    listed = [torch.zeros(3, dtype=torch.int64) for _ in range(size)] if rank == root else None
    dist.gather(mine(3, dtype=torch.int64), gather_list=listed, group_dst=root)
    print(listed)
    tensor = torch.zeros(2)
    parts = [mine(2) + 100 * to for to in range(size)] if rank == root else None
    print(dist.scatter(tensor, parts, src=root), tensor)
    tensor = torch.zeros(2, dtype=torch.complex64)
    dist.scatter(tensor, [mine(2, dtype=torch.complex64) for _ in range(size)] if rank == root else [], group_src=root)
    print(tensor)
listed = [torch.zeros(2) for _ in range(size)] if rank == 0 else []
dist.gather(mine(2), listed)
print(listed)
tensor = torch.zeros(1)
dist.scatter(tensor, [mine(1) for _ in range(size)] if rank == 0 else None)
print(tensor)
print(dist.barrier(), dist.barrier(group=dist.group.WORLD, timeout=datetime.timedelta(seconds=20)))
print(dist.monitored_barrier(), dist.monitored_barrier(timeout=datetime.timedelta(seconds=20), wait_all_ranks=True))
print(dist.monitored_barrier(timeout=20.0))
"""

BLOCKS = """
for dtype in (torch.float32, torch.int64, torch.bool, torch.complex64, torch.bfloat16):
    tensor = mine(2, 2, dtype=dtype)
    outputs = [torch.zeros(2, 2, dtype=dtype) for _ in range(size)]
    print(dist.all_gather(outputs, tensor), outputs)
    whole = torch.zeros(2 * size, 2, dtype=dtype)
    print(dist.all_gather_single(whole, tensor), whole)
    whole.zero_()
    dist.all_gather_into_tensor(whole, tensor)
    print(whole)
outputs = [torch.zeros(2) for _ in range(size)]
dist.all_gather([each[::1] for each in outputs], mine(4)[::2])
print(outputs)
parent = torch.zeros(size, 3)
dist.all_gather(list(parent), mine(3))
print(parent)
parent = torch.zeros(size * 2, 2)
dist.all_gather([parent[place::size, 0] for place in range(size)], mine(2))
print(parent)
outputs = [torch.zeros(0) for _ in range(size)]
dist.all_gather(outputs, torch.zeros(0))
print(outputs)
outputs = [torch.zeros(()) for _ in range(size)]
dist.all_gather(outputs, torch.tensor(float(rank)))
print(outputs)
pairs = [torch.zeros(1, 2) for _ in range(size)]
dist.all_gather(pairs, torch.tensor([1 + 2j]) * (rank + 1))
print(pairs)
whole = torch.zeros(size * 2)
dist._all_gather_base(whole, mine(2))
print(whole)
for op in (dist.ReduceOp.SUM, dist.ReduceOp.MAX, dist.ReduceOp.AVG):
    output = torch.zeros(2, 2)
    print(dist.reduce_scatter(output, [mine(2, 2) * (to + 1) for to in range(size)], op), output)
    print(dist.reduce_scatter_single(output, mine(2 * size, 2), op), output)
    dist.reduce_scatter_tensor(output, mine(2 * size, 2) + 1, op=op)
    print(output)
dist._reduce_scatter_base(output, mine(2 * size, 2))
print(output)
output = torch.zeros(rank + 1)
dist.reduce_scatter(output, [mine(to + 1) for to in range(size)])
print(output)
"""

ALL_TO_ALL = """
outputs = [torch.zeros(2) for _ in range(size)]
print(dist.all_to_all(outputs, [mine(2) + 100 * to for to in range(size)]), outputs)
outputs = list(torch.zeros(size, 2, dtype=torch.complex64))
dist.all_to_all(outputs, list(mine(size, 2, dtype=torch.complex64)))
print(outputs)
output = torch.zeros(2 * size, 3)
print(dist.all_to_all_single(output, mine(2 * size, 3)), output)
output = torch.zeros(size)
dist.all_to_all_single(output, mine(size), [], [])
print(output)
sent = [to + rank for to in range(size)]
output = torch.zeros(sum(rank + source for source in range(size)), 2)
dist.all_to_all_single(output, mine(sum(sent), 2), [rank + source for source in range(size)], sent)
print(output)
output = torch.zeros(size, dtype=torch.complex64)
dist.all_to_all_single(output, mine(size, dtype=torch.complex64) * 1j)
print(output)
output = torch.zeros(size, 2)
dist.all_to_all_single(output.view(-1), mine(size * 2))
print(output)
"""

WORKS = """
def waited(work):
    told = work.wait(), work.is_completed(), work.is_success(), work.result(), work.get_future().value()
    print(isinstance(work, dist.Work), *told, work.exception())
waited(dist.all_reduce(mine(2), async_op=True))
waited(dist.broadcast(mine(2), 0, async_op=True))
waited(dist.all_gather([torch.zeros(2) for _ in range(size)], mine(2), async_op=True))
waited(dist.all_gather_single(torch.zeros(2 * size), mine(2), async_op=True))
waited(dist.gather(mine(2), [torch.zeros(2) for _ in range(size)] if rank == 0 else None, async_op=True))
waited(dist.scatter(torch.zeros(2), [mine(2)] * size if rank == 0 else None, async_op=True))
waited(dist.all_to_all([torch.zeros(2) for _ in range(size)], [mine(2)] * size, async_op=True))
waited(dist.all_to_all_single(torch.zeros(size), mine(size), async_op=True))
waited(dist.barrier(async_op=True))
output = torch.zeros(2)
print(dist.reduce_scatter(output, [mine(2)] * size, async_op=True).wait(), output)
print(dist.reduce_scatter_single(output, mine(2 * size), async_op=True).wait(), output)
tensor = mine(2)
work = dist.reduce(tensor, 0, async_op=True)
print(work.wait(datetime.timedelta(seconds=20)), tensor if rank == 0 else None)
doubled = dist.all_reduce(mine(2), async_op=True).get_future().then(lambda future: future.value()[0] * 2)
print(doubled.wait())
works = [dist.all_reduce(torch.ones(2) * (place + rank), async_op=True) for place in range(5)]
print([work.wait() for work in reversed(works)], [work.result() for work in works])
tensors = [mine(2), mine(3)]
future = dist.all_reduce_coalesced(tensors, async_op=True)
print(future.wait(), tensors)
dist.all_reduce_coalesced(tensors)
dist.all_reduce_coalesced(tensors[0], dist.ReduceOp.MAX)
print(tensors)
lists = [[torch.zeros(2), torch.zeros(1, 3)] for _ in range(size)]
print(dist.all_gather_coalesced(lists, [mine(2), mine(1, 3)]), lists)
print(dist.all_gather_coalesced(lists, [mine(2), mine(1, 3)], async_op=True).wait())
"""

MESSAGES = """
if rank == 0:
    for to in range(1, size):
        works = [dist.isend(mine(2) + to, to), dist.isend(mine(3) + to, dst=to, tag=5)]
        print(dist.send(mine(1) + to, group_dst=to, tag=4), [work.wait() for work in works])
        dist.send(mine(2, dtype=torch.complex64) * 1j, to)
else:
    tensor, tagged, other = torch.zeros(2), torch.zeros(3), torch.zeros(1)
    print(dist.recv(other, 0, tag=4), dist.recv(tensor, 0), dist.recv(tagged, src=0, tag=5), tensor, tagged, other)
    tensor = torch.zeros(2, dtype=torch.complex64)
    print(dist.recv(tensor, group_src=0), tensor)
right, left = (rank + 1) % size, (rank - 1) % size
tensor = torch.zeros(4)
works = [dist.isend(mine(4), right), dist.irecv(tensor, left)]
print([work.wait() for work in works], works[1].source_rank(), tensor)
received = [torch.zeros(2), torch.zeros(2)]
ops = [dist.P2POp(dist.isend, mine(2), right), dist.P2POp(dist.irecv, received[0], left),
       dist.P2POp(dist.isend, mine(2) * 2, group_peer=right, tag=1),
       dist.P2POp(dist.irecv, received[1], left, tag=1)]
print([(op.peer, op.group_peer, op.tag, op.op.__name__) for op in ops])
print([work.wait() for work in dist.batch_isend_irecv(ops)], received)
if rank == 0:
    found = []
    for _ in range(size - 1):
        tensor = torch.zeros(1)
        found.append((dist.recv(tensor), tensor.item()))
    print(sorted(found))
else:
    dist.send(torch.tensor([float(rank)]), 0)
if rank == 0:
    print(dist.send_object_list([1, {"a": [torch.ones(2)]}, None], 1))
    dist.send_object_list(["batch"], dst=1, use_batch=True)
elif rank == 1:
    objects, more = [None, None, None], [None]
    print(dist.recv_object_list(objects, 0), objects, dist.recv_object_list(more, group_src=0, use_batch=True), more)
"""

OBJECTS = """
objects = [{"rank": rank, "values": [1, 2.5, "x", None, (True, b"y")]}, torch.arange(rank + 1),
           float("inf"), "x" * rank]
for each in objects:
    gathered = [None] * size
    print(dist.all_gather_object(gathered, each), gathered)
    listed = [None] * size if rank == size - 1 else None
    print(dist.gather_object(each, listed, dst=size - 1), listed)
gathered = [None] * (size + 1)
dist.all_gather_object(gathered, rank)
print(gathered)
listed = [None] * size if rank == 0 else None
dist.gather_object(rank, object_gather_list=listed)
print(listed)
for root in range(size):
    shared = [rank, {"root": rank}, None, [torch.ones(1) * rank]]
    print(dist.broadcast_object_list(shared, src=root), shared)
    output = [None, "kept"]
    print(dist.scatter_object_list(output, [{"to": to, "from": rank} for to in range(size)], src=root), output)
shared = [rank]
dist.broadcast_object_list(shared, device=torch.device("cpu"))
print(shared)
"""

SUBGROUPS = """
pairs = [dist.new_group([0, 2]), dist.new_group([1, 3])]
group, members = pairs[rank % 2], [rank % 2, rank % 2 + 2]
place = dist.get_rank(group)
tensor = mine(2)
dist.all_reduce(tensor, group=group)
print(place, tensor)
for root in members:
    tensor = mine(2)
    dist.broadcast(tensor, root, group=group)
    print(tensor)
    dist.broadcast(tensor, group_src=place * 0, group=group)
    listed = [torch.zeros(2), torch.zeros(2)] if rank == root else None
    dist.gather(mine(2), listed, dst=root, group=group)
    print(listed)
    tensor = torch.zeros(2)
    dist.scatter(tensor, [mine(2), mine(2) * 2] if rank == root else None, src=root, group=group)
    print(tensor)
    tensor = mine(2)
    dist.reduce(tensor, root, group=group)
    print(tensor if rank == root else None)
    shared, output, gathered = [rank], [None], [None, None]
    dist.broadcast_object_list(shared, src=root, group=group)
    dist.scatter_object_list(output, [rank, -rank], src=root, group=group)
    dist.all_gather_object(gathered, rank, group=group)
    listed = [None, None] if rank == root else None
    dist.gather_object(rank, listed, dst=root, group=group)
    print(shared, output, gathered, listed)
outputs = [torch.zeros(2), torch.zeros(2)]
dist.all_gather(outputs, mine(2), group=group)
print(outputs)
output = torch.zeros(1)
dist.reduce_scatter(output, [mine(1), mine(1) * 2], group=group)
print(output)
output = torch.zeros(2)
dist.all_to_all_single(output, mine(2), group=group)
print(output)
other = members[1 - place]
if place == 0:
    dist.send(mine(2), other, group=group)
    dist.send(mine(2), group_dst=1, group=group)
    dist.send_object_list([rank], other, group=group)
else:
    tensor, objects = torch.zeros(2), [None]
    print(dist.recv(tensor, other, group=group), dist.recv(tensor, group=group), tensor)
    print(dist.recv_object_list(objects, other, group=group), objects)
print(told(lambda: dist.broadcast(mine(1), (rank + 1) % 4, group=group), ValueError))
print(told(lambda: dist.reduce(mine(1), (rank + 1) % 4, group=group), ValueError))
print(told(lambda: dist.gather(mine(1), None, (rank + 1) % 4, group=group), ValueError))
print(told(lambda: dist.send(mine(1), (rank + 1) % 4, group=group), ValueError))
print(told(lambda: dist.broadcast_object_list([1], (rank + 1) % 4, group=group), ValueError))
received = torch.zeros(2)
ops = [dist.P2POp(dist.irecv, received, other, group=group),
       dist.P2POp(dist.isend, mine(2), group=group, group_peer=1 - place)]
print([(op.peer, op.group_peer) for op in ops], [work.wait() for work in dist.batch_isend_irecv(ops)], received)
apart = [ops[0], dist.P2POp(dist.isend, mine(2), (rank + 1) % 4)]
print(told(lambda: dist.batch_isend_irecv(apart), ValueError))
with dist._coalescing_manager(group):
    tensors = [mine(1), mine(2)]
    outside = torch.ones(1)
    dist.all_reduce(outside)
    for each in tensors:
        dist.all_reduce(each, group=group)
print(tensors, outside)
print(dist.barrier(group), dist.monitored_barrier(group))
foreign = pairs[1 - rank % 2]
tensor, kept = mine(2), [rank]
print(dist.all_reduce(tensor, group=foreign), dist.reduce_scatter(tensor, [tensor, tensor], group=foreign), tensor)
print(dist.all_gather([tensor], tensor, group=foreign), dist.barrier(foreign), dist.monitored_barrier(foreign))
print(dist.all_gather_object(kept, rank, group=foreign), dist.all_to_all_single(tensor, tensor, group=foreign), kept)
"""

ERRORS = """
ERRORS = TypeError, ValueError, IndexError, NotImplementedError, RuntimeError
zeros, R = torch.zeros, dist.ReduceOp
cases = [
    lambda: dist.all_reduce([zeros(1)]),
    lambda: dist.all_reduce(None),
    lambda: dist.all_reduce(zeros(1), "sum"),
    lambda: dist.all_reduce(zeros(1), None),
    lambda: dist.all_reduce(zeros(1), R.BAND),
    lambda: dist.all_reduce(zeros(1, dtype=torch.int64), R.AVG),
    lambda: dist.all_reduce(zeros(1, dtype=torch.complex64), R.MAX),
    lambda: dist.all_reduce(zeros(1, dtype=torch.complex64), R.PRODUCT),
    lambda: dist.all_reduce(zeros(1), R.PREMUL_SUM),
    lambda: dist.all_reduce_coalesced([zeros(1), zeros(1).double()]),
    lambda: dist.all_reduce_coalesced((zeros(1),)),
    lambda: dist.all_reduce_coalesced([]),
    lambda: dist.broadcast(zeros(1)),
    lambda: dist.broadcast(zeros(1), 0, group_src=0),
    lambda: dist.broadcast(zeros(1), 7),
    lambda: dist.broadcast(zeros(1), -1),
    lambda: dist.broadcast(zeros(1), "0"),
    lambda: dist.broadcast([zeros(1)], 0),
    lambda: dist.reduce(zeros(1)),
    lambda: dist.reduce(zeros(1), 7),
    lambda: dist.reduce(zeros(1), 0, group_dst=0),
    lambda: dist.all_gather([zeros(1)] * (size + 1), zeros(1)),
    lambda: dist.all_gather([], zeros(1)),
    lambda: dist.all_gather((zeros(1),) * size, zeros(1)),
    lambda: dist.all_gather([zeros(1).double()] * size, zeros(1)),
    lambda: dist.all_gather([zeros(2) for _ in range(size)], zeros(1)),
    lambda: dist.all_gather([zeros(4) for _ in range(size)], zeros(2, 2)),
    lambda: dist.all_gather([1] * size, zeros(1)),
    lambda: dist.all_gather([zeros(1).expand(2) for _ in range(size)], zeros(2)),
    lambda: dist.all_gather_single(zeros(2 * size + 1), zeros(2)),
    lambda: dist.all_gather_single(zeros(2 * size).double(), zeros(2)),
    lambda: dist.all_gather_single([zeros(2 * size)], zeros(2)),
    lambda: dist.all_gather_coalesced([[zeros(1)]] * (size + 1), [zeros(1)]),
    lambda: dist.all_gather_coalesced([[zeros(1)]] * size, [zeros(1), zeros(2)]),
    lambda: dist.all_gather_coalesced([[zeros(2)]] * size, [zeros(1)]),
    lambda: dist.all_gather_coalesced(([zeros(1)],) * size, [zeros(1)]),
    lambda: dist.gather(zeros(1)) if rank == 0 else None,
    lambda: dist.gather(zeros(1), [zeros(1)]) if rank else None,
    lambda: dist.gather(zeros(1), [zeros(1)] * (size + 1)) if rank == 0 else None,
    lambda: dist.gather(zeros(1), [zeros(2)] * size) if rank == 0 else None,
    lambda: dist.gather(zeros(1), [zeros(1).double()] * size),
    lambda: dist.gather(zeros(1), (zeros(1),) * size),
    lambda: dist.gather(zeros(1), dst=7),
    lambda: dist.gather([zeros(1)]),
    lambda: dist.scatter(zeros(1)) if rank == 0 else None,
    lambda: dist.scatter(zeros(1), [zeros(1)]) if rank else None,
    lambda: dist.scatter(zeros(1), [zeros(1)] * (size + 1)) if rank == 0 else None,
    lambda: dist.scatter(zeros(1), [zeros(2)] * size) if rank == 0 else None,
    lambda: dist.scatter(zeros(1), src=7),
    lambda: dist.scatter(zeros(1), src=0, group_src=0),
    lambda: dist.reduce_scatter(zeros(1), [zeros(1)] * (size + 1)),
    lambda: dist.reduce_scatter(zeros(1), [zeros(2)] * size),
    lambda: dist.reduce_scatter(zeros(1).double(), [zeros(1)] * size),
    lambda: dist.reduce_scatter(zeros(1), (zeros(1),) * size),
    lambda: dist.reduce_scatter_single(zeros(2), zeros(2 * size + 1)),
    lambda: dist.reduce_scatter_single(zeros(2), zeros(2 * size).double()),
    lambda: dist.all_to_all([zeros(1)] * (size + 1), [zeros(1)] * size),
    lambda: dist.all_to_all([zeros(1)] * size, [zeros(1)] * (size + 1)),
    lambda: dist.all_to_all([zeros(1)] * size, [zeros(1).double()] * size),
    lambda: dist.all_to_all((zeros(1),) * size, [zeros(1)] * size),
    lambda: dist.all_to_all_single(zeros(size), zeros(size), [1] * (size + 1), [1] * size),
    lambda: dist.all_to_all_single(zeros(size), zeros(size), [2] * size, [1] * size),
    lambda: dist.all_to_all_single(zeros(size), zeros(size), [1] * size, [2] * size),
    lambda: dist.all_to_all_single(zeros(size).double(), zeros(size)),
    lambda: dist.all_to_all_single([zeros(size)], zeros(size)),
    lambda: dist.send(zeros(1), rank),
    lambda: dist.send(zeros(1)),
    lambda: dist.send([zeros(1)], (rank + 1) % size),
    lambda: dist.send(zeros(4)[::2], (rank + 1) % size),
    lambda: dist.recv(zeros(4)[::2], (rank + 1) % size),
    lambda: dist.recv(zeros(1), 0, group_src=0),
    lambda: dist.recv(None, 0),
    lambda: dist.P2POp(dist.send, zeros(1), 0),
    lambda: dist.P2POp(dist.isend, [zeros(1)], 0),
    lambda: dist.P2POp(dist.isend, zeros(1)),
    lambda: dist.batch_isend_irecv([1]),
    lambda: dist.batch_isend_irecv([]),
    lambda: dist.recv(zeros(1), rank),
    lambda: dist.batch_isend_irecv((1,)),
    lambda: dist.gather_object(1) if rank == 0 else None,
    lambda: dist.gather_object(1, [None]) if rank else None,
    lambda: dist.scatter_object_list([], [1] * size),
    lambda: dist.scatter_object_list((None,), [1] * size),
    lambda: dist.scatter_object_list([None]) if rank == 0 else None,
    lambda: dist.send_object_list([1], rank),
    lambda: dist.send_object_list([1]),
    lambda: dist.recv_object_list([1], rank),
    lambda: dist.recv_object_list([1]),
    lambda: dist.broadcast_object_list([1], 0, group_src=0),
    lambda: dist.monitored_barrier(timeout=1),
    lambda: dist.monitored_barrier(timeout="1"),
    lambda: dist._make_nccl_premul_sum("a"),
    lambda: dist._make_nccl_premul_sum(2),
]
for place, case in enumerate(cases):
    print(place, told(case, *ERRORS))
tensor = torch.ones(1)
dist.all_reduce(tensor)
print(tensor)
"""

COALESCED = """
tensors = [mine(2), mine(3, 2), mine(1)]
with dist._coalescing_manager() as manager:
    print([dist.all_reduce(each) for each in tensors])
print(tensors, manager.wait())
with dist._coalescing_manager(async_ops=True) as manager:
    for each in tensors:
        dist.all_reduce(each, dist.ReduceOp.MAX)
manager.wait()
print(tensors)
def mixed():
    with dist._coalescing_manager():
        dist.all_reduce(mine(2))
        dist.all_gather_single(torch.zeros(2 * size), mine(2))
print(told(mixed, RuntimeError))
with dist._coalescing_manager():
    work = dist.all_reduce(mine(1), async_op=True)
    print(told(lambda: work.wait(), ValueError))
with dist._coalescing_manager():
    pass
tensor = torch.ones(1)
dist.all_reduce(tensor)
print(tensor)
"""


DIFFERENTIABLE = """
import torch.distributed.nn.functional as nnf
import torch.distributed.nn
def shown(value, *leaves):
    weights = (torch.arange(each.numel()).reshape(each.shape) + 1.0 + rank for each in value)
    sum((each * weight).sum() for each, weight in zip(value, weights)).backward()
    print([each.tolist() for each in value], [leaf.grad.tolist() for leaf in leaves])
def leaf(*shape):
    return mine(*shape).requires_grad_()
for op in (dist.ReduceOp.SUM, dist.ReduceOp.MAX):
    tensor = leaf(2)
    shown([nnf.all_reduce(tensor, op)], tensor)
    print(nnf.all_reduce(tensor.detach()).requires_grad)
for root in range(size):
    tensor = leaf(2)
    shown([nnf.broadcast(tensor, root)], tensor)
    tensor = leaf(2)
    gathered = nnf.gather(tensor, dst=root)
    shown(gathered, tensor)
    parts = [leaf(2) for _ in range(size)]
    shown([nnf.scatter(parts, src=root)], *parts)
    tensor = leaf(2)
    reduced = nnf.reduce(tensor, root)
    reduced.sum().backward()
    print(reduced.tolist() if rank == root else None, tensor.grad)
tensor = leaf(2, 2)
shown(torch.distributed.nn.all_gather(tensor), tensor)
parts = [leaf(2) for _ in range(size)]
shown([nnf.reduce_scatter(torch.zeros(2), parts)], *parts)
parts = [leaf(2) for _ in range(size)]
shown(nnf.all_to_all([torch.zeros(2) for _ in range(size)], parts), *parts)
sent = [to + rank for to in range(size)]
tensor, output = leaf(sum(sent), 2), torch.zeros(sum(rank + source for source in range(size)), 2)
shown([nnf.all_to_all_single(output, tensor, [rank + source for source in range(size)], sent)], tensor)
tensor = leaf(2)
(twice,) = torch.autograd.grad((nnf.all_reduce(tensor) ** 2).sum(), tensor, create_graph=True)
twice.sum().backward()
print(twice.tolist(), tensor.grad)
class Reduced(torch.autograd.Function):  # as programs that part layers between ranks write it
    @staticmethod
    def forward(ctx, x):
        dist.all_reduce(x)
        return x
    @staticmethod
    def backward(ctx, grad):
        return grad
class Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
    @staticmethod
    def backward(ctx, grad):
        dist.all_reduce(grad)
        return grad
rows, columns, inputs = leaf(3, 4), leaf(4, 2), leaf(2, 3)
result = Reduced.apply(torch.relu(Copied.apply(inputs) @ rows) @ columns)
result.sum().backward()
print(result.tolist(), inputs.grad.tolist(), rows.grad.tolist(), columns.grad.tolist())
tensor = leaf(2)
doubled = tensor * 2
dist.all_reduce(doubled)
(doubled * doubled).sum().backward()
print(doubled.tolist(), tensor.grad)
"""

COLLECTIVES = REDUCTIONS + FROM_AND_TO_ONE + BLOCKS + ALL_TO_ALL + WORKS + OBJECTS + COALESCED


@pytest.mark.parametrize("size", [1, 2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_collectives_give_what_gloo_gives(size):
    run(COLLECTIVES, size)


def test_gradients_flow_back_between_ranks_as_in_pytorch():
    run(DIFFERENTIABLE, 3)


@pytest.mark.parametrize("size", [2, 4])
def test_messages_arrive_as_with_gloo(size):
    run(MESSAGES, size)


def test_groups_take_ranks_of_the_job_and_others_leave_them_alone():
    run(SUBGROUPS, 4)


def test_wrong_calls_raise_what_gloo_raises_and_the_group_stays_usable():
    run(ERRORS, 3)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(COLLECTIVES + DIFFERENTIABLE, id="collectives", marks=pytest.mark.slow),
        pytest.param(MESSAGES + SUBGROUPS, id="groups", marks=pytest.mark.slow),
    ],
)
def test_two_machines_give_what_one_gives(script):
    pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    apart = 'import os\nos.environ["DISTRT_MACHINE"] = str(int(os.environ["RANK"]) // 2)\n'
    together = run_distrt(BEGIN + script + END, 4)
    assert run_distrt(apart + BEGIN + script + END, 4) == together
