"""The life of process groups, script beside script with PyTorch, and what distrt does on its own."""

import textwrap

import pytest

from tests.multiprocess.side_by_side import run_distrt, side_by_side

BEGIN = """
import torch
import torch.distributed as dist
from datetime import timedelta
"""


def script(text: str) -> str:
    return BEGIN + textwrap.dedent(text)


def test_groups_of_some_ranks_are_those_of_pytorch():
    side_by_side(
        script("""
        import warnings
        dist.init_process_group("gloo", timeout=timedelta(seconds=40))
        rank, world = dist.get_rank(), dist.group.WORLD
        other = dist.GroupMember.NON_GROUP_MEMBER
        print(dist.get_backend(), dist.get_backend_config(), world.name(), world.group_name, world.group_desc)
        print(world.rank(), world.size(), world.bound_device_id, dist.get_process_group_ranks(None))
        print(dist.GroupMember.WORLD is world, dist.distributed_c10d._get_default_group() is world)

        def show(group):
            mine = group is not other
            print(mine, dist.get_rank(group), dist.get_world_size(group), dist.get_pg_count())
            if mine:
                print(group.rank(), group.size(), group.group_name, group.group_desc, dist.get_backend(group))
                ranks = dist.get_process_group_ranks(group)
                print(ranks, [dist.get_group_rank(group, each) for each in ranks],
                      [dist.get_global_rank(group, each) for each in range(len(ranks))])
                tensor = torch.ones(2) * (rank + 1)
                dist.all_reduce(tensor, group=group)
                print(tensor.tolist())

        # First of all: PyTorch names such groups by how many this rank is in, which must be alike on its members.
        if rank in (1, 2):
            local = dist.new_group([1, 2], use_local_synchronization=True)
            tensor = torch.tensor([rank])
            dist.all_reduce(tensor, group=local)
            print(tensor.tolist(), dist.get_rank(local), local.group_desc)
            again = dist.new_group([2, 1], use_local_synchronization=True)
            print(again.group_name != local.group_name, dist.get_process_group_ranks(again))
        odd = dist.new_group([3, 1])
        show(odd)
        show(dist.new_group([3, 1], group_desc="again"))
        show(dist.new_group([2, 0, 3], sort_ranks=False))
        show(dist.new_group())
        show(dist.new_group([2]))
        show(dist.new_group(ranks=range(3), backend="gloo", timeout=timedelta(seconds=30)))
        mine, groups = dist.new_subgroups(2)
        show(mine)
        print([group is other for group in groups], groups.index(mine))
        mine, groups = dist.new_subgroups_by_enumeration([[0, 3], [2]], group_desc="listed")
        print(mine is None, len(groups), dist.get_pg_count())
        if mine is not None:
            show(mine)
        mine, groups = dist.new_subgroups(1, group=None)
        show(mine)
        print(dist.new_group([0], use_local_synchronization=True) is None, dist.get_pg_count())

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tensor = torch.ones(1)
            print(dist.all_reduce(tensor, group=other), dist.barrier(other), tensor.item())
        print([str(each.message) for each in caught])

        dist.barrier()
        print(dist.destroy_process_group(odd))
        if odd is not other:
            for ask in (dist.get_rank, dist.get_backend, dist.destroy_process_group):
                print(odd.size(), told(lambda: ask(odd), ValueError))
        print(dist.is_initialized())
        dist.barrier()
        dist.destroy_process_group()
        print(dist.is_initialized(), dist.group.WORLD, dist.get_pg_count())
        """)
    )


