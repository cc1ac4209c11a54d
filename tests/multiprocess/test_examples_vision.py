"""The examples on images: each runs on one rank and on two, finds what it says, and draws pictures with content."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import distrt
from distrt import nn
from tests.multiprocess.conftest import ROOT, RankRun

for package in ("sklearn", "matplotlib", "tqdm", "PIL"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'distrt[examples,vision]'")

RunRanks = Callable[..., RankRun]
ONE_AND_TWO = pytest.mark.parametrize(
    "world_size", [pytest.param(1, marks=pytest.mark.ci), pytest.param(2, marks=pytest.mark.slow)]
)
NUMBER = r"(\d+\.\d+)"


def last_line(run_ranks: RunRanks, world_size: int, name: str, *args: str) -> str:
    """Run an example to its end, and return the last line of its first rank."""
    run = run_ranks(
        ROOT / "examples" / f"{name}.py", world_size, args=args, timeout_s=110, env={"OMP_NUM_THREADS": "1"}
    )
    assert run.exit_code == 0, run
    lines = run.lines(0) if world_size > 1 else run.stdout.splitlines()
    return [line for line in lines if line.strip()][-1]


def figures(line: str, pattern: str) -> list[float]:
    found = re.search(pattern, line)
    assert found, line
    return [float(each) for each in found.groups()]


def picture(path: Path, size: tuple[int, int], shades: int) -> np.ndarray:
    """Open a picture of at least this (width, height) and this many different colours."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] >= size[0] and pixels.shape[0] >= size[1], pixels.shape
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= shades
    return pixels


@ONE_AND_TWO
def test_the_gan_comes_near_to_real_digits_of_many_kinds(
    run_ranks: RunRanks, tmp_path: Path, world_size: int
) -> None:
    line = last_line(run_ranks, world_size, "gan", "--epochs", "15", "--output", str(tmp_path))
    pattern = rf"digit: {NUMBER} \(between real ones {NUMBER}, untrained {NUMBER}\), kinds: (\d+) of 10"
    distance, real, untrained, kinds = figures(line, pattern)
    assert distance - real < 0.5 * (untrained - real), line
    assert kinds >= 6, line
    pixels = picture(tmp_path / "samples.png", (600, 300), shades=50)
    left, right = pixels[:, :365], pixels[:, -365:]  # inventions, and real digits
    assert abs(left.mean() - right.mean()) < 40
    assert not np.array_equal(left, right)


@ONE_AND_TWO
def test_the_maps_show_the_pixels_that_matter(run_ranks: RunRanks, tmp_path: Path, world_size: int) -> None:
    line = last_line(run_ranks, world_size, "gradcam", "--output", str(tmp_path))
    bright, dark = figures(line, rf"without the brightest quarter: {NUMBER}, without the darkest: {NUMBER}")
    assert bright < 0.6 * dark, line
    pixels = picture(tmp_path / "gradcam.png", (1000, 250), shades=1000).astype(int)
    has_colour = np.ptp(pixels, axis=2) > 30
    middle = len(pixels) // 2
    assert has_colour[:middle].mean() < 0.01 < 0.3 < has_colour[middle:].mean()  # digits above, maps below


@ONE_AND_TWO
def test_classes_stand_further_apart_in_features_than_in_pixels(
    run_ranks: RunRanks, tmp_path: Path, world_size: int
) -> None:
    line = last_line(run_ranks, world_size, "features", "--epochs", "6", "--output", str(tmp_path))
    pattern = rf"pixels {NUMBER}, features of the last layer {NUMBER}, scores {NUMBER}"
    pixels, features, scores = figures(line, pattern)
    assert pixels < 0.5 and pixels + 0.02 < features < scores - 0.1, line
    picture(tmp_path / "features.png", (1000, 400), shades=100)


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2])
def test_fine_tuning_profits_from_what_the_backbone_has_learned(
    run_ranks: RunRanks, tmp_path: Path, world_size: int
) -> None:
    line = last_line(run_ranks, world_size, "finetune", "--output", str(tmp_path))
    pattern = rf"7 to 9: {NUMBER} \(frozen layers that learned nothing: {NUMBER}, nothing loaded or frozen: {NUMBER}\)"
    tuned, untaught, _ = figures(line, pattern)
    assert tuned > 0.75 and tuned > untaught, line
    assert distrt.load(tmp_path / "backbone.pt")["fc.weight"].shape == (7, 512)
    assert len(list(tmp_path.glob("images/high/train/*/*.png"))) == 60
    pixels = picture(tmp_path / "predictions.png", (800, 300), shades=100).astype(int)
    green = (pixels[..., 1] > 90) & (pixels[..., 0] < 60) & (pixels[..., 2] < 60)
    assert green.sum() > 100  # the titles of what was named rightly


@ONE_AND_TWO
@pytest.mark.parametrize("model", ["digits", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_the_model_tester_passes_a_sound_model(
    run_ranks: RunRanks, tmp_path: Path, world_size: int, model: str
) -> None:
    args = ["--model", model, "--batch-size", "16", "--output", str(tmp_path)]
    assert last_line(run_ranks, world_size, "model_tester", *args) == "7 of 7 checks passed"
    report = (tmp_path / "report.txt").read_text()
    assert report.count("passed  ") == 7 and "FAILED" not in report
    assert len(re.findall(r"^speed   batches of +\d+ +\d+\.\d\d ms", report, re.M)) == 3


class Unsound(nn.Module):
    """Its second half is cut off from its first, and in evaluation it looks at the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, images: distrt.Tensor) -> distrt.Tensor:
        hidden = self.first(images.flatten(1))
        return self.second((hidden - hidden.mean(0)).detach())


@pytest.mark.ci
def test_the_model_tester_fails_an_unsound_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    for name in ("model_tester", "train_digits"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from model_tester import ModelTester

    distrt.manual_seed(0)
    tester = ModelTester(Unsound, distrt.randn(16, 1, 8, 8), distrt.arange(16) % 10)
    with pytest.raises(AssertionError, match=r"no gradient reaches first\.weight, first\.bias"):
        tester.check_gradients()
    with pytest.raises(AssertionError, match="scores differ by"):
        tester.check_independence()
    with pytest.raises(AssertionError, match="of the batch is right"):
        tester.check_overfits_one_batch(steps=5)
    tester.check_inference()
