"""Every code block of the documentation runs as it stands, or says why not (`pages.py` has the marks)."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import os
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distrt
from tests.documents.pages import ROOT, Block, blocks_of, indented_blocks, pages
from tests.documents.pages_surroundings import BEFORE, FILES

NAMES = [str(page.relative_to(ROOT)) for page in pages()]
PARSERS: dict[str, Any] = {"python": ast.parse, "toml": tomllib.loads}
SAME_BUT_FOR_DOTS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to run in, and the commands of this environment; no process group is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    yield tmp_path
    if distrt.distributed.is_initialized():
        distrt.distributed.destroy_process_group()


@pytest.mark.ci
@pytest.mark.parametrize("name", NAMES)
def test_blocks_run_in_the_order_of_their_page(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, content in FILES.get(name, {}).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)
    program = types.ModuleType("__main__")  # classes that are saved are looked up there
    monkeypatch.setitem(sys.modules, "__main__", program)
    exec(BEFORE.get(name, ""), vars(program))
    printed = ""
    for block in blocks_of(ROOT / name):
        where = f"{name}:{block.line}"
        if block.mark == "not run":
            _check_syntax(block, where)
        elif block.mark == "file":
            PARSERS.get(block.language, str)(block.code)
            (folder / block.said).write_text(block.code)
        elif block.mark == "output":
            same = doctest.OutputChecker().check_output(block.code, printed, SAME_BUT_FOR_DOTS)
            assert same, f"{where}: the page says\n{block.code}\nand what was printed is\n{printed}"
        elif block.language == "python":
            printed = _run(block, ROOT / name, program)
        else:
            printed = _shell(block.code, where)


def _run(block: Block, page: Path, program: types.ModuleType) -> str:
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")  # a traceback leads to the page
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, vars(program))
    return printed.getvalue()


def _shell(command: str, where: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{where}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _check_syntax(block: Block, where: str) -> None:
    if block.language != "bash":
        PARSERS.get(block.language, str)(block.code)
        return
    subprocess.run(["bash", "-n", "-c", block.code], check=True)
    for line in block.code.splitlines():
        command, submit, options = line.partition("distrt-launch submit ")
        if not submit:
            command, _, options = line.partition("distrt-launch ")
        if options and "--job " not in options and not command.startswith("#"):
            _shell(f"{command}distrt-launch {'submit ' if submit else ''}--dry-run {options}", where)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_say_what_they_are(name: str) -> None:
    assert not _complaints(ROOT / name)


def test_a_block_without_a_run_and_without_a_reason_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: -->\n```bash\nls\n```\n\n```text\nwords\n```\n\nand\n\n    ls\n\n* a\n\n    b\n"
    )
    assert _complaints(page) == [
        "line 3: no reason",
        "line 7: text is not run, and there is no reason",
        "line 12: no language",
    ]


def _complaints(page: Path) -> list[str]:
    """Blocks that have neither a language that can be run nor a reason."""
    found: list[str] = []
    before: Block | None = None
    for block in blocks_of(page):
        if block.mark == "output":
            if before is None or before.mark == "not run":
                found.append(f"line {block.line}: the output of what?")
        elif block.mark:
            if not block.said:
                found.append(f"line {block.line}: no reason")
        elif block.language not in ("python", "bash"):
            found.append(f"line {block.line}: {block.language or 'it'} is not run, and there is no reason")
        before = block
    return found + [f"line {line}: no language" for line in indented_blocks(page)]


def test_every_mention_of_a_page_is_one() -> None:
    assert not {*BEFORE, *FILES} - set(NAMES)
