"""``distrt.distributed``: names that are resolved when first used."""

import ast
import importlib
import pathlib
import pickle
import subprocess
import sys

import pytest

import distrt.distributed as dist

ROOT = pathlib.Path(dist.__file__).parent


def in_fresh_interpreter(code):
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_listed_in_order():
    assert dist.__all__ == sorted(dist.__all__)
    for name in dist.__all__:
        assert getattr(dist, name) is getattr(dist.distributed_c10d, name), name
    assert set(dist.__all__) <= set(dir(dist))


def test_the_stub_gives_every_name():
    found = set()
    for node in ast.walk(ast.parse((ROOT / "__init__.pyi").read_text())):
        if isinstance(node, ast.ImportFrom):  # "x as x" gives x away, "x as y" does not
            found.update(alias.name for alias in node.names if alias.name == alias.asname)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets)
    assert found == {*dist._NAMES, *dist._MODULES}


def test_a_missing_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'all_recude'"):
        _ = dist.all_recude
    with pytest.raises(ImportError):
        importlib.import_module("distrt.distributed.all_recude")


@pytest.mark.parametrize(
    "use",
    [
        "dist",
        "dist.init_process_group('gloo'); dist.barrier()",
        "t = distrt.ones(2); dist.init_process_group('gloo'); dist.all_reduce(t); dist.broadcast(t, 0)",
    ],
)
def test_what_a_script_does_not_use_is_not_loaded(use):
    rare = (
        "distrt.comm.mesh distrt.comm.codec distrt.comm.functions.objects distrt.comm.functions.differentiable "
        "distrt.comm.functions.coalesced distrt.comm.stores.tcp distrt.comm.stores.file distrt.comm.machines.transport "
        "distrt.data"
    ).split()
    code = f"import sys, distrt, distrt.distributed as dist; {use}; print(*sorted({set(rare)!r} & set(sys.modules)))"
    assert in_fresh_interpreter(code) == ""


def test_importing_the_facade_does_not_load_numpy():
    assert in_fresh_interpreter("import sys, distrt.distributed; print('numpy' in sys.modules)") == "False"


def test_a_submodule_of_a_functions_name_does_not_hide_the_function():
    code = (
        "import distrt.distributed.rendezvous, distrt.distributed as dist; "
        "from distrt.distributed.rendezvous import rendezvous; print(rendezvous is dist.rendezvous)"
    )
    assert in_fresh_interpreter(code) == "True"


def test_submodules_need_no_import_of_their_own():
    code = (
        "import distrt; d = distrt.distributed; "
        "print(d.device_mesh.DeviceMesh is d.DeviceMesh, d.nn.functional.all_reduce is not d.all_reduce)"
    )
    assert in_fresh_interpreter(code) == "True True"


def test_tensors_that_come_from_here_have_their_methods():
    code = (
        "import distrt.distributed as dist; dist.init_process_group('gloo'); "
        "print(dist.init_device_mesh('cpu', (1,)).mesh.sum().item(), dist.allocate_shared(3).sum().item())"
    )
    assert in_fresh_interpreter(code) == "0 0.0"


@pytest.mark.parametrize("name", ["ReduceOp", "all_reduce", "DeviceMesh", "TCPStore", "Backend"])
def test_names_can_be_pickled(name):
    value = getattr(dist, name)
    assert pickle.loads(pickle.dumps(value)) is value


def test_a_sampler_asks_the_default_group_for_its_place():
    code = (
        "from distrt.utils.data import DistributedSampler; import distrt.distributed as dist; "
        "dist.init_process_group('gloo'); print(list(DistributedSampler([1, 2], shuffle=False)))"
    )
    assert in_fresh_interpreter(code) == "[0, 1]"