def test_complaints_are_those_of_pytorch():
    side_by_side(
        script("""
        import os
        import warnings
        warnings.simplefilter("ignore")  # about backends that are not known
        V, A, R, T = ValueError, AssertionError, RuntimeError, TypeError
        cpu = torch.device("cpu")

        def complain(*calls):
            print([told(call, V, A, T, R) for call in calls])

        other = dist.GroupMember.NON_GROUP_MEMBER
        begin = dist.init_process_group
        begin(timeout=timedelta(seconds=40))
        print(dist.get_backend(), dist.get_backend_config(), dist.group.WORLD.name(), dist.group.WORLD.group_desc)
        complain(lambda: begin("gloo"), lambda: dist.new_group([0, 0]), lambda: dist.new_group([2]),
                 lambda: dist.new_group([0, 1, 2]), lambda: dist.new_group([]), lambda: dist.new_group(timeout=5),
                 lambda: dist.new_group(backend="bogus"), lambda: dist.new_group(device_id=cpu),
                 lambda: dist.new_group([-1]))
        group = dist.new_group([1], timeout=timedelta(seconds=20))
        complain(dist.new_subgroups, lambda: dist.new_subgroups(0), lambda: dist.new_subgroups(3),
                 lambda: dist.new_subgroups_by_enumeration([]), lambda: dist.new_subgroups_by_enumeration(None),
                 dist.split_group, lambda: dist.split_group(split_ranks=[]))
        world = dist.group.WORLD
        complain(lambda: dist.get_group_rank(world, 7), lambda: dist.get_global_rank(world, 7),
                 lambda: dist.get_group_rank(other, 0), lambda: dist.get_group_rank(None, 0),
                 lambda: dist.get_group_rank("x", 0), lambda: dist.get_backend(other), lambda: dist.get_rank("x"),
                 lambda: dist.get_backend("x"), lambda: dist.destroy_process_group("x"),
                 lambda: dist.destroy_process_group(other))
        if dist.get_rank() == 1:
            complain(lambda: dist.get_group_rank(group, 0), lambda: dist.get_global_rank(group, 1),
                     lambda: dist.get_global_rank(group, -1), lambda: dist.get_group_rank(group, 1))
        del os.environ["LOCAL_RANK"]
        complain(dist.get_node_local_rank, lambda: dist.get_node_local_rank(3))
        os.environ["LOCAL_RANK"] = "5"
        complain(lambda: dist.get_node_local_rank(3))
        dist.barrier()
        dist.destroy_process_group()
        complain(dist.destroy_process_group)
        """),
        size=2,
    )


def test_complaints_of_joining_are_those_of_pytorch():
    side_by_side(
        script("""
        import os
        import socket
        import warnings
        warnings.simplefilter("ignore")  # about backends that are not known
        cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
        other = dist.GroupMember.NON_GROUP_MEMBER

        def complain(*calls):
            print([told(call, ValueError, AssertionError, TypeError, RuntimeError) for call in calls])

        def begin(*arguments, **named):
            with socket.socket() as free:  # PyTorch leaves a store behind
                free.bind(("127.0.0.1", 0))
                os.environ["MASTER_PORT"] = str(free.getsockname()[1])
            dist.init_process_group(*arguments, **named)

        complain(dist.get_rank, dist.get_world_size, dist.get_backend, dist.barrier, dist.new_group,
                 dist.destroy_process_group, dist.get_pg_count, lambda: dist.get_process_group_ranks(None))
        complain(lambda: dist.get_rank(other), lambda: dist.get_world_size(other))
        complain(lambda: begin("bogus"), lambda: begin("ucc"), lambda: begin(3), lambda: begin("cpu:gloo:x"),
                 lambda: begin("cpu:gloo,cpu:gloo"), lambda: begin(""), lambda: begin("gloo", timeout=5),
                 lambda: begin("gloo", init_method="bogus"), lambda: begin("gloo", init_method="foo://bar"),
                 lambda: begin("gloo", store=object()), lambda: begin("gloo", store=object(), world_size=2),
                 lambda: begin("gloo", store=object(), world_size=2, rank=0, init_method="env://"),
                 lambda: begin(device_id=cpu), lambda: begin(device_id=cuda), lambda: begin(device_id=0))
        for arguments in ((), ("gloo",), ("GLOO",), ("cpu:gloo",), (dist.Backend.GLOO,), ("cuda:gloo",)):
            complain(lambda: begin(*arguments))
            print(dist.get_backend(), dist.get_backend_config(), dist.group.WORLD.name(), dist.group.WORLD.group_desc)
            complain(lambda: begin("gloo"), dist.destroy_process_group, dist.destroy_process_group)
        """),
        size=1,
    )


