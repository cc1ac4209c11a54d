"""What needs no PyTorch to be judged: suppression of boxes, files of images, and a machine without Pillow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import distrt as torch
from distrt.vision import io, ops, transforms, utils
from distrt.vision.transforms import v2


def _suppressed(boxes: Any, scores: Any, threshold: float) -> list[int]:
    """The definition: by falling score, each box that overlaps none of those kept by more than the threshold."""
    iou = ops.box_iou(boxes, boxes).numpy()
    kept: list[int] = []
    for number in np.argsort(-scores.numpy(), kind="stable"):
        if all(iou[number, other] <= threshold for other in kept):
            kept.append(int(number))
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_suppression_is_its_definition(threshold: float, rng: np.random.Generator) -> None:
    corners = rng.random((40, 2)) * 30
    boxes = torch.tensor(
        np.concatenate([corners, corners + 1 + rng.random((40, 2)) * 20], 1).astype(np.float32)
    )
    scores = torch.tensor(rng.random(40).astype(np.float32))
    assert ops.nms(boxes, scores, threshold).tolist() == _suppressed(boxes, scores, threshold)
    classes = torch.arange(40) % 3
    found = set(ops.batched_nms(boxes, scores, classes, threshold).tolist())
    for number in range(3):
        mine = (classes == number).nonzero().flatten()
        assert found & set(mine.tolist()) == {
            int(mine[each]) for each in _suppressed(boxes[mine], scores[mine], threshold)
        }


def test_no_boxes_leave_none() -> None:
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match=r"\(N, 4\), got \(3, 5\)"):
        ops.nms(torch.zeros(3, 5), torch.zeros(3), 0.5)


def test_images_go_into_files_and_come_back(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (3, 9, 8), dtype=torch.uint8)
    io.write_png(image, tmp_path / "a.png")
    assert torch.equal(io.read_image(tmp_path / "a.png"), image)
    assert io.decode_image(io.read_file(tmp_path / "a.png"), "GRAY").shape == (1, 9, 8)
    io.write_jpeg(image, tmp_path / "a.jpg", quality=90)
    assert io.read_image(str(tmp_path / "a.jpg"), io.ImageReadMode.RGB_ALPHA).shape == (4, 9, 8)
    utils.save_image([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)], tmp_path / "grid.png", padding=1)
    assert np.asarray(Image.open(tmp_path / "grid.png")).shape == (6, 11, 3)
    for text, fault in (
        (b"no image", "not an image"),
        ((tmp_path / "a.png").read_bytes()[:60], "not an image"),
    ):
        (tmp_path / "bad").write_bytes(text)
        with pytest.raises(RuntimeError, match=fault):
            io.read_image(tmp_path / "bad")


def test_the_second_versions_names() -> None:
    steps = [v2.ToImage(), v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True), v2.Identity()]
    chain = v2.Compose(steps)
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert torch.allclose(chain(array), torch.tensor(array[:, ::-1].transpose(2, 0, 1).copy()) / 255)
    assert v2.RGB()(torch.zeros(1, 2, 2)).shape == (3, 2, 2) and v2.functional is transforms.functional


@pytest.mark.ci
def test_without_pillow_models_and_tensors_work_and_the_extra_is_named() -> None:
    program = """
import sys
sys.modules["PIL"] = None
import distrt as torch
from distrt.vision import datasets, io, models, ops, transforms, utils
assert models.squeezenet1_1(num_classes=2)(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
assert transforms.Resize(8)(torch.zeros(3, 16, 16)).shape == (3, 8, 8)
image = torch.zeros(3, 2, 2)
for call in (transforms.ToPILImage(), lambda image: utils.save_image(image, "x.png")):
    try:
        call(image)
    except ModuleNotFoundError as error:
        assert "distrt[vision]" in str(error)
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
