"""Signals that come before anybody listens: those for the ranks wait, in the launcher and in the shell before it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launch.ranks.signals import SignalInbox
from launch.ranks.unheard import Unheard, listens
from launch.submission.plan import HELD, HOLD

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, USR1, USR2]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_listens_that_catches_ignores_or_blocks_a_signal() -> None:
    signal.signal(USR2, signal.SIG_DFL)
    assert not listens(os.getpid(), USR2)
    for handler in (lambda *_: None, signal.SIG_IGN):
        signal.signal(USR2, handler)
        assert listens(os.getpid(), USR2)
    signal.signal(USR2, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [USR2])
    assert listens(os.getpid(), USR2) and not listens(os.getpid(), signal.SIGVTALRM)


def test_a_signal_waits_for_each_rank_until_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    listening, told = {0}, []
    monkeypatch.setattr("launch.ranks.unheard.listens", lambda pid, number: pid in listening)
    alive: Any = {
        rank: SimpleNamespace(pid=rank, send=lambda number, rank=rank: told.append((rank, number)))
        for rank in range(3)
    }
    unheard = Unheard()
    for _ in range(2):  # the same signal twice is one, where it waits
        unheard.pass_on(USR1, alive)
    assert told == [(0, USR1), (0, USR1)] and unheard
    del alive[2]  # which ends without ever having listened
    listening.add(1)
    unheard.look(alive)
    assert told[2:] == [(1, USR1)] and not unheard


def test_an_inbox_lets_in_what_was_held_and_keeps_what_comes_while_there_are_no_ranks() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, USR2])
    signal.raise_signal(USR1)  # to this thread alone, which holds it
    inbox = SignalInbox()
    try:
        signal.raise_signal(USR2)
        assert inbox.wait(1.0) is None
        assert sorted(inbox.take()) == [USR1, USR2] and inbox.take() == []
        signal.raise_signal(USR1)
        signal.raise_signal(signal.SIGTERM)
        assert inbox.wait(1.0) == signal.SIGTERM and inbox.take() == [USR1]
    finally:
        inbox.close()


@pytest.mark.parametrize(("has_old_env", "pending"), [(False, True), (True, False)])
def test_what_the_shell_starts_the_launcher_with_outlives_a_warning(
    tmp_path: Path, has_old_env: bool, pending: bool
) -> None:
    if has_old_env:  # coreutils before 8.31
        (tmp_path / "env").write_text('#!/bin/bash\ncase "$1" in -*) exit 125 ;; esac\nexec "$@"\n')
        (tmp_path / "env").chmod(0o700)
    shell = HOLD + HELD + " bash -c 'kill -USR1 $$; grep SigPnd /proc/$$/status; grep ShdPnd /proc/$$/status'"
    path = f"{tmp_path}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", shell], env={"PATH": path}, capture_output=True, text=True, timeout=20, check=False
    )
    assert run.returncode == 0 and not run.stderr, run
    masks = [int(line.split()[1], 16) for line in run.stdout.splitlines()]
    assert any(mask >> (USR1 - 1) & 1 for mask in masks) == pending, run