def test_names_and_constants_are_those_of_pytorch():
    side_by_side(
        script("""
        import warnings
        from torch.distributed import Backend, distributed_c10d as c10d
        from torch.distributed.constants import default_pg_timeout
        warnings.simplefilter("ignore")
        print(Backend("GLOO"), type(Backend("gloo")).__name__, Backend.NCCL, Backend("Weird"), Backend.UNDEFINED)
        print(told(lambda: Backend(3), ValueError), issubclass(Backend, str), Backend.default_device_backend_map)
        print(*map(dist.BackendConfig, ["gloo", "nccl", "mpi", "undefined", "cpu:gloo,cuda:nccl", "weird"]))
        print(dist.BackendConfig("cpu:gloo,cuda:nccl").get_device_backend_map())
        print([dist.get_default_backend_for_device(each) for each in ("cpu", "cuda:1", torch.device("cuda", 0))])
        print(told(lambda: dist.get_default_backend_for_device("meta"), ValueError))
        print([dist.is_backend_available(each) for each in ("gloo", "GLOO", "nccl", "ucc", "bogus", "cpu:gloo")])
        print(dist.is_available(), dist.is_gloo_available(), dist.is_nccl_available(), dist.is_ucc_available(),
              dist.is_xccl_available(), dist.is_torchelastic_launched())
        print(default_pg_timeout, c10d.default_pg_timeout, dist.constants.default_pg_nccl_timeout)
        print(dist.get_debug_level() == dist.DebugLevel.OFF, list(dist.DebugLevel.__members__))
        print([dist.supports_complex(getattr(dist.ReduceOp, each)) for each in "SUM PRODUCT MIN MAX BAND BOR".split()])
        for name in "DistBackendError DistNetworkError DistStoreError QueueEmptyError".split():
            print(name, issubclass(getattr(dist, name), (dist.DistError, RuntimeError)))
        print(issubclass(dist.QueueEmptyError, dist.DistStoreError))
        """),
        size=1,
    )


@pytest.mark.parametrize("way", ["TCPStore", "PrefixStore", "FileStore", "tcp", "tcp_query", "file"])
def test_ranks_meet_wherever_pytorchs_do(way, tmp_path, monkeypatch):
    monkeypatch.setenv("MEETING", str(tmp_path / "meeting"))
    side_by_side(
        script(f"""
        import os
        way = {way!r}
        rank, size, port = (int(os.environ.pop(name)) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        host = os.environ.pop("MASTER_ADDR")
        # PyTorch's ranks and distrt's have a file each.
        path = os.environ["MEETING"] + torch.__name__
        place = dict(rank=rank, world_size=size)
        if way == "TCPStore":
            place["store"] = dist.TCPStore(host, port, size, rank == 0)
        elif way == "PrefixStore":
            place["store"] = dist.PrefixStore("part", dist.TCPStore(host, port, size, rank == 0))
        elif way == "FileStore":
            place["store"] = dist.FileStore(path, size)
        elif way == "tcp":
            place["init_method"] = f"tcp://{{host}}:{{port}}"
        elif way == "tcp_query":
            place = dict(init_method=f"tcp://{{host}}:{{port}}?rank={{rank}}&world_size={{size}}")
        else:
            place["init_method"] = f"file://{{path}}"
        dist.init_process_group("gloo", timeout=timedelta(seconds=30), **place)
        print(dist.get_rank(), dist.get_world_size(), dist.get_backend())
        group = dist.new_group([2, 1])
        tensor = torch.tensor([rank])
        dist.all_reduce(tensor)
        print(tensor.item(), dist.get_rank(group))
        dist.barrier()
        dist.destroy_process_group()
        """),
        size=3,
    )


@pytest.mark.ci
def test_a_job_can_meet_again_and_again_at_one_address():
    outputs = run_distrt(
        script("""
        for turn in range(8):
            dist.init_process_group("gloo", timeout=timedelta(seconds=30))
            group = dist.new_group([0, 2])
            tensor = torch.tensor([dist.get_rank() + turn])
            dist.all_reduce(tensor)
            print(tensor.item(), dist.get_pg_count(), dist.group.WORLD.group_name)
            dist.destroy_process_group()
        """),
        size=3,
    )
    assert outputs == ["".join(f"{3 + 3 * turn} 2 0\n" for turn in range(8))] * 3


