"""Whatever happens to a save, the newest complete checkpoint loads: kills, full disks, lost folders, flipped bits."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import distrt as torch
from distrt.checkpoint import Checkpoints, disk
from distrt.core.errors import CheckpointError
from tests.checkpoint import killed

ROOT = pathlib.Path(__file__).resolve().parents[2]


def kill_saves(folder, ranks, asynchronous, every):
    """How many saves were killed, and how many of these left step 2, and step 3."""
    command = [
        sys.executable,
        "-m",
        "tests.checkpoint.killed",
        str(folder),
        str(ranks),
        str(asynchronous),
        str(every),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return map(int, done.stdout.split())


def test_a_save_that_is_killed_leaves_the_newest_complete_checkpoint(tmp_path):
    folder, found = tmp_path / "run", []
    for last, moment in ((1, "after"), (20, "half"), (50, "before"), (1000, "before")):
        shutil.rmtree(folder, ignore_errors=True)
        killed.save(folder, [1, 2], 1, False)
        was_killed = killed.killed(str(folder), 1, False, last, moment) != 0
        found.append((was_killed, killed.require_newest(folder, not was_killed)))
    assert found == [(True, 2), (True, 2), (True, 3), (False, 3)]


@pytest.mark.ci
def test_a_save_may_be_killed_at_many_calls(tmp_path):
    count, old, new = kill_saves(tmp_path, 1, False, 17)
    assert count >= 9 and old and new


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "asynchronous"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_save_may_be_killed_at_every_call(ranks, asynchronous, tmp_path):
    count, old, new = kill_saves(tmp_path, ranks, asynchronous, 1)
    assert count >= 140 and old and new  # 200 and more with the other cases


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 200 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can mount a small filesystem")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], check=False, timeout=20
    )
    if mounted.returncode:
        pytest.skip("this container may not mount a filesystem")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_full_disk_leaves_the_checkpoints_before_it(asynchronous, small_disk):
    checkpoints = Checkpoints(small_disk / "run")
    checkpoints.save(1, {"w": torch.ones(25_000)})
    with pytest.raises(CheckpointError, match=r"cannot write to .*: No space left on device"):
        checkpoints.save(2, {"w": torch.zeros(40_000)}, asynchronous)
        checkpoints.wait()
    assert sorted(os.listdir(small_disk / "run")) == ["000001-step-1", "latest"]
    run = {"w": None}
    assert checkpoints.resume(run) == 1 and torch.equal(run["w"], torch.ones(25_000))
    checkpoints.save(3, {"w": torch.ones(1000)})
    assert checkpoints.resume(run) == 3


def test_a_read_only_filesystem_is_said_and_still_read(small_disk):
    checkpoints = Checkpoints(small_disk)
    checkpoints.save(1, {"w": torch.ones(2)})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=20)
    with pytest.raises(CheckpointError, match=r"cannot write to .*: Read-only file system"):
        checkpoints.save(2, {"w": torch.ones(2)})
    assert checkpoints.resume({"w": None}) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_folder_that_vanishes_is_said_and_made_again(asynchronous, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "run")
    whole = disk.write_new

    def write_new(path, buffers):
        shutil.rmtree(tmp_path / "run")
        return whole(path, buffers)

    monkeypatch.setattr(disk, "write_new", write_new)
    with pytest.raises(CheckpointError, match=r"cannot write to .*: No such file"):
        checkpoints.save(1, {"w": torch.ones(2)}, asynchronous)
        checkpoints.wait()
    monkeypatch.undo()
    checkpoints.save(2, {"w": torch.ones(2)})
    assert checkpoints.resume({"w": None}) == 2


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write to .*: Not a directory"):
        Checkpoints(tmp_path / "file" / "run").save(1, {})


def flipped(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("every", [997, pytest.param(23, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found_and_named(every, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": torch.ones(2)})
    checkpoints.save(2, {"weight": torch.arange(6.0), "config": {"lr": 0.5}, "w": torch.ones(2)})
    names = sorted((tmp_path / "000002-step-2").iterdir())
    assert [path.name.partition(".")[2] for path in names] == ["safetensors", "json"]
    for path in names:
        whole = path.read_bytes()
        for bit in range(0, 8 * len(whole), every):
            flipped(path, bit)
            run = {"w": None, "weight": None, "config": None}
            with (
                pytest.warns(UserWarning, match=f"step 2 is passed over: rank 0: .*{path.name} is damaged"),
                pytest.raises(CheckpointError, match="step-1 does not fit"),
            ):
                checkpoints.resume(run)
            assert run == {"w": None, "weight": None, "config": None}
            path.write_bytes(whole)
    # The bytes of a tensor are at the end, and its name is said.
    flipped(names[0], 8 * len(names[0].read_bytes()) - 1)
    with pytest.warns(UserWarning, match=r"the bytes of '.*' have another checksum"):
        assert checkpoints.resume({"w": None}) == 1


def test_a_file_that_is_cut_or_missing_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"w": torch.ones(2)})
    for path in (tmp_path / "000002-step-2").iterdir():
        whole = path.read_bytes()
        for size in range(0, len(whole), 397):
            path.write_bytes(whole[:size])
            with pytest.warns(UserWarning, match=f"{path.name} (has {size} bytes|is damaged)"):
                assert checkpoints.resume({"w": None}) == 1
        path.unlink()
        with pytest.warns(UserWarning, match=f"({path.name} is missing|no complete checkpoint)"):
            assert checkpoints.resume({"w": None}) == 1
        path.write_bytes(whole)
    assert checkpoints.resume({"w": None}) == 2


def test_where_no_checkpoint_is_whole_that_is_an_error(tmp_path):
    Checkpoints(tmp_path).save(1, {"w": torch.ones(2)})
    next(tmp_path.glob("*/manifest.json")).unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole"), pytest.warns(UserWarning):
        Checkpoints(tmp_path).resume({"w": None})
