"""Every name that public training scripts use exists, or says what to use instead.

``usage.txt`` lists the names by module. A name of a finished module resolves and is exercised by some test of this
project; one that distrt leaves out raises ``UnsupportedError`` when it is called. ``TO_COME`` lists what still misses:
a name there that begins to resolve fails the test, so that the list stays true.
"""

from __future__ import annotations

import ast
import functools
import importlib
import pathlib
import re
from typing import Any

import pytest

import distrt
from tests.oracle.table import CASES

HERE = pathlib.Path(__file__).parent
USAGE = {
    module: names.split()
    for module, _, names in (
        line.partition(": ") for line in (HERE / "usage.txt").read_text().splitlines() if line[:1] != "#"
    )
}

#: Modules whose every name is there.
FINISHED = (
    "torch",
    "Tensor",
    "torch.linalg",
    "torch.fft",
    "torch.autograd",
    "torch.cuda",
    "torch.accelerator",
    "torch.backends",
    "torch.version",
    "torch.amp",
    "torch.testing",
    "torch.compiler",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules",
    "torch.nn.utils",
    "torch.jit",
    "torch.onnx",
    "torch.optim",
    "torch.distributions",
    "torch.profiler",
    "torch.serialization",
    "torch.utils",
    "torchvision.datasets",
    "torchvision.transforms",
    "torchvision.models",
    "torchvision.utils",
    "torchvision.ops",
)

#: What of them belongs to rooms that are still to be built.
TO_COME: dict[str, str] = {}

NAMES = [f"{module}.{name}" for module in FINISHED for name in USAGE[module]]


def _resolve(name: str) -> Any:
    if name.startswith("Tensor."):
        return getattr(distrt.Tensor, name.removeprefix("Tensor."))
    found: Any = distrt
    path = "distrt"
    for part in name.replace("torchvision.", "torch.vision.").split(".")[1:]:
        path += f".{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_name_exists(name: str, request: pytest.FixtureRequest) -> None:
    if name in TO_COME:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"to come: {TO_COME[name]}"))
    _resolve(name)


@functools.cache
def _attributes_in_tests() -> frozenset[str]:
    """Every name that a test reaches with a dot, or lists as text (the op tables name methods that way).

    Documentation is not a test: what a docstring says of a name does not count.
    """
    found = {name for case in CASES for name in (*case.covers, case.row.partition(".")[0])}
    for path in HERE.parent.rglob("*.py"):
        if path == pathlib.Path(__file__) or path.parent.name == "blocks":
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        said |= {
            id(node.value)
            for node in nodes
            if isinstance(node, ast.keyword) and node.arg in ("match", "reason")
        }
        for node in nodes:
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                found.update(node.value.replace(".", " ").split())
                # Calls in texts that a test evaluates.
                found.update(re.findall(r"[A-Za-z_]\w*(?=\()", node.value))
    return frozenset(found)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TO_COME])
def test_name_is_used_by_a_test(name: str) -> None:
    assert name.rpartition(".")[2] in _attributes_in_tests()


def test_what_is_to_come_is_in_the_list() -> None:
    assert not set(TO_COME) - set(NAMES)
