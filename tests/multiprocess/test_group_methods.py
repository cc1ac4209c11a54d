"""The methods of process groups beside PyTorch's, and groups that go on without some of their ranks."""

import textwrap

from tests.multiprocess.side_by_side import run_distrt, side_by_side

BEGIN = """
import torch
import torch.distributed as dist
from datetime import timedelta
"""


def script(text: str) -> str:
    return BEGIN + textwrap.dedent(text)


def test_the_methods_of_a_group_are_those_of_pytorch():
    side_by_side(
        script("""
        dist.init_process_group("gloo")
        pg = dist.new_group([0, 2, 1, 3])
        rank, size = pg.rank(), pg.size()
        mine = lambda *shape: torch.full(shape or (2,), float(rank + 1))

        def show(name, call, *tensors):
            work = call()
            assert isinstance(work, dist.Work), work
            assert work.wait()
            print(name, [each.tolist() for each in tensors])

        def options(kind, **fields):
            made = kind()
            for name, value in fields.items():
                setattr(made, name, value)
            return made

        MAX = dist.ReduceOp.MAX
        a = mine()
        show("allreduce", lambda: pg.allreduce([a]), a)
        a = mine()
        show("allreduce opts", lambda: pg.allreduce([a], options(dist.AllreduceOptions, reduceOp=MAX)), a)
        a = mine()
        show("allreduce op", lambda: pg.allreduce(a, MAX, timedelta(seconds=9)), a)
        a, b = mine(), mine(3)
        show("coalesced", lambda: pg.allreduce_coalesced([a, b]), a, b)
        a = mine()
        show("broadcast", lambda: pg.broadcast([a], options(dist.BroadcastOptions, rootRank=2)), a)
        a = mine()
        show("broadcast root", lambda: pg.broadcast(a, root=1), a)
        a = mine()
        work = pg.reduce([a], options(dist.ReduceOptions, rootRank=3, reduceOp=MAX))
        work.wait()
        print("reduce", a.tolist() if rank == 3 else None)
        a = mine()
        pg.reduce(a, 1).wait()
        print("reduce root", a.tolist() if rank == 1 else None)
        outputs = [torch.zeros(2) for _ in range(size)]
        show("allgather", lambda: pg.allgather([outputs], [mine()]), *outputs)
        show("allgather plain", lambda: pg.allgather(outputs, mine() + 1), *outputs)
        whole = torch.zeros(2 * size)
        show("base", lambda: pg._allgather_base(whole, mine()), whole)
        rows = [[torch.zeros(2), torch.zeros(1)] for _ in range(size)]
        show("allgather_coalesced", lambda: pg.allgather_coalesced(rows, [mine(), mine(1)]), *sum(rows, []))
        listed = [outputs] if rank == 1 else []
        show("gather", lambda: pg.gather(listed, [mine()], options(dist.GatherOptions, rootRank=1)), *outputs)
        show("gather root", lambda: pg.gather(outputs if rank == 2 else [], mine(), 2), *outputs)
        parts = [[torch.full((2,), 10.0 * rank + to) for to in range(size)]] if rank == 1 else []
        show("scatter", lambda: pg.scatter([a], parts, options(dist.ScatterOptions, rootRank=1)), a)
        show("scatter root", lambda: pg.scatter(a, parts[0] if rank == 1 else [], 1), a)
        show("reduce_scatter", lambda: pg.reduce_scatter([a], [[mine() * to for to in range(size)]]), a)
        show("reduce_scatter op", lambda: pg.reduce_scatter(a, [mine() * to for to in range(size)], MAX), a)
        show("rs base", lambda: pg._reduce_scatter_base(a, mine(2 * size)), a)
        inputs = [torch.tensor([10.0 * rank + to]) for to in range(size)]
        outputs = [torch.zeros(1) for _ in range(size)]
        show("alltoall", lambda: pg.alltoall(outputs, inputs), *outputs)
        whole = torch.zeros(size)
        show("alltoall_base", lambda: pg.alltoall_base(whole, torch.cat(inputs), [], []), whole)
        if rank == 0:
            pg.send([mine()], 1, 3).wait()
            pg.send([mine()], 2, 4).wait()
        elif rank == 1:
            show("recv", lambda: pg.recv([a], 0, 3), a)
        elif rank == 2:
            show("recv any", lambda: pg.recv_anysource([a], 4), a)
        pg.barrier().wait()
        pg.barrier(dist.BarrierOptions()).wait()
        print(pg.name(), pg.group_desc, pg._get_backend_name(), pg._get_backend(torch.device("cpu")).name())
        for call in (
            lambda: pg.allreduce(3),
            lambda: pg.allreduce([]),
            lambda: pg.broadcast([a], root=1),
            lambda: pg.broadcast(a, 7),
            lambda: pg.send([a], 1),
            lambda: setattr(dist.ReduceOptions(), "reduceOp", 3),
            lambda: setattr(dist.ReduceOptions(), "root", 3),
            lambda: dist.BarrierOptions(1),
        ):
            print(told(call, TypeError, NotImplementedError, AttributeError, RuntimeError))
        dist.destroy_process_group()
        """)
    )


