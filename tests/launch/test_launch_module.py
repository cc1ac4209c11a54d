"""``python -m distrt.distributed.launch``, PyTorch's older launcher, for scripts that read ``--local-rank``."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "import os, sys\nprint(*sys.argv[1:], os.environ['LOCAL_RANK'])\n"


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "distrt.distributed.launch", "--run-dir", str(folder), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=folder)


def test_ranks_are_told_their_number_by_an_argument(tmp_path: Path) -> None:
    ended = launch(tmp_path, "--nproc_per_node=2", "script.py", "--epochs", "3")
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == [
        "[0] --local-rank=0 --epochs 3 0",
        "[1] --local-rank=1 --epochs 3 1",
    ]
    assert "The module torch.distributed.launch is deprecated" in ended.stderr


@pytest.mark.ci
@pytest.mark.parametrize("switch", ["--use-env", "--use_env"])
def test_with_use_env_there_is_no_such_argument(tmp_path: Path, switch: str) -> None:
    ended = launch(tmp_path, switch, "--nproc-per-node", "2", "script.py", "--epochs", "3")
    assert sorted(ended.stdout.splitlines()) == ["[0] --epochs 3 0", "[1] --epochs 3 1"], ended.stderr


@pytest.mark.ci
def test_a_program_needs_use_env(tmp_path: Path) -> None:
    ended = launch(tmp_path, "--no-python", "echo", "a")
    assert ended.returncode == 2 and "--use-env" in ended.stderr and not ended.stdout
