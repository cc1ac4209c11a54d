"""The functional transforms beside torchvision's: the same image and parameters give the same result or error."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.vision import transforms as our_transforms
from tests.oracle.vision_calls import CALLS, DIFFERENT, Call
from tests.oracles import require_torch, require_torchvision

torch = require_torch()
torchvision = require_torchvision()

from PIL import Image  # noqa: E402 - torchvision brings it

from tests.vision.images import arrays, pillow_images  # noqa: E402

NAMES = sorted({name for name, _, _ in CALLS})


def _images() -> list[tuple[str, Any, Any]]:
    """(kind, theirs, ours)"""
    rng = np.random.default_rng(0)
    images = [(kind, image, image.copy()) for kind, image in pillow_images(rng).items()]
    images += [
        (kind, torch.from_numpy(each), distrt.from_numpy(each.copy())) for kind, each in arrays(rng).items()
    ]
    for shape, dtype in (
        ((9, 8, 3), "uint8"),
        ((9, 8, 1), "float32"),
        ((9, 8), "int16"),
        ((9, 8, 5), "uint8"),
    ):
        array = (rng.random(shape) * 200).astype(dtype)
        images.append((f"array {shape} {dtype}", array, array.copy()))
    return [*images, ("text", "x", "x")]


def _result(library: Any, transforms: Any, image: Any, call: Call) -> Any:
    name, arguments, keywords = call

    def meant(value: Any) -> Any:
        if isinstance(value, str) and hasattr(transforms.InterpolationMode, value):
            return getattr(transforms.InterpolationMode, value)
        return getattr(library, value) if name == "convert_image_dtype" else value

    if isinstance(image, library.Tensor):
        image = image.clone()
    try:
        return getattr(transforms.functional, name)(image, *map(meant, arguments), **keywords)
    except Exception as error:
        return error


def _fault(ours: Any, theirs: Any) -> str | None:
    """What differs between two results; None where nothing does."""
    if isinstance(theirs, Exception):
        # PyTorch's own RuntimeErrors have distrt's wording; both name the same fault.
        if not isinstance(ours, Exception) or not isinstance(ours, type(theirs) | RuntimeError):
            return f"{theirs!r} expected, got {ours!r:.200}"
        if isinstance(theirs, RuntimeError) or _worded(str(theirs)) in _worded(str(ours)):
            return None
        return f"{theirs!r} expected, got {ours!r}"
    if isinstance(ours, Exception):
        return f"a result expected, got {ours!r}"
    if isinstance(theirs, tuple):
        faults = [_fault(*pair) for pair in zip(ours, theirs, strict=True)]
        return next((fault for fault in faults if fault), None)
    if isinstance(theirs, Image.Image):
        if not isinstance(ours, Image.Image) or ours.mode != theirs.mode:
            return f"an image of mode {theirs.mode} expected, got {ours}"
        return _array_fault(np.asarray(ours), np.asarray(theirs))
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, distrt.Tensor):
            return f"a tensor expected, got {ours!r}"
        return _array_fault(ours.numpy(), theirs.numpy())
    return None if ours == theirs else f"{theirs} expected, got {ours}"


def _worded(message: str) -> str:
    for text in ("distrt.core.tensor", "distrt", "numpy.uint8", "numpy.int16", "numpy.dtype"):
        message = message.replace(text, "numpy" if text.startswith("numpy") else "torch")
    return message


def _array_fault(ours: Any, theirs: Any) -> str | None:
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return f"{theirs.dtype} {theirs.shape} expected, got {ours.dtype} {ours.shape}"
    if ours.size == 0:
        return None
    if ours.dtype == bool:
        return None if (ours == theirs).all() else "other pixels"
    gap = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    if ours.dtype.kind == "f":
        bound = 2e-5 * max(1.0, float(np.abs(theirs).max())) if ours.dtype != np.float16 else 2e-3
        return None if gap.max() <= bound else f"off by {gap.max()}"
    # What lies half way between two integers may be rounded either way.
    rare = (gap > 0).mean() <= 0.01
    return None if gap.max() <= 1 and rare else f"off by {gap.max()}, {(gap > 0).mean():.2%} of the pixels"


@pytest.mark.ci
@pytest.mark.parametrize("name", NAMES)
def test_the_same_parameters_give_the_same_result_or_error(name: str) -> None:
    images, faults, compared = _images(), [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, theirs, ours in images:
            if (name, kind) in DIFFERENT:
                continue
            for call in (each for each in CALLS if each[0] == name):
                expected = _result(torch, torchvision.transforms, theirs, call)
                fault = _fault(_result(distrt, our_transforms, ours, call), expected)
                compared += 1
                if fault:
                    faults.append(f"{kind} {call}: {fault}")
    assert not faults
    assert compared >= len(images) - 3
