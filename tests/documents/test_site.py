"""The site (`scripts/docs`) builds in CI; here is what can be said without Sphinx."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
from typing import Any

import pytest

import distrt
from distrt.core.tensors.names import FUNCTIONS
from distrt.core.unsupported import UnsupportedModule
from tests.documents.pages import ROOT

REFERENCE = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
DOCUMENTED = set(re.findall(r"names:: ([\w.]+)$", REFERENCE, re.M))


def test_pictures_are_what_their_program_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures" / "draw.py"))["draw"]()
    there = {path.name: path.read_text() for path in (ROOT / "docs" / "pictures").glob("*.svg")}
    assert there == drawn


def test_every_picture_is_shown() -> None:
    shown = set(
        re.findall(r"pictures/(\w+\.svg)", "\n".join(p.read_text() for p in (ROOT / "docs").glob("*.md")))
    )
    assert shown == {path.name for path in (ROOT / "docs" / "pictures").glob("*.svg")}


def test_the_reference_lists_modules_that_are_there() -> None:
    for name in DOCUMENTED:
        importlib.import_module(name)


def test_every_module_of_the_package_is_in_the_reference() -> None:
    modules = {
        f"distrt.{name}"
        for name in distrt.__all__
        if inspect.ismodule(getattr(distrt, name)) and name[0] != "_"
    }
    facades = {f"distrt.{name}" for name in "utils vision version functional signal storage".split()}
    there = {name for name in modules if getattr(importlib.import_module(name), "__all__", None)}
    assert not sorted(there - DOCUMENTED - facades)


def test_every_family_of_operations_is_in_the_reference() -> None:
    families = " ".join(re.findall(r":families: (.*)", REFERENCE)).split()
    assert sorted(families) == sorted(FUNCTIONS)


def test_every_page_is_in_a_list_of_pages() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "reference"):
        index = (folder / "index.md").read_text()
        listed = set("\n".join(re.findall(r"```\{toctree\}\n(.*?)```", index, re.S)).split())
        assert not {page.stem for page in folder.glob("*.md")} - listed - {"index"}


def test_links_between_pages_lead_to_pages_and_headings() -> None:
    for page in (
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
    ):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            if ":" in path:
                continue
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{page.name}: {target}"
            assert not heading or heading in _headings(there.read_text()), f"{page.name}: {target}"


def _headings(text: str) -> set[str]:
    """What GitHub and the site call the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\]\(.*?\)", "", title)).lower().replace(" ", "-") for title in titles
    }


def test_what_the_page_for_pytorchs_users_calls_missing_is_missing() -> None:
    page = (ROOT / "docs" / "pytorch.md").read_text()
    section = page.partition("## What is missing")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(torch\.[\w.]+)`", section)) - {
        "torch.special",
        "torch.linalg",
    }  # parts of these are
    assert len(named) >= 5  # else the page reads differently
    assert not sorted(name for name in named if _is_there(name))


def _is_there(name: str) -> bool:
    found: Any = distrt
    for part in name.split(".")[1:]:
        try:
            found = (
                getattr(found, part)
                if hasattr(found, part)
                else importlib.import_module(f"{found.__name__}.{part}")
            )
        except (ModuleNotFoundError, AttributeError):
            return False
    return not isinstance(found, UnsupportedModule)


def test_several_arguments_may_have_one_description() -> None:
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install 'distrt[docs]'")
    read = runpy.run_path(str(ROOT / "docs" / "site" / "reference.py"))["read_docstring"]
    lines = [
        "Args:",
        "    one, another:",
        "        What both are.",
        "    third: of its own.",
        "",
        "Raises:",
        "    ValueError: no.",
    ]
    told = [line for line in read(lines) if line]
    assert told == [
        "**Arguments**",
        "* ``one, another``:",
        "  What both are.",
        "* ``third``: of its own.",
        "**Raises**",
        "* ``ValueError``: no.",
    ]
