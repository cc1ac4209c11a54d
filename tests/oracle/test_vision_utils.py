"""Grids, drawings, boxes and layers beside torchvision's."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from distrt import vision
from tests.oracles import require_torch, require_torchvision

torch = require_torch()
torchvision = require_torchvision()

_RNG = np.random.default_rng(0)
IMAGES = _RNG.random((10, 3, 5, 7), dtype=np.float32)
BYTES = _RNG.integers(0, 255, (3, 60, 80), dtype=np.uint8)
DRAWN = np.array([[3, 4, 30, 40], [10, 5, 70, 50.0]], np.float32)
_CORNERS = _RNG.random((20, 2)) * 50
BOXES = np.concatenate([_CORNERS, _CORNERS + _RNG.random((20, 2)) * 30 + 1], 1).astype(np.float32)
OTHERS = BOXES[::-1][:7].copy() + 2
MASKS = _RNG.random((3, 9, 8)) > 0.8


def _agree(call: Callable[..., Any]) -> None:
    """``call(library, make)`` in both libraries: the same kind of result, and the same values."""
    theirs = call(torchvision, lambda array: torch.from_numpy(array.copy()))
    ours = call(vision, lambda array: distrt.from_numpy(array.copy()))
    assert str(ours.dtype).replace("distrt", "torch") == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-5, 1e-6)


GRIDS: list[dict[str, Any]] = [
    {},
    {"nrow": 3},
    {"padding": 0, "pad_value": 0.5},
    {"normalize": True},
    {"normalize": True, "scale_each": True},
    {"normalize": True, "value_range": (-1, 0.5)},
]


@pytest.mark.parametrize("options", GRIDS)
def test_grids(options: dict[str, Any]) -> None:
    for images in (IMAGES, IMAGES[:, :1], IMAGES[0], IMAGES[0, 0], IMAGES[:1]):
        _agree(lambda v, t, images=images: v.utils.make_grid(t(images), **options))
    _agree(lambda v, t: v.utils.make_grid([t(each) for each in IMAGES], **options))


def test_files_of_images_are_the_same_bytes() -> None:
    files = io.BytesIO(), io.BytesIO()
    torchvision.utils.save_image(torch.from_numpy(IMAGES), files[0], format="png", nrow=4)
    vision.utils.save_image(distrt.from_numpy(IMAGES), files[1], format="png", nrow=4)
    assert files[0].getvalue() == files[1].getvalue()


DRAWINGS: list[dict[str, Any]] = [
    {},
    {"labels": ["a", "bc"]},
    {"colors": "red", "width": 3},
    {"colors": ["red", (1, 2, 3)], "fill": True},
]


@pytest.mark.parametrize("options", DRAWINGS)
def test_boxes_drawn_into_images(options: dict[str, Any]) -> None:
    for image in (BYTES, BYTES[:1], (BYTES / 255).astype(np.float32)):
        _agree(lambda v, t, image=image: v.utils.draw_bounding_boxes(t(image), t(DRAWN), **options))


@pytest.mark.parametrize(
    "call",
    [
        lambda v, t: v.utils.make_grid(3),
        lambda v, t: v.utils.make_grid([3]),
        lambda v, t: v.utils.make_grid(t(IMAGES), normalize=True, value_range=3),
        lambda v, t: v.utils.draw_bounding_boxes(3, t(DRAWN)),
        lambda v, t: v.utils.draw_bounding_boxes(t(BYTES.astype(np.int64)), t(DRAWN)),
        lambda v, t: v.utils.draw_bounding_boxes(t(IMAGES), t(DRAWN)),
        lambda v, t: v.utils.draw_bounding_boxes(t(BYTES[:2]), t(DRAWN)),
        lambda v, t: v.utils.draw_bounding_boxes(t(BYTES), t(DRAWN[:, ::-1])),
        lambda v, t: v.utils.draw_bounding_boxes(t(BYTES), t(DRAWN), labels=["a"]),
        lambda v, t: v.utils.draw_bounding_boxes(t(BYTES), t(DRAWN), colors=["red"]),
        lambda v, t: v.ops.box_convert(t(BOXES), "xyxy", "x"),
        lambda v, t: v.ops.stochastic_depth(t(BOXES), 2, "row"),
        lambda v, t: v.ops.stochastic_depth(t(BOXES), 0.5, "x"),
    ],
)
def test_bad_arguments_are_refused_by_the_same_class(call: Any) -> None:
    kinds = []
    for library, make in ((torchvision, torch.from_numpy), (vision, distrt.from_numpy)):
        with pytest.raises(Exception) as error:
            call(library, lambda array, make=make: make(array.copy()))
        kinds.append(type(error.value))
    assert kinds[0] is kinds[1]


BOX_CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "iou": lambda v, t: v.ops.box_iou(t(BOXES), t(OTHERS)),
    "whole_iou": lambda v, t: v.ops.box_iou(t(BOXES.astype(np.int64)), t(OTHERS.astype(np.int64))),
    "giou": lambda v, t: v.ops.generalized_box_iou(t(BOXES), t(OTHERS)),
    "diou": lambda v, t: v.ops.distance_box_iou(t(BOXES), t(OTHERS)),
    "ciou": lambda v, t: v.ops.complete_box_iou(t(BOXES), t(OTHERS)),
    "area": lambda v, t: v.ops.box_area(t(BOXES)),
    "clip": lambda v, t: v.ops.clip_boxes_to_image(t(BOXES - 10), size=(40, 50)),
    "small": lambda v, t: v.ops.remove_small_boxes(t(BOXES), 10.0),
    "masks": lambda v, t: v.ops.masks_to_boxes(t(MASKS)),
    "focal": lambda v, t: v.ops.sigmoid_focal_loss(
        t(BOXES), t((BOXES > 30).astype(np.float32)), reduction="mean"
    ),
    "no_depth": lambda v, t: v.ops.stochastic_depth(t(BOXES), 1.0, "row"),
}


@pytest.mark.parametrize("name", BOX_CALLS)
def test_boxes(name: str) -> None:
    _agree(BOX_CALLS[name])


@pytest.mark.parametrize("old", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("new", ["xyxy", "xywh", "cxcywh"])
def test_formats_of_boxes(old: str, new: str) -> None:
    _agree(lambda v, t: v.ops.box_convert(t(BOXES), old, new))


LAYERS: dict[str, Callable[[Any, Any], Any]] = {
    "frozen": lambda ops, nn: ops.misc.FrozenBatchNorm2d(3),
    "norm_activation": lambda ops, nn: ops.Conv2dNormActivation(
        3, 4, (3, 5), dilation=2, activation_layer=nn.SiLU
    ),
    "plain": lambda ops, nn: ops.Conv2dNormActivation(3, 4, norm_layer=None, activation_layer=None),
    "squeeze": lambda ops, nn: ops.SqueezeExcitation(3, 2),
    "mlp": lambda ops, nn: ops.MLP(7, [5, 3], norm_layer=nn.LayerNorm, dropout=0.1),
    "permute": lambda ops, nn: ops.Permute([0, 2, 3, 1]),
    "depth": lambda ops, nn: ops.StochasticDepth(0.3, "row"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    theirs, ours = LAYERS[name](torchvision.ops, torch.nn).eval(), LAYERS[name](vision.ops, distrt.nn).eval()
    assert repr(ours) == repr(theirs)
    with torch.no_grad():
        for value in theirs.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    state = {key: distrt.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()}
    if name == "frozen":
        state["num_batches_tracked"] = distrt.tensor(3)  # the file of a BatchNorm2d has it
    ours.load_state_dict(state)
    found, expected = ours(distrt.from_numpy(IMAGES)), theirs(torch.from_numpy(IMAGES))
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-5, 1e-6)


def test_drawing_no_box_warns() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        image = vision.utils.draw_bounding_boxes(distrt.from_numpy(BYTES), distrt.zeros(0, 4))
    assert image.shape == BYTES.shape and "doesn't contain any box" in str(told[0].message)
