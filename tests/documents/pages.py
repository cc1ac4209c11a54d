"""The code blocks of the documentation's pages, and what their marks ask for.

A page is plain Markdown. A comment right above a block says what is not plain about it:

    <!-- not run: needs Slurm -->      syntax alone is looked at, and what `distrt-launch` would do
    <!-- file: job.toml -->            the block is what this file has, in the page's folder
    <!-- output -->                    what the block above it prints; `...` stands for anything

Without a mark, blocks of Python and of the shell run in the order of their page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

_MARK = re.compile(r"<!-- (not run|file|output)(?::(.*?))? -->\n\Z")
_FENCE = re.compile(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", re.M | re.S)
_LIST = re.compile(r" *(?:[*+-]|\d+\.) ")


@dataclass
class Block:
    """A fenced block.

    Attributes:
        mark: "not run", "file", "output" or "".
        said: what stands behind the mark: a reason, or a name.
        line: of the page, where the code begins; from 1.
    """

    language: str
    code: str
    mark: str
    said: str
    line: int


def pages() -> list[Path]:
    """The pages with blocks of code."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if "_build" not in page.parts and blocks_of(page)]


def blocks_of(page: Path) -> list[Block]:
    """A page's blocks, in order, but for what is said to the site in braces."""
    text, found = page.read_text(), []
    for fence in _FENCE.finditer(text):
        if fence[1].startswith("{"):
            continue
        before = text[: fence.start()]
        mark = _MARK.search(before)
        kind, said = (mark[1], (mark[2] or "").strip()) if mark else ("", "")
        found.append(Block(fence[1], fence[2], kind, said, before.count("\n") + 2))
    return found


def indented_blocks(page: Path) -> list[int]:
    """Lines where code begins that is only indented, and so has no language: numbers from 1."""
    found, is_open, in_list = [], True, False
    text = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), page.read_text())
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("    ") and is_open and not in_list:
            found.append(number)
        if line.strip():
            in_list = bool(_LIST.match(line)) or (in_list and line.startswith(" "))
        is_open = not line.strip()
    return found
