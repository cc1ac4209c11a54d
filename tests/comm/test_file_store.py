"""``FileStore``: its file, who uses it, and what it does with a file that is not as it should be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distrt.comm.stores.file import FileStore
from distrt.core.errors import DistStoreError
from tests.multiprocess.conftest import ROOT


def child(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    head = "import os, sys, signal, time\nfrom distrt.comm.stores.file import FileStore\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)], env=environment, text=True, **options
    )


def test_the_last_of_the_world_deletes_the_file(tmp_path):
    path = tmp_path / "store"
    first, second = FileStore(str(path), 2), FileStore(str(path), 2)
    first.set("a", "b")
    first.close()
    assert second.get("a") == b"b"
    del second
    assert not path.exists()


def test_one_that_leaves_before_the_others_come_does_not_delete_it(tmp_path):
    path = tmp_path / "store"
    FileStore(str(path), 2).set("a", "b")
    assert FileStore(str(path), 2).get("a") == b"b"
    assert not path.exists()


def test_without_a_world_size_the_file_stays(tmp_path):
    path = tmp_path / "store"
    FileStore(str(path)).set("a", "b")
    assert FileStore(str(path)).get("a") == b"b"


def test_an_empty_file_is_taken_and_another_is_not(tmp_path):
    (tmp_path / "empty").touch()
    FileStore(str(tmp_path / "empty"), 1).set("a", "b")
    (tmp_path / "letter").write_text("Dear reader, this is no store")
    with pytest.raises(DistStoreError, match=r"is not distrt's \(it begins with b'Dear reader"):
        FileStore(str(tmp_path / "letter"), 1)
    assert (tmp_path / "letter").read_text().startswith("Dear reader, this is no")


def test_a_path_that_cannot_be_is_refused_at_once(tmp_path):
    for path in (tmp_path / "no" / "store", tmp_path):
        with pytest.raises(DistStoreError, match="cannot open the file"):
            FileStore(str(path), 1)


def test_others_cannot_read_the_file(tmp_path):
    FileStore(str(tmp_path / "store"))
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_a_file_that_a_stranger_laid_out_is_refused(tmp_path, monkeypatch):
    (tmp_path / "bait").touch()
    (tmp_path / "bait").chmod(0o666)
    FileStore(str(tmp_path / "bait")).set("mine", "1")  # everybody's, but my own
    if os.geteuid() == 0:
        os.chown(tmp_path / "bait", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(
        DistStoreError, match=r"belongs to another user \(\d+\), and everybody may write to it"
    ):
        FileStore(str(tmp_path / "bait"), 1)
    (tmp_path / "bait").chmod(0o600)
    # As on a mount where all belongs to one user.
    assert FileStore(str(tmp_path / "bait")).get("mine") == b"1"


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(DistStoreError, match="it is not a regular file"):
            FileStore(str(path), 1)


def test_half_a_record_is_not_read_and_the_next_writer_removes_it(tmp_path):
    path = tmp_path / "store"
    store = FileStore(str(path))
    store.set("a", "1")
    whole = path.read_bytes()
    store.set("b", "2" * 100)
    torn = path.read_bytes()[:-1]
    path.write_bytes(torn)
    late = FileStore(str(path))
    assert late.list_keys() == ["a"] and late.get("a") == b"1"
    late.set("c", "3")
    data = path.read_bytes()
    assert data.startswith(whole) and b"22222" not in data
    assert sorted(FileStore(str(path)).list_keys()) == ["a", "c"]


def test_damage_is_told(tmp_path):
    path = tmp_path / "store"
    FileStore(str(path)).set("a", "1")
    data = bytearray(path.read_bytes())
    data[20:24] = b"????"
    path.write_bytes(data)
    with pytest.raises(DistStoreError, match="damaged"):
        FileStore(str(path))


def test_a_file_that_vanishes_is_told(tmp_path):
    store = FileStore(str(tmp_path / "store"), 1)
    (tmp_path / "store").unlink()
    with pytest.raises(DistStoreError, match=r"cannot open the file|is gone"):
        store.get("a")
    with pytest.raises(DistStoreError, match="cannot open"):
        store.set("a", "b")


def test_a_file_of_a_killed_job_is_refused(tmp_path):
    path = tmp_path / "store"
    job = child("s = FileStore(sys.argv[1], 2, rank=0)\nos.kill(os.getpid(), signal.SIGKILL)", path)
    job.wait(30)
    with pytest.raises(
        DistStoreError, match=rf"left by an earlier job: its processes \({job.pid}\) have ended"
    ):
        FileStore(str(path), 2)
    path.unlink()
    FileStore(str(path), 2)


def test_who_waits_for_a_rank_that_was_killed_learns_of_it(tmp_path):
    path = tmp_path / "store"
    store = FileStore(str(path), 2, rank=0)
    job = child(
        "s = FileStore(sys.argv[1], 2, rank=1)\nprint(1, flush=True)\ntime.sleep(60)",
        path,
        stdout=subprocess.PIPE,
    )
    job.stdout.readline()
    os.kill(job.pid, signal.SIGKILL)
    started = time.monotonic()
    try:
        with pytest.raises(
            DistStoreError, match=rf"rank 1 \(process {job.pid}\) has ended; waited for 'from 1'"
        ):
            store.get("from 1", 30, ranks=[1])
        assert time.monotonic() - started < 10
    finally:
        job.communicate()


def test_processes_add_up_under_the_lock(tmp_path):
    path = tmp_path / "store"
    store = FileStore(str(path), 4)
    code = "s = FileStore(sys.argv[1], 4)\nfor i in range(100): s.add('n', 1)\ns.append('log', sys.argv[2])"
    jobs = [child(code, path, index) for index in range(3)]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    assert store.add("n", 0) == 300
    assert sorted(store.get("log").decode()) == ["0", "1", "2"]
    del store
    assert not Path(path).exists()
