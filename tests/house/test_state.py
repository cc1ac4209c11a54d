"""State at module level stands in one list, of docs/architecture.md: what is not there has not been thought of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_KINDS = ("ContextVar", "local", "WeakSet", "WeakKeyDictionary", "WeakValueDictionary", "dict", "list", "set")


@pytest.mark.ci
def test_every_module_with_state_is_in_the_list() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    told = page.partition("**State at module level**")[2].partition("\n\n**")[0]
    modules = {path: list(_state(path)) for path in (ROOT / "distrt").rglob("*.py")}
    untold = {
        str(path.relative_to(ROOT)): names
        for path, names in modules.items()
        if names and path.name not in told
    }
    assert len(told) > 1000 and not untold


def _state(path: Path) -> Iterator[str]:
    """Names that functions assign anew, and empty containers and their like, which are there to be filled.

    But for what is in capitals: tables that modules fill as they are loaded, and containers that stay empty.
    """
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for each in targets if isinstance(each, ast.Name)]
            is_table = isinstance(node.value, ast.Dict | ast.List)
            if _is_to_be_filled(node.value):
                yield from (each for each in names if each != "__all__" and not (is_table and each.isupper()))


def _is_to_be_filled(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List):
        return not value.elts
    if isinstance(value, ast.Call):
        called = value.func
        name = (
            called.attr
            if isinstance(called, ast.Attribute)
            else called.id
            if isinstance(called, ast.Name)
            else ""
        )
        return name in _KINDS and (name in ("ContextVar", "local") or not value.args)
    return False