def test_a_program_may_end_without_leaving():
    outputs = run_distrt(
        script("""
        dist.init_process_group("gloo")
        group = dist.new_group([0, 1])
        dist.barrier()
        print("end")
        """),
        size=3,
    )
    assert outputs == ["end\n"] * 3


def test_ranks_can_meet_through_a_store_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", str(tmp_path))
    run_distrt(
        script("""
        import os
        from pathlib import Path

        class Folder:
            "The methods of PyTorch's stores that groups need."
            path = Path(os.environ["STORE"])
            def set(self, key, value):
                place = self.path / key.replace("/", "-")
                place.with_suffix(f".{os.getpid()}").write_bytes(value)
                place.with_suffix(f".{os.getpid()}").rename(place)
            def get(self, key):
                import time
                place = self.path / key.replace("/", "-")
                until = time.monotonic() + 20
                while not place.exists() and time.monotonic() < until:
                    time.sleep(0.005)
                return place.read_bytes()
            def add(self, key, amount):
                import fcntl
                with open(self.path / "lock", "a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    place = self.path / key.replace("/", "-")
                    total = amount + (int(place.read_text()) if place.exists() else 0)
                    place.write_text(str(total))
                    return total

        rank, size = int(os.environ.pop("RANK")), int(os.environ.pop("WORLD_SIZE"))
        for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            os.environ.pop(name)
        for turn in range(2):
            dist.init_process_group("gloo", store=Folder(), rank=rank, world_size=size)
            group = dist.new_group([1, 2])
            tensor = torch.tensor([1.0])
            dist.all_reduce(tensor)
            assert tensor.item() == 3, tensor
            dist.barrier()
            dist.destroy_process_group()
        """),
        size=3,
    )


def test_a_rank_that_leaves_too_early_is_named_and_nobody_hangs():
    outputs = run_distrt(
        script("""
        import time
        dist.init_process_group("gloo", timeout=timedelta(seconds=20))
        begun = time.monotonic()
        if dist.get_rank() == 0:
            dist.destroy_process_group()  # the others count on it
        else:
            print(told(lambda: dist.new_group([0, 1]), dist.DistError) if dist.get_rank() == 1 else "")
        assert time.monotonic() - begun < 10
        """),
        size=2,
    )
    assert outputs == ["", "DistributedError\n"]


def test_a_group_can_be_parted():
    outputs = run_distrt(
        script("""
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        upper = dist.new_group([1, 2, 3])
        if rank > 0:
            part = dist.split_group(upper, [[2, 0], [1]])
            tensor = torch.tensor([rank])
            dist.all_reduce(tensor, group=part)
            print(dist.get_process_group_ranks(part), part.rank(), tensor.item(), part.group_desc)
        print(dist.split_group(split_ranks=[[0, 1]]) is None)
        dist.barrier()
        """),
        size=4,
    )
    assert outputs == [
        "False\n",
        "[1, 3] 0 4 undefined:split:1_3#1\nFalse\n",
        "[2] 0 2 undefined:split:2#1\nTrue\n",
        "[1, 3] 1 4 undefined:split:1_3#1\nTrue\n",
    ]


def test_the_choice_of_transport_is_logged_once():
    outputs = run_distrt(
        script("""
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
        dist.init_process_group("gloo")
        dist.new_group([0])
        """),
        size=2,
    )
    assert outputs[0].startswith("distrt.comm INFO 2 ranks on ") and outputs[0].count("distrt.comm") == 1
    assert "shared memory" in outputs[0]
    assert outputs[1] == ""


@pytest.mark.ci
def test_the_default_groups_store_is_where_its_ranks_met():
    script = """
import datetime
import torch
import torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))
rank = dist.get_rank()
store = dist.distributed_c10d._get_default_store()
print(type(store).__name__, store.timeout)
store.set(f"k{rank}", "v")
store.wait(["k0", "k1", "k2"])
print([store.get(f"k{other}") for other in range(3)], store.add("c", 0))
within = dist.PrefixStore("mine", store)
print(within.check(["k0"]), within.add("n", 1) > 0)
try:
    within.wait(["none"], datetime.timedelta(milliseconds=100))
except dist.DistStoreError as error:
    print(type(error).__name__)
dist.barrier()
dist.destroy_process_group()
"""
    side_by_side(script, 3)
