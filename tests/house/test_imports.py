"""The import rules hold, and the contracts that say so can fail."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCH_MAY_IMPORT = {
    "distrt.comm.environment",
    "distrt.comm.machines.address",
    "distrt.comm.mpi.meeting",
    "distrt.comm.slurm",
    "distrt.comm.status",
    "distrt.comm.stores.client",
    "distrt.core.errors",
    "distrt.pictures.step",
    "distrt.pictures.svg",
    "distrt.pictures.traces",
}
HEAVY = ("numpy", "ml_dtypes", "cupy", "mpi4py", "llvmlite", "torch")

VIOLATIONS = {
    "core imports nn": ("distrt/core/tensor.py", "import distrt.nn"),
    "nn imports optim": ("distrt/nn/modules/linear.py", "from distrt.optim import sgd"),
    "data imports comm": ("distrt/data/sampler.py", "import distrt.comm"),
    "comm imports nn": ("distrt/comm/shm.py", "from distrt.nn import linear"),
    "nn reaches parallel past its facade": ("distrt/nn/modules/linear.py", "import distrt.parallel"),
    "nn reaches parallel through a facade": ("distrt/nn/modules/linear.py", "import distrt.distributed"),
    "a lazy import in a function": ("distrt/core/tensor.py", "def f():\n    import distrt.nn"),
    "utils.benchmark imports nn": ("distrt/utils/benchmark/timer.py", "from distrt.nn import linear"),
    "nested structures import data": ("distrt/utils/_pytree/containers.py", "import distrt.data"),
    "pictures import numpy": ("distrt/pictures/step.py", "import numpy"),
    "launch imports the tensor": ("launch/cli.py", "from distrt.core import tensor"),
    "launch's reports look at ranks": ("launch/reports/lines.py", "from launch.ranks import processes"),
    "launch reaches numpy through the store": ("distrt/comm/stores/client.py", "import numpy"),
}


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False, text=True, timeout=60)


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """A package of the same shape, with every permitted kind of import and no other."""
    files = {
        "distrt/core/errors.py": "",
        "distrt/core/tensor.py": "import numpy",
        "distrt/nn/modules/linear.py": "from distrt.core import tensor",
        "distrt/nn/parallel/__init__.py": "from distrt.parallel.ddp import nothing",
        "distrt/optim/sgd.py": "from distrt.core import tensor",
        "distrt/data/sampler.py": "from distrt.core import tensor",
        "distrt/comm/stores/client.py": "from distrt.core import errors",
        "distrt/comm/shm.py": "from distrt.core import tensor",
        "distrt/parallel/ddp.py": "from distrt.comm import shm\nfrom distrt.nn import linear",
        "distrt/pictures/step.py": "import re",
        "distrt/utils/benchmark/timer.py": "from distrt.core import tensor",
        "distrt/utils/_pytree/containers.py": "from distrt.core import tensor",
        "distrt/distributed/__init__.py": "from distrt.parallel import ddp",
        "launch/cli.py": "from distrt.comm.stores import client",
        "launch/ranks/processes.py": "from launch.reports import lines",
        "launch/reports/lines.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for package in path.relative_to(tmp_path).parents[:-1]:
            (tmp_path / package / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_contracts_keep_a_house_where_every_import_is_permitted(small_house: Path) -> None:
    result = lint(small_house)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_contracts_break_when(violation: str, small_house: Path) -> None:
    name, line = VIOLATIONS[violation]
    path = small_house / name
    path.write_text(f"{path.read_text()}\n{line}\n")
    result = lint(small_house)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout, result.stdout + result.stderr


def imported_modules(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            if node.module in ("distrt", "distrt.comm", "distrt.core"):  # what is imported may be a module
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
            else:
                names.add(node.module)
    return names


@pytest.mark.parametrize("source", sorted((ROOT / "launch").rglob("*.py")), ids=lambda path: path.name)
def test_launcher_imports_the_standard_library_and_modules_that_need_no_more(source: Path) -> None:
    foreign = {
        name
        for name in imported_modules(source)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "launch"} and name not in LAUNCH_MAY_IMPORT
    }
    assert not foreign


def test_launcher_and_import_distrt_load_nothing_heavy() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "launch").rglob("*.py")
    ]
    program = f"""
import importlib, sys
import distrt
for name in {sorted(m for m in modules if not m.endswith("__main__"))}:
    importlib.import_module(name)
print(*sorted(set(sys.modules) & set({HEAVY})))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert (result.stdout.strip(), result.stderr) == ("", "")


A_PROGRAM_WITHOUT_A_GPU = """
import sys
import distrt as torch
from distrt import nn, optim
import distrt.cuda, distrt.backends, distrt.distributed as dist

dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
layers = [nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 8), nn.LayerNorm(8), nn.GELU()]
net = nn.parallel.DistributedDataParallel(nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(8, 4)))
optimizer, scaler = optim.AdamW(net.parameters()), torch.amp.GradScaler("cpu")
loss = nn.functional.cross_entropy(net(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 3]))
scaler.scale(loss).backward()
scaler.step(optimizer)
nn.Embedding(4, 4)(torch.tensor([1])).softmax(-1).sum().backward()
nn.functional.scaled_dot_product_attention(*torch.randn(3, 1, 1, 4, 4), dropout_p=0.5)
loss.item(), str(loss.device), distrt.cuda.is_available()
dist.all_reduce(loss.detach())
dist.destroy_process_group()
rooms = ("core.kernels.cuda", "core.kernels.cublas", "core.kernels.cudnn", "core.kernels.nvidia", "comm.nccl")
files = [f"distrt.core.gpu.{name}" for name in ("calls", "faults", "memory", "tables")]
rooms = tuple(f"distrt.{each}" for each in rooms)
print(*sorted(name for name in sys.modules if name.startswith(rooms) or name in files))
"""


@pytest.mark.ci
def test_a_program_without_a_gpu_loads_no_code_for_gpus() -> None:
    result = subprocess.run(
        [sys.executable, "-c", A_PROGRAM_WITHOUT_A_GPU],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (result.stdout.strip(), result.stderr) == ("", "")


def test_tables_of_special_functions_are_loaded_when_one_is_called() -> None:
    program = """
import sys, distrt, distrt.nn
def loaded(): return sorted(name.rpartition(".")[2] for name in sys.modules if "core.numerics." in name)
distrt.special.bessel_j0, distrt.nn.Linear(2, 2)(distrt.ones(2)), print(*loaded())
distrt.special.bessel_j0(distrt.ones(2)), print(*loaded())
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert result.stdout.splitlines() == ["single", "bessel_waves chebyshev single"], result.stderr
