"""The examples in the docstrings of PyTorch and torchvision: what runs there runs here, and prints the same.

What differs stands in ``examples/known.py``, with its reason; an example there that does not differ any more is a
failure, too. The docstrings are read from the installed packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.examples.judge import differences
from tests.oracle.examples.known import KNOWN, MAY_AGREE
from tests.oracles import require_torch, require_torchvision

require_torch()
require_torchvision()

ROOT = Path(__file__).parents[2]
PARTS = 24


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of all examples."""
    path: Path = tmp_path_factory.mktemp("examples") / "examples.json"
    subprocess.run(
        [sys.executable, "-m", "tests.oracle.examples.collect", path], cwd=ROOT, check=True, timeout=100
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_an_example_does_what_it_does_in_pytorch(part: int, examples: Path, tmp_path: Path) -> None:
    sources = json.loads(examples.read_text())
    _assert_as_known(sources, list(sources)[part::PARTS], examples, tmp_path)


@pytest.mark.slow
def test_known_differences_are_of_examples_that_exist(examples: Path) -> None:
    assert not set(KNOWN) - set(json.loads(examples.read_text()))


@pytest.mark.ci
def test_the_examples_of_the_most_used_names_do(examples: Path, tmp_path: Path) -> None:
    names = "Tensor.view cat where nn.Linear nn.Module.apply nn.Conv2d optim.lr_scheduler.StepLR".split()
    sources = json.loads(examples.read_text())
    chosen = [f"torch.{name}" for name in names]
    assert set(chosen) <= set(sources)
    _assert_as_known(sources, chosen, examples, tmp_path)


def _assert_as_known(sources: dict[str, list[str]], names: list[str], examples: Path, folder: Path) -> None:
    ours, theirs = _run(names, examples, folder)
    found = {name: differences(sources[name], ours[name], theirs[name]) for name in names}
    unknown = [f"{name}: " + "\n".join(each) for name, each in found.items() if each and name not in KNOWN]
    assert not unknown, "\n\n".join(unknown)
    same = [name for name in names if name in KNOWN and name not in MAY_AGREE and not found[name]]
    assert not same, "known as different, and the same"


def _run(names: list[str], examples: Path, folder: Path) -> list[dict[str, list[tuple[str, str | None]]]]:
    """What the examples did on distrt and on PyTorch, at the same time."""
    runs = []
    for library in ("distrt", "torch"):
        command = [sys.executable, "-m", "tests.oracle.examples.run", library, examples, json.dumps(names)]
        runs.append(
            subprocess.Popen(
                [*command, folder / library],
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
        )
    try:
        for run in runs:
            _, said = run.communicate(timeout=110)
            assert run.returncode == 0, said
    finally:
        for run in runs:
            run.kill()
            run.wait()
    return [json.loads((folder / library).read_text()) for library in ("distrt", "torch")]
