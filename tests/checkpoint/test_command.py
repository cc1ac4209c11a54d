"""``distrt checkpoint``: lists, verifies and converts."""

import pathlib
import subprocess
import sys
import tomllib

import pytest

import distrt as torch
from distrt.checkpoint import Checkpoints
from distrt.checkpoint.command import main
from distrt.files.safetensors import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """The folder of two checkpoints."""
    for step in (10, 20):
        Checkpoints(tmp_path / "run").save(step, {"w": torch.full((3,), float(step)), "rate": 0.5})
    return tmp_path / "run"


def damage(run):
    (path,) = (run / "000002-step-20").glob("*.safetensors")
    data = bytearray(path.read_bytes())
    data[data.index(b"\x00\x00\xa0\x41")] ^= 1  # in a 20.0
    path.write_bytes(data)


def test_checkpoints_are_listed(run, capsys):
    assert main(["checkpoint", "ls", str(run)]) == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.startswith("000002-step-20  ") and " MB  1 rank(s)  distrt " in newest
    assert oldest.startswith("000001-step-10  ")
    assert main(["checkpoint", "ls", str(run / "000002-step-20")]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert "w  torch.float32 [3]" in listed and "rate  0.5" in listed
    (run / "000002-step-20" / "manifest.json").write_text("{}")
    assert main(["checkpoint", "ls", str(run)]) == 0
    assert "000002-step-20  damaged: " in capsys.readouterr().out


def test_damage_is_an_exit_code_and_named(run, capsys):
    assert main(["checkpoint", "verify", str(run)]) == 0
    assert capsys.readouterr().out.splitlines() == ["000002-step-20  whole", "000001-step-10  whole"]
    damage(run)
    assert main(["checkpoint", "verify", str(run)]) == 1
    assert "the bytes of 'w' have another checksum" in capsys.readouterr().out
    assert main(["checkpoint", "verify", str(run / "000001-step-10")]) == 0
    assert main(["checkpoint", "verify", str(run / "none")]) == 1
    assert "has no checkpoint" in capsys.readouterr().err


def test_checkpoints_become_files_and_files_checkpoints(run, tmp_path, capsys):
    one, tensors, folder = (str(tmp_path / name) for name in ("one.pt", "one.safetensors", "back"))
    assert main(["checkpoint", "convert", str(run), one]) == 0
    assert torch.load(one, weights_only=False)["w"].tolist() == [20.0] * 3
    assert main(["checkpoint", "convert", str(run / "000001-step-10"), tensors]) == 0
    assert load_file(tensors)["w"].tolist() == [10.0] * 3
    assert "left out, for it is no tensor: rate" in capsys.readouterr().out
    assert main(["checkpoint", "convert", one, folder]) == 0
    state = {"w": torch.zeros(3), "rate": None}
    with pytest.warns(UserWarning, match="assuming the intent is to load"):
        torch.distributed.checkpoint.load(state, checkpoint_id=folder)
    assert state["w"].tolist() == [20.0] * 3 and state["rate"] == 0.5
    assert main(["checkpoint", "convert", str(run), str(tmp_path / "one.bin")]) == 1
    assert "was expected" in capsys.readouterr().err
    damage(run)
    assert main(["checkpoint", "convert", str(run), one]) == 0
    assert torch.load(one, weights_only=False)["w"].tolist() == [10.0] * 3
    assert "000002-step-20 is passed over" in capsys.readouterr().err


def test_the_command_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["distrt"] == "distrt.checkpoint.command:main"
    command = [sys.executable, "-m", "distrt", "checkpoint", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert all(name in done.stdout for name in ("ls", "verify", "convert"))
