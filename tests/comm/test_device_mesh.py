"""Meshes: each claim is a function of a module and a world, run on every rank of PyTorch's fake groups and of ours."""

import copy
import pickle
import re
import threading
import warnings

import numpy as np
import pytest

import distrt
from distrt.comm import world
from distrt.comm.functions.membership import get_process_group_ranks
from distrt.comm.functions.subgroups import new_group
from distrt.comm.local import run_local
from distrt.comm.mesh import layout as mesh_layout
from distrt.comm.mesh.device_mesh import DeviceMesh, _mesh_resources, init_device_mesh
from distrt.core.errors import DeviceMissing
from tests.oracles import builtin_kind

THREE = ("dp", "cp", "tp")


class Side:
    """What a claim uses of one of the two packages, on one rank."""

    def __init__(self, tensors, device_mesh, mesh_class, ranks_of, new_group, default_group):
        self.tensors, self.init, self.DeviceMesh = tensors, device_mesh, mesh_class
        self.ranks_of, self.new_group, self.default_group = ranks_of, new_group, default_group

    def three(self, names=THREE):
        return self.init("cpu", (2, 2, 2), mesh_dim_names=names)

    def look(self, mesh):
        """All that can be asked of a mesh."""
        local = [outcome(lambda dim=dim: mesh.get_local_rank(dim)) for dim in range(mesh.ndim)]
        ranks = [outcome(lambda dim=dim: self.ranks_of(mesh.get_group(dim))) for dim in range(mesh.ndim)]
        return (
            repr(mesh),
            mesh.mesh.tolist(),
            str(mesh.mesh.dtype),
            mesh.shape,
            mesh.ndim,
            mesh.size(),
            [mesh.size(dim) for dim in range(mesh.ndim)],
            mesh.mesh_dim_names,
            mesh.device_type,
            mesh.get_rank(),
            mesh.get_coordinate(),
            local,
            ranks,
        )


def outcome(call):
    """What a call gives: its value, or the exception's class and its words, which PyTorch often gives in pieces."""
    try:
        return "value", call()
    except Exception as error:
        kind = builtin_kind(error)
        return kind.__name__, re.findall(r"[\w=(),`']+", " ".join(map(str, error.args)).replace(",", " "))


def shapes(side):
    found = [
        side.look(side.init("cpu", shape)) for shape in ((8,), (2, 4), (4, 2), (2, 2, 2), (1, 8), (8, 1))
    ]
    return [*found, side.look(side.init("cpu", [2, 4], mesh_dim_names=("dp", "tp")))]


def a_part_of_the_world(side):
    def answers(mesh):
        return repr(mesh), mesh.mesh.tolist(), mesh.get_coordinate(), outcome(lambda: mesh.get_group(0))[0]

    return [
        answers(side.init("cpu", (2, 2))),
        answers(side.DeviceMesh("cpu", [[0, 2, 4], [1, 3, 7]])),
        outcome(lambda: repr(side.init("cpu", (2, 2), mesh_dim_names=("a", "b"))["a"])),
    ]


def given_ranks(side):
    ranks = [[0, 4, 2, 6], [1, 5, 3, 7]]
    meshes = [ranks, np.array(ranks), side.tensors.tensor(ranks), side.tensors.tensor(ranks).t()]
    found = [side.look(side.DeviceMesh("cpu", mesh)) for mesh in meshes]
    return found, side.DeviceMesh("cpu", ranks) == side.DeviceMesh("cpu", np.array(ranks))


def slices(side):
    mesh = side.three()
    names = ("dp", "cp", "tp", ("dp",), ("dp", "cp"), ("cp", "tp"), ("dp", "tp"), ["dp", "tp"], THREE)
    found = [side.look(mesh[name]) for name in names]
    return found, mesh[THREE] is mesh, mesh["dp"] == mesh["dp"], side.look(mesh["dp", "tp"]["tp"])


