"""Distrt under torch's name: by the command, by the launcher, in every process, and only where it was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.surroundings import (
    LOADS_WEIGHTS,
    MENDED,
    NEEDS_CUDA,
    RAISES,
    READS_DATA,
    SURROUNDINGS,
    WAITS_FOR,
)
from tests.documents.test_documents import BLOCKS, FOLDER
from tests.scripts.test_public_scripts import ROOT, run

PROGRAM = """
import torch, torchvision
import torch.nn as nn, torch.nn.functional as F
import torch.utils.data.distributed, torch.distributed as dist
import torchvision.transforms.functional as TF
from torch.nn.parallel import DistributedDataParallel as DDP
from torchvision.models.resnet import resnet18
import distrt, distrt.vision
assert nn is distrt.nn and F is torch.nn.functional and torch.Tensor is distrt.Tensor
assert DDP is distrt.nn.parallel.DistributedDataParallel and dist is distrt.distributed
assert TF is distrt.vision.transforms.functional and resnet18 is torchvision.models.resnet18
assert torch.utils.data.distributed.DistributedSampler is distrt.utils.data.DistributedSampler
assert distrt.nn.__spec__.name == "distrt.nn" and nn.__name__ == "distrt.nn"
assert torch.__version__.startswith("2.") and distrt.__version__ in torch.__version__
assert torch.__version__ >= "2.3" and torch.__version__ > (2, 12) and not torch.__version__ < "2.2"
assert {"nn", "randn"} <= set(dir(torch))
for name in ("torch.nothing", "torch.nn.nothing", "torchvision.nothing"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert error.name == name, error
    else:
        raise AssertionError(name)
try:
    torch.nothing
except AttributeError as error:
    assert "distrt stands for it" in str(error)
print("well")
"""


def test_every_way_of_importing_gives_distrts_modules(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM + "import sys; print(__name__, sys.argv)")
    assert (
        run(tmp_path, "-m", "distrt.compat", str(script), "--x") == f"well\n__main__ {[str(script), '--x']}\n"
    )


@pytest.mark.ci
def test_processes_that_the_script_starts_see_it_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, sys\n"
        "import torch, torch.multiprocessing as mp\n"
        "def child(rank):\n    import torch.nn as nn\n    print(f'{rank} {nn.__name__}\\n', end='', flush=True)\n"
        "if __name__ == '__main__':\n"
        "    mp.spawn(child, nprocs=2)\n"
        "    subprocess.run([sys.executable, '-c', 'import torch.optim as o; print(2, o.__name__)'], check=True)\n"
    )
    said = run(tmp_path, "-m", "distrt.compat", str(script))
    assert sorted(said.splitlines()) == ["0 distrt.nn", "1 distrt.nn", "2 distrt.optim"]


@pytest.mark.ci
def test_the_launcher_gives_it_to_all_ranks_when_asked(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from importlib.util import find_spec\nfound = find_spec('torch')\nprint(found and found.origin)\n"
    )
    asked = run(tmp_path, "-m", "launch", "--nproc-per-node", "2", "--as-torch", str(script))
    assert asked.count("compat/shims/torch/__init__.py") == 2
    assert "shims" not in run(tmp_path, "-m", "launch", str(script))


@pytest.mark.ci
@pytest.mark.parametrize("module", ["torch.distributed.run", "torch.distributed.launch"])
def test_the_launcher_runs_under_pytorchs_name_and_hands_it_on(tmp_path: Path, module: str) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, torch\nprint(os.environ['RANK'], torch.distributed.__name__)\n")
    options = ["--nproc-per-node=2", "--run-dir", str(tmp_path)]
    said = run(tmp_path, "-m", "distrt.compat", "-m", module, *options, str(script))
    assert sorted(said.splitlines()) == ["[0] 0 distrt.distributed", "[1] 1 distrt.distributed"]


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("name = 'another'\n")
    said = run(tmp_path, "-c", "import distrt, distrt.compat, torch; print(torch.name)")
    assert said == "another\n"


def test_a_loaded_torch_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("name = 'another'\n")
    program = "import torch, distrt.compat\ntry:\n    distrt.compat.install()\nexcept ImportError as error:\n"
    said = run(tmp_path, "-c", program + "    print(error)\nprint(torch.name)")
    assert "torch itself is loaded already" in said and "torch.py" in said and said.endswith("another\n")


@pytest.mark.ci
def test_installing_it_by_hand_gives_it_to_this_process(tmp_path: Path) -> None:
    said = run(
        tmp_path, "-c", f"import distrt.compat\ndistrt.compat.install()\ndistrt.compat.install()\n{PROGRAM}"
    )
    assert said == "well\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "usage:"),
        (["nothing.py"], 66, "no such script: nothing.py"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], code: int, text: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "distrt.compat", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code and text in done.stderr and not done.stdout


@pytest.mark.slow
def test_the_documents_blocks_run_as_they_stand(tmp_path: Path) -> None:
    """All of them in one process: each as the program of a moment, with ``import torch``."""
    left_out = {*WAITS_FOR, *RAISES, *NEEDS_CUDA, *MENDED, *READS_DATA, *LOADS_WEIGHTS}
    names = [name for name in BLOCKS if name not in left_out]
    assert len(names) > 70
    for name in names:
        (tmp_path / f"{name}.py").write_text(SURROUNDINGS.get(name, "") + (FOLDER / f"{name}.py").read_text())
    program = (
        "import os, runpy, sys, traceback, warnings\n"
        "import torch\n"
        "warnings.simplefilter('ignore')\n"
        "for name in sys.argv[1:]:\n"
        "    torch.manual_seed(0)\n"
        "    runpy.run_path(name + '.py', run_name='__main__')\n"
        "    torch.autograd.set_detect_anomaly(False)\n"
        "    print('ran', name)\n"
    )
    said = run(tmp_path, "-m", "distrt.compat", "-c", program, *names)
    assert [line for line in said.splitlines() if line.startswith("ran ")] == [
        f"ran {name}" for name in names
    ]
