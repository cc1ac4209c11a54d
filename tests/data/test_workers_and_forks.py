"""A program with workers that forks itself: its child has loaders of its own, and leaves the parent its workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from distrt.data import DataLoader

method = sys.argv[1]

def new(persistent=False):
    return DataLoader(range(12), 4, num_workers=2, multiprocessing_context=method, persistent_workers=persistent)

def passes(*loaders):
    for loader in loaders:
        assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]

if __name__ == "__main__":
    kept = new(True)
    passes(kept)
    workers = [each.process.pid for each in kept._iterator._pool.workers]
    child = os.fork()
    if child == 0:
        passes(new(), kept)
        sys.exit()  # with all that multiprocessing does at exit
    assert os.waitpid(child, 0)[1] == 0, "the child failed"
    passes(kept, new())
    assert [each.process.pid for each in kept._iterator._pool.workers] == workers, "the child ended them"
"""


@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(it, marks=pytest.mark.ci) for it in ("spawn", "forkserver"))]
)
def test_a_forked_program_has_workers_of_its_own_and_ends_none_of_its_parents(
    method: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, "-W", "error", "program.py", method],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0 and not run.stderr, run.stderr