def slices_share_groups(side):
    mesh = side.three()
    part = mesh["dp", "tp"]
    return [
        part.get_group("dp") is mesh.get_group("dp"),
        part["tp"].get_group() is mesh.get_group(2),
        mesh["cp"].get_all_groups()[0] is mesh.get_all_groups()[1],
        mesh.get_group(-1) is mesh.get_group("tp"),
    ]


def slices_that_are_refused(side):
    mesh, bare = side.three(), side.init("cpu", (2, 4))
    names = (("tp", "dp"), "x", ("dp", "x"), ("dp", "dp"))
    return [outcome(lambda name=name: mesh[name]) for name in names] + [outcome(lambda: bare["dp"])]


def flattened(side):
    mesh = side.three()
    outer, inner = mesh["dp", "cp"]._flatten(), mesh["cp", "tp"]._flatten("inner")
    crossed = mesh["dp", "tp"]._flatten()
    return [
        *map(side.look, (outer, inner, crossed, mesh._flatten(), mesh["cp"]._flatten("other"))),
        mesh["dp", "tp"]._flatten() is crossed,
        mesh["cp"]._flatten() == mesh["cp"],
        mesh._flatten("all").get_group() is side.default_group(),
        side.ranks_of(mesh.get_group("dp_tp")),
        side.ranks_of(mesh["cp"].get_group("inner")),
    ]


ONE_AT_A_TIME = threading.Lock()  # our ranks are threads, and catching warnings changes what all threads see


def flattened_names_as_slices(side):
    mesh = side.three()
    mesh["dp", "tp"]._flatten()
    mesh["cp", "tp"]._flatten()
    with ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [side.look(mesh["dp_tp"]), side.look(mesh["dp", "cp_tp"])]
        refused = [outcome(lambda name=name: mesh[name]) for name in (("dp_tp", "cp"), ("cp", "dp_tp"))]
    inner = outcome(lambda: mesh["dp", "tp"]["dp_tp"])
    return found, refused, inner, sorted({str(each.message) for each in caught})


def flattening_that_is_refused(side):
    mesh = side.three()
    mesh["dp", "tp"]._flatten()
    return [
        outcome(lambda: mesh["cp", "tp"]._flatten("dp_tp")),
        outcome(lambda: mesh["cp", "tp"]._flatten("dp")),
        outcome(lambda: side.init("cpu", (2, 4))._flatten()),
    ]


def unflattened(side):
    one = side.init("cpu", (8,), mesh_dim_names=("w",))
    two = side.init("cpu", (2, 4), mesh_dim_names=("dp", "tp"))
    three = side.three()
    return [
        side.look(one._unflatten(0, (2, 4), ("a", "b"))),
        side.look(two._unflatten("tp", (2, 2), ("a", "b"))),
        side.look(two._unflatten("dp", (2, 1), ("a", "b"))),
        side.look(three["dp", "tp"]._flatten()._unflatten(0, (2, 2), ("a", "b"))),
        outcome(lambda: one._unflatten(0, (2, 2), ("a", "b"))),
        outcome(lambda: one._unflatten(1, (2, 4), ("a", "b"))),
        outcome(lambda: one._unflatten("x", (2, 4), ("a", "b"))),
        outcome(lambda: one._unflatten(0, (2, 4), ("a",))),
    ]


def concatenated(side):
    mesh = side.three()
    parts = [mesh["dp"], mesh["tp"]]
    other = side.DeviceMesh("cpu", list(range(7, -1, -1)), mesh_dim_names=("back",))
    return [
        side.look(side.DeviceMesh._concatenate(parts)),
        outcome(lambda: side.DeviceMesh._concatenate([mesh["dp"], mesh["dp", "tp"]])),
        outcome(lambda: side.DeviceMesh._concatenate([mesh["dp"], other])),
    ]


def all_submeshes(side):
    meshes = side.three()._get_all_submeshes("cp")
    return [(repr(mesh), mesh.mesh.tolist(), mesh.get_coordinate()) for mesh in meshes]