def test_a_group_goes_on_without_a_rank_that_died():
    outputs = run_distrt(
        script("""
        import os
        dist.init_process_group("gloo", timeout=timedelta(seconds=30))
        rank = dist.get_rank()
        side = dist.new_group([0, 1])
        dist.barrier()
        if rank == 1:
            os._exit(0)  # nobody is told
        tensor = torch.tensor([float(rank)])
        print(told(lambda: dist.all_reduce(tensor), dist.DistError))
        made = dist.shrink_group([1])
        assert made is dist.group.WORLD and isinstance(made, dist.ProcessGroup)
        tensor = torch.tensor([float(rank)])
        dist.all_reduce(tensor)
        print(dist.get_rank(), dist.get_world_size(), tensor.item(), made.group_desc)
        again = dist.new_group([0, 1])
        dist.all_reduce(tensor, group=again)
        objects = [None] * 2
        dist.all_gather_object(objects, rank, group=again)
        print(tensor.item(), objects, dist.get_process_group_ranks(again))
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=3,
        quiet=False,
    )
    assert outputs == [
        "DistributedError\n0 2 2.0 default:shrunken\n4.0 [0, 2] [0, 1]\n",
        "",
        "DistributedError\n1 2 2.0 default:shrunken\n4.0 [0, 2] [0, 1]\n",
    ]


def test_a_group_of_some_ranks_shrinks_and_the_default_one_stays():
    outputs = run_distrt(
        script("""
        dist.init_process_group("gloo", timeout=timedelta(seconds=30))
        rank = dist.get_rank()
        group = dist.new_group([1, 2, 3])
        if rank in (1, 3):
            made = dist.shrink_group([1], group, dist.SHRINK_ABORT)
            tensor = torch.tensor([rank])
            dist.all_reduce(tensor, group=made)
            print(made.rank(), dist.get_process_group_ranks(made), tensor.item())
            print(told(lambda: dist.get_rank(group), ValueError), group is not made)
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=4,
    )
    assert outputs == ["", "0 [1, 3] 4\nValueError True\n", "", "1 [1, 3] 4\nValueError True\n"]


def test_complaints_of_shrinking_are_those_of_pytorch():
    side_by_side(
        script("""
        dist.init_process_group("gloo")
        for call in (
            lambda: dist.shrink_group((1,)),
            lambda: dist.shrink_group([]),
            lambda: dist.shrink_group([1], shrink_flags=2),
            lambda: dist.shrink_group([1], group=dist.new_group([dist.get_rank()], use_local_synchronization=True)),
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=2,
    )
    outputs = run_distrt(  # PyTorch's gloo refuses before it looks at the ranks
        script("""
        dist.init_process_group("gloo")
        for ranks in (["1"], [2], [-1], [1, 1], [0, 1], [dist.get_rank()]):
            print(told(lambda: dist.shrink_group(ranks), TypeError, ValueError, RuntimeError))
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=2,
    )
    assert outputs == ["TypeError\nValueError\nValueError\nValueError\nValueError\nRuntimeError\n"] * 2


def test_groups_over_a_store_and_of_a_registered_backend_are_those_of_pytorch(tmp_path):
    side_by_side(
        script(f"""
        import os
        path = os.path.join({str(tmp_path)!r}, torch.__name__)
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        tensor = torch.tensor([float(rank + 1)])
        asked = []

        def create(store, rank, size, timeout):
            asked.append((rank, size, timeout))
            store.set(f"here{{rank}}", "yes")
            store.wait([f"here{{each}}" for each in range(size)])
            return dist.ProcessGroupGloo(store, rank, size, timeout)

        dist.Backend.register_backend("mine", create, devices=["cpu"])
        dist.init_process_group("mine", timeout=timedelta(seconds=30))
        dist.all_reduce(tensor)
        part = dist.new_group([1, 2])
        if rank:
            dist.broadcast(tensor * rank, 2, group=part)
            print(dist.get_process_group_ranks(part), dist.get_backend(part))
        print(tensor, asked, dist.get_backend(), dist.get_backend_config(), dist.Backend.MINE)
        # Only now, since the sockets of PyTorch's groups could take the port that the job meets at.
        pg = dist.ProcessGroupGloo(dist.FileStore(path, size), rank, size, timedelta(seconds=30))
        pg.allreduce(tensor).wait()
        print(tensor, pg.rank(), pg.size(), pg.name(), dist.is_initialized())
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=3,
    )
