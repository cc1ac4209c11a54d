"""``python -m distrt.distributed.run``, which stands where scripts and manuals write torch.distributed.run."""

import subprocess
import sys


def test_the_module_is_the_launcher(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os\nprint(os.environ['RANK'], os.environ['WORLD_SIZE'])\n")
    command = [
        sys.executable,
        "-m",
        "distrt.distributed.run",
        "--nproc_per_node=2",
        "--run-dir",
        str(tmp_path),
    ]
    ended = subprocess.run([*command, str(script)], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == ["[0] 0 2", "[1] 1 2"]