def groups_that_are_refused(side):
    mesh, bare = side.three(), side.init("cpu", (2, 4))
    return [
        outcome(mesh.get_group),
        outcome(mesh.get_local_rank),
        outcome(lambda: mesh.get_group("x")),
        outcome(lambda: bare.get_group("x")),
        outcome(lambda: mesh.get_group(3))[0],
        outcome(lambda: mesh.get_group(1.0)),
        outcome(lambda: mesh.size(3))[0],
        outcome(lambda: mesh.size("dp"))[0],
        outcome(side.DeviceMesh("cpu", [[0, 1]], _init_backend=False).get_group),
    ]


def one_dim_needs_no_name(side):
    mesh = side.init("cpu", (8,), mesh_dim_names=("world",))
    return mesh.get_local_rank(), mesh.get_group() is side.default_group(), mesh.get_local_rank("world")


def shapes_that_are_refused(side):
    calls = (
        lambda: side.init("cpu", (4, 4)),
        lambda: side.init("cpu", (2, 4), mesh_dim_names=("a", "a")),
        lambda: side.init("cpu", (2, 4), mesh_dim_names=("a",)),
        lambda: side.init("cpu:0", (8,)),
        lambda: side.init("cpu", 8),
    )
    return [outcome(call) for call in calls], outcome(lambda: side.DeviceMesh("cpu"))[0]


def overrides(side):
    named = {"mesh_dim_names": ("a", "b")}
    return [
        outcome(lambda: side.init("cpu", (2, 4), **named, backend_override={"a": "gloo", "0": "gloo"})),
        outcome(lambda: side.init("cpu", (2, 4), **named, backend_override={"a": "gloo", 0: "gloo"})),
        outcome(lambda: side.DeviceMesh("cpu", [[0, 1]], backend_override=((None, None),))),
    ]


def equality(side):
    mesh, same = side.three(), side.three()
    others = (side.three(names=("a", "b", "c")), side.init("cpu", (2, 2, 2)), side.init("cpu", (8,)), 3)
    return mesh == same, hash(mesh) == hash(same), [mesh == other for other in others], mesh in {same}


def out_of_groups(side):
    names = {"mesh_dim_names": ("q",)}
    rank = side.default_group().rank()
    group = [side.new_group([first, first + 4]) for first in range(4)][rank % 4]
    members, mesh = side.ranks_of(group), side.init("cpu", (2, 4))
    groups = mesh.get_all_groups()
    made = side.DeviceMesh.from_group(groups, "cpu", mesh.mesh, mesh_dim_names=("a", "b"))
    return [
        side.look(side.DeviceMesh.from_group(group, "cpu")),
        side.look(side.DeviceMesh.from_group(group, "cpu", members, **names)),
        side.look(side.DeviceMesh.from_group(group, "cpu", side.tensors.tensor(members))),
        side.DeviceMesh.from_group(group, "cpu").get_group() is group,
        side.look(made),
        made["a"].get_group() is groups[0],
        outcome(lambda: side.DeviceMesh.from_group(group, "cpu", [0, 1])),
        outcome(lambda: side.DeviceMesh.from_group([], "cpu")),
        outcome(lambda: side.DeviceMesh.from_group(groups, "cpu")),
        outcome(lambda: side.DeviceMesh.from_group(groups, "cpu", mesh.mesh)),
        outcome(lambda: side.DeviceMesh.from_group(groups, "cpu", [0, 1], mesh_dim_names=("a", "b"))),
    ]


def copies(side):
    mesh = side.three()
    pickled = pickle.loads(pickle.dumps(mesh))
    return copy.deepcopy(mesh) == mesh, pickled == mesh, pickled.mesh.tolist(), pickled.get_coordinate()


CLAIMS = (
    shapes,
    a_part_of_the_world,
    given_ranks,
    slices,
    slices_share_groups,
    slices_that_are_refused,
    flattened,
    flattened_names_as_slices,
    flattening_that_is_refused,
    unflattened,
    concatenated,
    all_submeshes,
    groups_that_are_refused,
    one_dim_needs_no_name,
    shapes_that_are_refused,
    overrides,
    equality,
    out_of_groups,
    copies,
)


