"""What bash completes."""

import os
import shutil
import subprocess
import sys

import pytest

from launch.cli import main
from launch.command.completion import completion


def complete(*words: str) -> list[str]:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    ask = f'COMP_WORDS=({" ".join(words) or "x"} ""); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 2)); _distrt_launch'
    script = f'{completion("bash")}\n{ask}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=True)
    return ended.stdout.split()


def test_options_values_and_commands_are_completed() -> None:
    assert complete("distrt-launch", "--nproc") == ["--nproc-per-node"]
    assert complete("distrt-launch", "--start-method", "fork") == ["fork", "forkserver"]
    assert complete("distrt-launch", "do") == ["doctor"]
    assert complete("distrt-launch", "s") == ["submit"]
    assert complete("distrt-launch", "train.py", "x") == []


def test_zsh_uses_the_same_by_its_own_means() -> None:
    assert "bashcompinit" in completion("zsh") and "_distrt_launch()" in completion("zsh")


def test_another_shell_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "tcsh"]) == 2
    assert "expected one of bash, zsh" in capfd.readouterr().err
    assert main(["--print-completion", "bash"]) == 0
    assert "complete -o default" in capfd.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "launch", "--print-completion", "bash"]
    with os.fdopen(write, "wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, timeout=20, check=False)
    assert (ended.returncode, ended.stderr) == (141, b"")
