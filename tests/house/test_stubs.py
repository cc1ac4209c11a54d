"""The stubs say what the running package has."""

from __future__ import annotations

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

import distrt
from distrt.core.tensors.bound import Bound

ROOT = pathlib.Path(distrt.__file__).parent


def _defined(path: pathlib.Path) -> set[str]:
    """The names that a stub gives."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.asname for alias in node.names if alias.asname)
    return names


def test_the_package_stub_gives_every_public_name_and_no_other() -> None:
    assert _defined(ROOT / "__init__.pyi") - {"__all__", "__version__"} == set(distrt.__all__)


def test_the_stubs_import_nothing_but_the_standard_library_and_distrt() -> None:
    """A stub that imports PyTorch hides it where PyTorch is installed, and fails in every editor where it is not."""
    for path in (ROOT / "__init__.pyi", ROOT / "core" / "tensors" / "bound.pyi"):
        sources = {
            node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        }
        roots = {str(source).partition(".")[0] for source in sources}
        assert roots - set(sys.stdlib_module_names) == {"distrt"}


def test_every_public_attribute_of_a_tensor_is_in_the_source_or_in_a_stub() -> None:
    written = {name for kind in distrt.Tensor.__mro__[:-1] for name in ast_names(kind)}
    public = {name for name in dir(distrt.Tensor) if not name.startswith("_")}
    assert not sorted(public - written - _defined(ROOT / "core" / "tensors" / "bound.pyi"))


def ast_names(kind: type) -> set[str]:
    """The names that stand in a class body."""
    if kind is Bound:
        return set()
    body = ast.parse(inspect.getsource(kind).lstrip()).body[0]
    assert isinstance(body, ast.ClassDef)
    names: set[str] = set()
    for node in body.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


@pytest.mark.slow  # scripts/check asks the generator, too
def test_the_stubs_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT.parent / "scripts" / "generate"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