def join(group):
    group.backend_asked = "gloo"  # subgroups then need no warning about an unknown backend
    world.set_default_group(group)


def ours(claim, size):
    def run(group):
        join(group)
        side = Side(
            distrt,
            init_device_mesh,
            DeviceMesh,
            get_process_group_ranks,
            new_group,
            world.default_group,
        )
        return claim(side)

    return run_local(run, size)


def theirs(torch, claim, size):
    import torch.distributed as dist
    from torch.distributed import device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    found = []
    for rank in range(size):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=size)
        try:
            side = Side(
                torch,
                device_mesh.init_device_mesh,
                device_mesh.DeviceMesh,
                dist.get_process_group_ranks,
                dist.new_group,
                lambda: dist.group.WORLD,
            )
            found.append(claim(side))
        finally:
            dist.destroy_process_group()
    return found


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_meshes_do_what_pytorchs_do_on_every_rank(claim, torch):
    assert ours(claim, 8) == theirs(torch, claim, 8)


@pytest.mark.parametrize(("shape", "size"), [((2, 2), 4), ((4,), 4), ((2, 3), 6), ((3, 2), 6), ((1, 1), 1)])
def test_small_worlds_are_cut_up_as_pytorchs(shape, size, torch):
    def claim(side):
        names = tuple("abc"[: len(shape)])
        mesh = side.init("cpu", shape, mesh_dim_names=names)
        return side.look(mesh), [side.look(mesh[name]) for name in names]

    assert ours(claim, size) == theirs(torch, claim, size)


def test_a_sum_along_each_dim_is_that_of_its_ranks():
    def run(group):
        join(group)
        mesh = init_device_mesh("cpu", (2, 3), mesh_dim_names=("dp", "tp"))
        sums = []
        for name in ("dp", "tp"):
            array = np.array([float(mesh.get_rank())])
            mesh.get_group(name).all_reduce(array)
            sums.append(array[0])
        return sums

    assert run_local(run, 6) == [[3, 3], [5, 3], [7, 3], [3, 12], [5, 12], [7, 12]]


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceMissing, match="cuda"):
        init_device_mesh("cuda", (1,))


def test_without_a_default_group_one_is_made():
    assert not world.is_initialized()
    try:
        mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("dp",))
        assert world.is_initialized()
        assert mesh.get_local_rank() == 0 and mesh["dp"].get_group() is world.default_group()
    finally:
        world.default_group().close()
        world.set_default_group(None)


def test_the_mesh_of_a_with_statement_is_the_current_one():
    def run(group):
        join(group)
        mesh = init_device_mesh("cpu", (2,))
        with mesh as entered:
            assert entered is mesh is _mesh_resources.get_current_mesh()
        with pytest.raises(RuntimeError, match="No device mesh is currently active!"):
            _mesh_resources.get_current_mesh()

    run_local(run, 2)


def test_detailed_debugging_prints_the_ranks(monkeypatch):
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", "DETAIL")

    def run(group):
        join(group)
        return repr(init_device_mesh("cpu", (2,)))

    assert run_local(run, 2) == ["DeviceMesh((2,), 'cpu', stride=(1,), Mesh: [0, 1])"] * 2


def test_a_pickled_mesh_has_no_groups():
    def run(group):
        join(group)
        mesh = pickle.loads(pickle.dumps(init_device_mesh("cpu", (2,))))
        with pytest.raises(RuntimeError, match="process groups not initialized"):
            mesh.get_group()

    run_local(run, 2)


def test_a_split_that_cuts_across_dims_is_refused():
    crossed = mesh_layout.flattened([((3, 4),), ((2, 1),)])
    assert mesh_layout.split(crossed, (3, 2)) == (((3, 4),), ((2, 1),))
    with pytest.raises(ValueError, match="cannot be split"):
        mesh_layout.split(crossed, (2, 3))


def test_a_mesh_of_nothing_is_refused():
    with pytest.raises(AssertionError, match="a rank along each dim"):
        init_device_mesh("cpu", (0, 2))
