"""The examples on text, the trainer and the losses: each learns, on one process and on two, and leaves what it says."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from tests.multiprocess.conftest import ROOT, RankRun, clean_environment

RunExample = Callable[..., tuple[str, Path]]

EXAMPLES = ROOT / "examples"
WORLDS = pytest.mark.parametrize(
    "world_size", [pytest.param(1, marks=pytest.mark.ci), pytest.param(2, marks=pytest.mark.slow)]
)
pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'distrt[examples]'")
pytest.importorskip("tqdm", reason="tqdm is not installed: pip install 'distrt[examples]'")


@pytest.fixture
def run_example(run_ranks: Callable[..., RankRun], tmp_path: Path) -> RunExample:
    """Run an example as its docstring says, without the launcher for one rank: (what it printed, its folder)."""

    def run(name: str, world_size: int, *args: str) -> tuple[str, Path]:
        output = tmp_path / "output"
        args = (*args, "--output", str(output))
        if world_size > 1:
            ranks = run_ranks(EXAMPLES / name, world_size, args=args, timeout_s=100.0)
            assert ranks.exit_code == 0, ranks
            assert not ranks.lines(1), "only rank 0 prints"
            return "\n".join(ranks.lines(0)), output
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), *args],
            cwd=tmp_path,
            env=clean_environment("example", {"OMP_NUM_THREADS": "1"}),  # other tests share the cores
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, output

    return run


@WORLDS
def test_the_gpt_learns_more_than_how_frequent_characters_are(
    run_example: RunExample, world_size: int
) -> None:
    args = ["--steps", "60", "--context", "32", "--sample", "80"]
    printed, output = run_example("char_gpt.py", world_size, *args)
    assert _last_figure(printed, "validation loss", world_size) < 2.8  # the characters' own entropy is 3.25
    sample = (output / "sample.txt").read_text(encoding="utf-8")
    assert len(sample) == len("The ") + 80
    assert sample.startswith("The ") and sample in printed
    assert "blocks.0.attention.weight" in torch.load(output / "model.pt")


@WORLDS
@pytest.mark.parametrize(
    ("model", "weight"),
    [("lstm", "lstm.weight_hh_l0_reverse"), ("transformer", "encoder.layers.0.norm1.weight")],
)
def test_the_classifiers_learn_more_than_the_most_frequent_subject(
    run_example: RunExample, world_size: int, model: str, weight: str
) -> None:
    printed, output = run_example("text_classifier.py", world_size, "--model", model, "--epochs", "6")
    confusion = np.loadtxt(output / "confusion.txt", skiprows=1, usecols=range(1, 6))  # (true, said)
    accuracy = _last_figure(printed, "test accuracy", world_size)
    assert accuracy == pytest.approx(confusion.trace() / confusion.sum(), abs=1e-4)
    assert accuracy > confusion.sum(1).max() / confusion.sum() + 0.1
    assert f"{int(confusion.sum())} to test" in printed  # each is counted once, on any number of ranks
    assert weight in torch.load(output / "model.pt")


@WORLDS
def test_the_trainer_stops_early_and_keeps_the_best(run_example: RunExample, world_size: int) -> None:
    printed, output = run_example("trainer.py", world_size, "--patience", "2")
    epochs = re.findall(r"validation loss (\d\.\d+) accuracy \S+( +saved)?$", printed, re.MULTILINE)
    losses = [float(loss) for loss, _ in epochs]
    assert [bool(saved) for _, saved in epochs][-3:] == [True, False, False]
    assert losses[-3] == min(losses)
    assert "stopped early: no better for 2 epochs" in printed
    assert _last_figure(printed, "test accuracy", world_size) > 0.9
    assert torch.load(output / "best_model.pth")["layers.1.weight"].shape == (128, 64)
    assert (output / "losses.png").read_bytes().startswith(b"\x89PNG")


@WORLDS
def test_losses_for_few_pixels_find_them(run_example: RunExample, world_size: int) -> None:
    printed, output = run_example("imbalanced.py", world_size, "--epochs", "4", "--images", "600")
    scores = (output / "scores.txt").read_text()
    assert scores in printed
    dice = {
        name: float(score)
        for name, score in re.findall(r"^(.+?) +dice score (\d\.\d+)", scores, re.MULTILINE)
    }
    assert list(dice) == ["cross entropy", "focal", "dice", "combined"]
    assert min(dice["dice"], dice["combined"]) > 0.5, scores  # all said to be ink: 0.036; none: 0
    assert (output / "masks.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.ci
def test_early_stopping_brings_back_the_weights_of_the_best_epoch() -> None:
    early_stopping = _names("trainer.py")["EarlyStopping"](patience=2, min_delta=0.1)
    model = nn.Linear(1, 1, bias=False)
    stops = []
    for epoch, loss in enumerate([3.0, 2.0, 1.95, 2.5]):  # 1.95 is not better by as much as 0.1
        with torch.no_grad():
            model.weight.fill_(epoch)
        stops.append(early_stopping(loss, model))
    assert stops == [False, False, False, True]
    assert model.weight.item() == 1


@pytest.mark.ci
def test_the_losses_are_their_formulas() -> None:
    names = _names("imbalanced.py")
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.4, 0.9]], dtype=torch.float64)
    targets = torch.tensor([1, 0, 1])
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    right = p[np.arange(3), targets.numpy()]
    focal = 0.5 * (1 - right) ** 2 * -np.log(right)
    for reduction, expected in {"none": focal, "mean": focal.mean(), "sum": focal.sum()}.items():
        loss = names["FocalLoss"](0.5, 2.0, reduction)(logits, targets)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)
    dice = 1 - (2 * (p[0, 1] + p[2, 1]) + 1e-6) / (p[:, 1].sum() + 2 + 1e-6)
    np.testing.assert_allclose(names["dice_loss"](logits, targets).item(), dice, rtol=1e-12)
    combined = names["CombinedLoss"](0.25)(logits, targets).item()
    np.testing.assert_allclose(combined, 0.25 * -np.log(right).mean() + 0.75 * dice, rtol=1e-12)


def _names(example: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / example))


def _last_figure(printed: str, what: str, world_size: int) -> float:
    """Return the figure of the last line, which also tells the number of ranks."""
    ranks = "1 rank" if world_size == 1 else f"{world_size} ranks"
    found = re.fullmatch(rf"{what}: (\d\.\d{{4}}) \({ranks}\)", printed.strip().splitlines()[-1])
    assert found, printed
    return float(found[1])
