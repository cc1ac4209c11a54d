"""What the launcher's tests share."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.command.arguments import parse_arguments

Refused = Callable[..., str]
OnPath = Callable[[str, str], Path]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """``refused(arguments, variables)`` gives what a wrong command line is told; it ends with exit code 2."""

    def ask(*arguments: object) -> str:
        with pytest.raises(SystemExit) as exit_info:
            parse_arguments(*arguments)  # type: ignore[arg-type]
        assert exit_info.value.code == 2
        return capsys.readouterr().err

    return ask


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnPath:
    """Put a program of the batch system's on PATH: it keeps its arguments and input, and says what is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "train.py").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/{name}.said\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path / f"{name}.said"

    return put
