"""PyTorch's private names for asking about groups, and the breakpoint on one rank."""

import logging
import subprocess
import sys
from datetime import timedelta

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from distrt.comm.functions import debugging
from distrt.distributed import distributed_c10d as c10d


@pytest.fixture
def store():
    given = dist.HashStore()
    dist.init_process_group("gloo", store=given, rank=0, world_size=1)
    yield given
    world.end_world()


def test_the_groups_of_a_process_are_listed(store):
    default, part = dist.group.WORLD, dist.new_group([0])
    assert c10d._world.default_pg is c10d._get_default_group() is default
    assert c10d._pg_map == {default: ("gloo", store), part: ("gloo", None)}
    assert c10d._pg_names == {default: "0", part: "1"}
    assert c10d._pg_group_ranks == {default: {0: 0}, part: {0: 0}}
    assert c10d._resolve_process_group("1") is part
    with pytest.raises(RuntimeError, match="registered under the name 9"):
        c10d._resolve_process_group("9")
    assert dist._get_process_group_name(part) == "1"
    c10d._abort_process_group(part)
    assert dist._get_process_group_name(part) == "None"
    with pytest.raises(ValueError, match="Invalid process group specified or has been destroyed"):
        c10d._abort_process_group(part)
    c10d._abort_process_group()
    assert not dist.is_initialized()
    assert c10d._world.default_pg is None


def test_stores_time_outs_and_devices(store):
    assert c10d._get_default_store() is c10d._get_process_group_store(dist.group.WORLD) is store
    assert c10d._get_default_timeout("gloo") == timedelta(minutes=30)
    c10d._set_pg_timeout(timedelta(seconds=7))
    assert dist.group.WORLD.options._timeout == timedelta(seconds=7)
    with pytest.raises(TypeError, match="timedelta"):
        c10d._set_pg_timeout(3)
    with pytest.raises(ValueError, match="Invalid process group"):
        c10d._set_pg_timeout(timedelta(seconds=7), dist.GroupMember.NON_GROUP_MEMBER)
    assert c10d._get_object_coll_device() == "cpu"
    assert set(c10d._device_capability()) == {"cpu", "cuda"}
    with pytest.warns(UserWarning, match="will be deprecated"):
        assert c10d._get_pg_default_device() == torch.device("cpu")
    assert c10d._get_group_size(None) == 1
    with pytest.warns(FutureWarning, match="_get_global_rank"):
        assert c10d._get_global_rank(dist.group.WORLD, 0) == 0


def test_a_breakpoint_stops_where_its_caller_can_be_seen():
    code = (
        "import distrt.distributed as dist; dist.init_process_group('gloo'); marker = 'seen'; dist.breakpoint(); "
        "print(dist.group.WORLD.timeout_s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="up\np marker * 2\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Type 'up' to get to the frame that called dist.breakpoint(rank=0)" in done.stdout
    assert "'seenseen'" in done.stdout
    assert "3600.0" in done.stdout


def test_a_breakpoint_is_passed_as_often_as_asked(store, monkeypatch, caplog):
    stops = []
    monkeypatch.setattr(debugging.DistributedPdb, "set_trace", lambda self: stops.append("stop"))
    with caplog.at_level(logging.WARNING, "distrt.comm"):
        for _ in range(4):
            dist.breakpoint(skip=2)
    assert stops == ["stop"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "Skip the breakpoint, counter=1",
        "Skip the breakpoint, counter=2",
    ]


def test_collectives_can_be_named(store):
    with dist.record_comm("a name"):
        dist.all_reduce(torch.ones(1))
    with pytest.raises(TypeError, match="expected a str"), dist.record_comm(3):
        pass
