"""Public training scripts, with nothing changed, through distrt.compat: they start, learn, and write their files.

``public/`` has programs written after the descriptions of the usual examples and tutorials. They import torch.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.scripts.data import write_colours, write_digits, write_words

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(folder: Path, *command: str) -> str:
    """What a command prints, which must end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


def as_torch(folder: Path, script: str, *arguments: str) -> str:
    """What a script prints under ``python -m distrt.compat``."""
    return run(folder, "-m", "distrt.compat", str(HERE / "public" / script), *arguments)


def forking_workers(script: str) -> str:
    """A program that runs a script whose workers must be forks: it does not ask whether it is ``__main__``."""
    fork = "import multiprocessing, runpy, sys\nmultiprocessing.set_start_method('fork')\n"
    return f"{fork}sys.argv[0] = {str(HERE / 'public' / script)!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"


def numbers(text: str, before: str) -> list[float]:
    """The numbers that follow a text."""
    return [float(each) for each in re.findall(before + r"\s*([-\d.]+)", text)]


@pytest.mark.ci
def test_digits(tmp_path: Path) -> None:
    write_digits(tmp_path / "data")
    said = as_torch(
        tmp_path, "mnist.py", "--epochs", "2", "--batch-size", "16", "--save-model", "--log-interval", "4"
    )
    losses = numbers(said, "Loss:")
    assert losses[-1] < losses[0] / 2 and "Train Epoch: 2 [" in said
    assert numbers(said, "Accuracy:")[-1] >= 60 and (tmp_path / "mnist_cnn.pt").stat().st_size > 4_000_000


@pytest.mark.ci
def test_colours_with_workers_and_a_checkpoint(tmp_path: Path) -> None:
    """The script stands as it is; the checksums of its data, which are in torchvision's code, are those of ours."""
    known = write_colours(tmp_path / "data")
    lines = [f"CIFAR10.{name} = {value!r}\n" for name, value in known.items()]
    checksums = "from torchvision.datasets import CIFAR10\n" + "".join(lines)
    prelude = checksums + forking_workers("cifar.py")
    said = run(tmp_path, "-m", "distrt.compat", "-c", prelude, "--epochs", "1", "--lr", "0.02")
    assert len(numbers(said, "Loss:")) == 4 and (tmp_path / "checkpoint" / "ckpt.pth").exists()
    said = run(tmp_path, "-m", "distrt.compat", "-c", prelude, "--epochs", "1", "--resume", "--lr", "0.02")
    assert "==> Resuming from checkpoint.." in said and "Epoch: 0" in said


@pytest.mark.ci
def test_photographs_of_any_architecture(tmp_path: Path) -> None:
    options = ["--dummy", "-a", "squeezenet1_1", "-j", "0", "--lr", "0.001", "--seed", "1"]
    said = as_torch(tmp_path, "imagenet.py", *options, "--epochs", "1")
    assert "=> creating model 'squeezenet1_1'" in said and " *  Acc@1 " in said
    said = as_torch(tmp_path, "imagenet.py", *options, "--epochs", "2", "--resume", "checkpoint.pth.tar")
    assert "=> loaded checkpoint 'checkpoint.pth.tar' (epoch 1)" in said and "Epoch: [1][4/4]" in said


@pytest.mark.slow
def test_photographs_by_spawned_ranks_with_workers(tmp_path: Path) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    ranks = ["--multiprocessing-distributed", "--world-size", "1", "--rank", "0", "--dist-url", url]
    said = as_torch(
        tmp_path, "imagenet.py", "--dummy", "--epochs", "1", "-j", "1", "-a", "squeezenet1_1", *ranks
    )
    assert said.count(" *  Acc@1 ") == 2 and (tmp_path / "model_best.pth.tar").exists()


@pytest.mark.ci
@pytest.mark.parametrize(
    "options", [[], ["--model", "GRU", "--tied"], ["--model", "Transformer", "--lr", "5"]]
)
def test_words(tmp_path: Path, options: list[str]) -> None:
    write_words(tmp_path / "data" / "words")
    said = as_torch(tmp_path, "word_language_model.py", "--epochs", "2", *options)
    losses = numbers(said, r"\| loss")
    assert losses[-1] < losses[0] and numbers(said, "valid loss")[-1] == numbers(said, "test loss")[-1]


@pytest.mark.ci
def test_pictures_out_of_noise(tmp_path: Path) -> None:
    options = ["--dataset", "fake", "--outf", "out", "--manualSeed", "1"]
    said = run(tmp_path, "-m", "distrt.compat", "-c", forking_workers("dcgan.py"), *options)
    assert len(numbers(said, "Loss_D:")) == 3
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"real_samples.png", "fake_samples_epoch_000.png", "netG_epoch_0.pth", "netD_epoch_0.pth"}


@pytest.mark.ci
def test_an_autoencoder(tmp_path: Path) -> None:
    write_digits(tmp_path / "data")
    said = as_torch(tmp_path, "vae.py", "--epochs", "2", "--batch-size", "32")
    losses = numbers(said, "Average loss:")
    assert losses[1] < losses[0] and len(list((tmp_path / "results").glob("*.png"))) == 4


@pytest.mark.ci
def test_sine_waves_with_lbfgs(tmp_path: Path) -> None:
    said = as_torch(tmp_path, "time_sequence.py", "--steps", "1", "--length", "30")
    losses = numbers(said, r"\bloss:")
    assert losses[-2] < losses[0] / 10 and "predicted (3, 39)" in said


@pytest.mark.ci
@pytest.mark.parametrize("options", [[], ["slow"], ["bf16"]])
def test_a_small_gpt(tmp_path: Path, options: list[str]) -> None:
    write_words(tmp_path / "data" / "words")
    said = as_torch(tmp_path, "char_gpt.py", *options)
    losses = numbers(said, "loss")
    assert losses[-1] < losses[0] - 0.5 and len(re.findall("sample: '", said)) == 1


@pytest.mark.ci
def test_data_parallelism_with_snapshots(tmp_path: Path) -> None:
    launch = ["-m", "launch", "--as-torch", "--nproc-per-node", "2", str(HERE / "public" / "ddp_tutorial.py")]
    said = run(tmp_path, *launch, "3", "1")
    losses = numbers(said, "Loss:")
    assert losses[-1] < losses[0] and len(set(numbers(said, "weights"))) == 1
    said = run(tmp_path, *launch, "5", "1")
    assert "Resuming training from snapshot at Epoch 2" in said and "Epoch 4 | Batchsize" in said
