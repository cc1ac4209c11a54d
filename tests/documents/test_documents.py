"""Every code block of the five documents that distrt implements, run as it stands with ``import distrt as torch``.

The blocks lie in ``blocks/``, one file each, in the order of their document. Left out are installation commands and a
block of TensorFlow code. Comments that are not ASCII were taken out, everything else is the documents'.
"""

from __future__ import annotations

import ast
import contextlib
import linecache
import multiprocessing
import pathlib
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import distrt
from tests.documents.surroundings import (
    LOADS_WEIGHTS,
    MENDED,
    NEEDS_CUDA,
    RAISES,
    READS_DATA,
    SLOW,
    SURROUNDINGS,
    WAITS_FOR,
)
from tests.scripts.data import write_colours, write_digits

FOLDER = pathlib.Path(__file__).parent / "blocks"
BLOCKS = sorted(path.stem for path in FOLDER.glob("*.py"))


class _Renamed(ast.NodeTransformer):
    """``import torch`` becomes ``import distrt as torch``; submodules and torchvision likewise."""

    def visit_Import(self, node: ast.Import) -> Any:
        renamed: list[ast.stmt] = []
        for name in node.names:
            ours = _ours(name.name)
            if ours is None:
                renamed.append(ast.Import([name]))
            elif name.asname or "." not in name.name:
                renamed.append(ast.Import([ast.alias(ours, name.asname or name.name)]))
            else:
                top = name.name.partition(".")[0]
                renamed += [ast.Import([ast.alias(ours)]), ast.Import([ast.alias(str(_ours(top)), top)])]
        return [ast.copy_location(each, node) for each in renamed]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        node.module = _ours(str(node.module)) or node.module
        return node


def _ours(module: str) -> str | None:
    top, dot, rest = module.partition(".")
    name = {"torch": "distrt", "torchvision": "distrt.vision"}.get(top)
    return None if name is None else name + dot + rest


def _compiled(name: str) -> Any:
    path = FOLDER / f"{name}.py"
    source = path.read_text()
    for said, meant in MENDED.get(name, []):
        assert said in source
        source = source.replace(said, meant)
    source = SURROUNDINGS.get(name, "") + source
    linecache.cache[str(path)] = (
        len(source),
        None,
        source.splitlines(True),
        str(path),
    )  # for what asks for its source
    tree = ast.parse(source, str(path))
    return compile(ast.fix_missing_locations(_Renamed().visit(tree)), str(path), "exec")


@pytest.fixture
def data(tmp_path: Any, monkeypatch: Any) -> None:
    """Small data sets in ``data``: digits, colour pictures with checksums of their own, and a folder of pictures."""
    from distrt.vision import datasets, utils

    write_digits(tmp_path / "data", (20, 10))
    for name, value in write_colours(tmp_path / "data", count=1).items():
        monkeypatch.setattr(datasets.CIFAR10, name, value)
    for name in ("cat", "dog"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        utils.save_image(distrt.rand(3, 8, 9), tmp_path / "data" / "train" / name / "1.png")


@pytest.fixture
def weights(tmp_path: Any, monkeypatch: Any) -> None:
    """ResNet-18's file, where it is looked for."""
    from distrt.vision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    name = models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    distrt.save(models.resnet18().state_dict(), folder / name)


def _marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name


@pytest.fixture
def forked_workers() -> Iterator[None]:
    """Workers as the documents' authors had them: with the classes of the ``__main__`` that a test makes up."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("name", [_marked(name) for name in BLOCKS])
def test_block_runs(name: str, request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: Any) -> None:
    if name in WAITS_FOR:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"to come: {WAITS_FOR[name]}"))
    for names, fixture in ((READS_DATA, "data"), (LOADS_WEIGHTS, "weights")):
        if name in names:
            request.getfixturevalue(fixture)
    monkeypatch.chdir(tmp_path)
    distrt.manual_seed(0)
    expected: Any = contextlib.nullcontext()
    if name in RAISES:
        kind, text = RAISES[name]
        expected = pytest.raises(kind, match=text)
    elif name in NEEDS_CUDA and not distrt.cuda.is_available():
        expected = pytest.raises((RuntimeError, AssertionError), match="CUDA")
    request.addfinalizer(lambda: distrt.autograd.set_detect_anomaly(False))
    code = _compiled(name)
    program = types.ModuleType("__main__")  # classes that are saved are looked up there
    monkeypatch.setitem(sys.modules, "__main__", program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with expected:
            exec(code, vars(program))


def test_every_mention_of_a_block_is_one() -> None:
    mentioned = {*SURROUNDINGS, *MENDED, *RAISES, *NEEDS_CUDA, *WAITS_FOR, *READS_DATA, *LOADS_WEIGHTS, *SLOW}
    assert not mentioned - set(BLOCKS)
