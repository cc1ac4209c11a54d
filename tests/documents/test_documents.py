"""Every code block of the five documents that distrt implements, run as it stands with ``import distrt as torch``.

The blocks lie in ``blocks/``, one file each, in the order of their document. Left out are installation commands and a
block of TensorFlow code. Comments that are not ASCII were taken out, everything else is the documents'.
"""

from __future__ import annotations

import ast
import contextlib
import linecache
import pathlib
import sys
import types
import warnings
from typing import Any

import pytest

import distrt
from tests.documents.surroundings import MENDED, NEEDS_CUDA, RAISES, SURROUNDINGS, WAITS_FOR

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


@pytest.mark.parametrize("name", BLOCKS)
def test_block_runs(name: str, request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: Any) -> None:
    if name in WAITS_FOR:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"to come: {WAITS_FOR[name]}"))
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
    assert not {*SURROUNDINGS, *MENDED, *RAISES, *NEEDS_CUDA, *WAITS_FOR} - set(BLOCKS)
