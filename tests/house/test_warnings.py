"""Warnings are of the user's line: nobody counts our functions in between, for their number is not always the same."""

import ast
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_warnings_are_given_by_the_one_function_that_looks_for_the_users_line() -> None:
    counting = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / "distrt").rglob("*.py")
        if path.name != "users_code.py" and b"warn" in (text := path.read_bytes())
        for line in lines_that_warn_themselves(text)
    }
    assert not counting, "use distrt.core.process.users_code.warn"


def test_a_module_that_python_runs_can_be_warned(tmp_path: Path) -> None:
    """``python -m``: its name is ``__main__``, which its loader does not know."""
    path = tmp_path / "run.py"
    path.write_text("from distrt.core.process.users_code import warn\n\nwarn('told')\n")
    program = {"__name__": "__main__", "__loader__": SourceFileLoader("package.run", str(path))}
    with pytest.warns(UserWarning, match="told") as found:
        exec(compile(path.read_text(), str(path), "exec"), program)
    assert (found[0].filename, found[0].lineno) == (str(path), 3)


@pytest.mark.parametrize(
    "text",
    [
        b"import warnings\nwarnings.warn('x', stacklevel=2)",
        b"import warnings as w\nw.warn('x')",
        b"from warnings import warn\nwarn('x')",
        b"import warnings\ntold = warnings.warn",
        b"def f(stacklevel): pass\nf(stacklevel=3)",
    ],
)
def test_a_warning_of_its_own_is_found(text: bytes) -> None:
    assert list(lines_that_warn_themselves(text))


def lines_that_warn_themselves(text: bytes) -> list[int]:
    """Where a source names ``warnings.warn``, or says how far up the stack a warning's line is."""
    tree = ast.parse(text)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "warnings"
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "warnings":
            found += [node.lineno for alias in node.names if alias.name == "warn"]
        elif isinstance(node, ast.Attribute) and node.attr == "warn" and isinstance(node.value, ast.Name):
            found += [node.lineno] * (node.value.id in names)
        elif isinstance(node, ast.keyword) and node.arg == "stacklevel":
            found.append(node.value.lineno)
    return found
