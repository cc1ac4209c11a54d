# ruff: noqa: N803 - T is what scripts call the transforms
"""The transforms beside torchvision's: their text, their errors, what they do with given parameters, what they draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.vision import transforms as ours
from tests.oracles import require_torch, require_torchvision

torch = require_torch()
torchvision = require_torchvision()
theirs = torchvision.transforms

from PIL import Image  # noqa: E402 - torchvision brings it

Make = Callable[[Any, Any], Any]

#: How to make each transform, given the library of transforms and that of tensors.
MADE: dict[str, Make] = {
    "compose": lambda T, t: T.Compose([T.Resize(9), T.Compose([T.ToTensor()])]),
    "to_tensor": lambda T, t: T.ToTensor(),
    "pil_to_tensor": lambda T, t: T.PILToTensor(),
    "dtype": lambda T, t: T.ConvertImageDtype(t.float16),
    "to_pil": lambda T, t: T.ToPILImage(),
    "to_pil_mode": lambda T, t: T.ToPILImage("RGB"),
    "normalize": lambda T, t: T.Normalize([0.1, 0.2, 0.3], (0.4, 0.5, 0.6)),
    "resize": lambda T, t: T.Resize((8, 9), T.InterpolationMode.BICUBIC, antialias=None),
    "resize_max": lambda T, t: T.Resize(8, max_size=9),
    "center_crop": lambda T, t: T.CenterCrop(7),
    "pad": lambda T, t: T.Pad((1, 2), 3, "constant"),
    "lambda": lambda T, t: T.Lambda(lambda x: x),
    "apply": lambda T, t: T.RandomApply([T.CenterCrop(7), T.ToTensor()], 0.3),
    "order": lambda T, t: T.RandomOrder([T.CenterCrop(7), T.ToTensor()]),
    "choice": lambda T, t: T.RandomChoice([T.CenterCrop(7), T.ToTensor()], p=[0.1, 0.9]),
    "random_crop": lambda T, t: T.RandomCrop(7, padding=(1, 2), pad_if_needed=True, fill=3),
    "hflip": lambda T, t: T.RandomHorizontalFlip(0.3),
    "vflip": lambda T, t: T.RandomVerticalFlip(),
    "perspective": lambda T, t: T.RandomPerspective(0.4, 0.9),
    "resized_crop": lambda T, t: T.RandomResizedCrop((7, 8), (0.1, 0.123456), (0.5, 1 / 3 + 1)),
    "five_crop": lambda T, t: T.FiveCrop(5),
    "ten_crop": lambda T, t: T.TenCrop((5, 6), vertical_flip=True),
    "linear": lambda T, t: T.LinearTransformation(t.eye(12), t.zeros(12)),
    "jitter": lambda T, t: T.ColorJitter(0.2, (0.3, 0.9), 0, 0.1),
    "rotation": lambda T, t: T.RandomRotation(15),
    "rotation_more": lambda T, t: T.RandomRotation((-3, 15), expand=True, center=(1, 2), fill=3),
    "affine": lambda T, t: T.RandomAffine(15),
    "affine_more": lambda T, t: T.RandomAffine(
        (1, 2), (0.1, 0.2), (0.5, 2), (1, 2, 3, 4), T.InterpolationMode.BILINEAR, 4, (5, 6)
    ),
    "grey": lambda T, t: T.Grayscale(3),
    "random_grey": lambda T, t: T.RandomGrayscale(),
    "erasing": lambda T, t: T.RandomErasing(0.4, value="random"),
    "blur": lambda T, t: T.GaussianBlur(3),
    "blur_more": lambda T, t: T.GaussianBlur((3, 5), 0.7),
    "invert": lambda T, t: T.RandomInvert(),
    "posterize": lambda T, t: T.RandomPosterize(3),
    "solarize": lambda T, t: T.RandomSolarize(128, p=0.2),
    "sharpness": lambda T, t: T.RandomAdjustSharpness(2),
    "autocontrast": lambda T, t: T.RandomAutocontrast(),
    "equalize": lambda T, t: T.RandomEqualize(),
    "elastic": lambda T, t: T.ElasticTransform(40.0, [3.0, 4.0]),
    "autoaugment": lambda T, t: T.AutoAugment(T.AutoAugmentPolicy.SVHN),
    "randaugment": lambda T, t: T.RandAugment(3, 5),
    "trivial": lambda T, t: T.TrivialAugmentWide(),
    "augmix": lambda T, t: T.AugMix(),
}

REFUSED: list[Make] = [
    lambda T, t: T.Lambda(3),
    lambda T, t: T.RandomOrder(3),
    lambda T, t: T.RandomChoice([], p=3),
    lambda T, t: T.Resize("x" * 3),
    lambda T, t: T.Resize(3.0),
    lambda T, t: T.Resize((1, 2, 3)),
    lambda T, t: T.CenterCrop((1, 2, 3)),
    lambda T, t: T.Pad("x"),
    lambda T, t: T.Pad(1, "x"),
    lambda T, t: T.Pad(1, 2, "x"),
    lambda T, t: T.Pad((1, 2, 3)),
    lambda T, t: T.RandomCrop((1, 2, 3)),
    lambda T, t: T.RandomCrop(50)(Image.new("L", (9, 8))),
    lambda T, t: T.RandomResizedCrop(5, scale=3),
    lambda T, t: T.RandomResizedCrop(5, ratio=3),
    lambda T, t: T.LinearTransformation(t.ones(2, 3), t.ones(2)),
    lambda T, t: T.LinearTransformation(t.ones(3, 3), t.ones(2)),
    lambda T, t: T.LinearTransformation(t.ones(3, 3), t.ones(3))(t.ones(1, 2, 2)),
    lambda T, t: T.ColorJitter(-1),
    lambda T, t: T.ColorJitter("x"),
    lambda T, t: T.ColorJitter((0.9, 0.1)),
    lambda T, t: T.ColorJitter(hue=0.7),
    lambda T, t: T.RandomRotation(-1),
    lambda T, t: T.RandomRotation("x"),
    lambda T, t: T.RandomRotation((1, 2, 3)),
    lambda T, t: T.RandomRotation(1, center=3),
    lambda T, t: T.RandomRotation(1, fill={}),
    lambda T, t: T.RandomAffine(1, translate=(2, 0)),
    lambda T, t: T.RandomAffine(1, translate=2),
    lambda T, t: T.RandomAffine(1, scale=(-1, 2)),
    lambda T, t: T.RandomAffine(1, shear=(1, 2, 3)),
    lambda T, t: T.RandomAffine(1, shear=-3),
    lambda T, t: T.RandomErasing(value={}),
    lambda T, t: T.RandomErasing(value="x"),
    lambda T, t: T.RandomErasing(scale=3),
    lambda T, t: T.RandomErasing(ratio=3),
    lambda T, t: T.RandomErasing(scale=(0.1, 2)),
    lambda T, t: T.RandomErasing(p=2),
    lambda T, t: T.RandomErasing(1, value=(1, 2))(t.ones(3, 9, 9)),
    lambda T, t: T.GaussianBlur((1, 2, 3)),
    lambda T, t: T.GaussianBlur(4),
    lambda T, t: T.GaussianBlur(3, -1),
    lambda T, t: T.GaussianBlur(3, (2, 1)),
    lambda T, t: T.GaussianBlur(3, (1, 2, 3)),
    lambda T, t: T.AugMix(severity=11),
    lambda T, t: T.ElasticTransform(alpha="x"),
    lambda T, t: T.ElasticTransform(sigma=[1.0, 2.0, 3.0]),
    lambda T, t: T.ElasticTransform(sigma=[1, 2]),
    lambda T, t: T.ElasticTransform(fill="x"),
]


@pytest.mark.parametrize("name", MADE)
def test_the_text_is_torchvisions(name: str) -> None:
    assert repr(MADE[name](ours, distrt)) == repr(MADE[name](theirs, torch))


@pytest.mark.parametrize("make", REFUSED)
def test_bad_arguments_are_refused_as_in_torchvision(make: Make) -> None:
    errors = []
    for transforms, library in ((theirs, torch), (ours, distrt)):
        with pytest.raises(Exception) as error:
            make(transforms, library)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]


def test_every_public_transform_is_there() -> None:
    public = {name for name in dir(theirs) if name[0].isupper()}
    assert not public - set(dir(ours))
    functions = {
        name
        for name in dir(theirs.functional)
        if not name.startswith("_")
        and getattr(getattr(theirs.functional, name), "__module__", "") == theirs.functional.__name__
    }
    assert not functions - set(dir(ours.functional))
    assert set(theirs.transforms.__all__) <= set(ours.transforms.__all__)


def _image() -> Any:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (33, 47, 3), dtype=np.uint8))


def _pair() -> tuple[Any, Any]:
    array = np.random.default_rng(1).integers(0, 256, (3, 33, 47), dtype=np.uint8)
    return torch.from_numpy(array), distrt.from_numpy(array.copy())


@pytest.mark.parametrize("policy", ["IMAGENET", "CIFAR10", "SVHN"])
def test_policies_are_torchvisions(policy: str) -> None:
    mine, their = (T.AutoAugment(getattr(T.AutoAugmentPolicy, policy)) for T in (ours, theirs))
    assert [tuple(map(tuple, row)) for row in mine.policies] == [
        tuple(map(tuple, row)) for row in their.policies
    ]


SPACES: dict[str, tuple[Make, tuple[Any, ...]]] = {
    "AutoAugment": (lambda T, t: T.AutoAugment(), (10, (33, 47))),
    "RandAugment": (lambda T, t: T.RandAugment(), (31, (33, 47))),
    "TrivialAugmentWide": (lambda T, t: T.TrivialAugmentWide(), (31,)),
    "AugMix": (lambda T, t: T.AugMix(), (10, (33, 47))),
}


@pytest.mark.parametrize("name", SPACES)
def test_changes_and_magnitudes_are_torchvisions_and_so_is_what_they_do(name: str) -> None:
    make, arguments = SPACES[name]
    mine, their = (make(T, t)._augmentation_space(*arguments) for T, t in ((ours, distrt), (theirs, torch)))
    assert set(mine) == set(their)
    from torchvision.transforms.autoaugment import _apply_op as apply_theirs

    from distrt.vision.transforms.autoaugment import _apply_op as apply_ours

    tensor, our_tensor = _pair()
    for change, (magnitudes, signed) in their.items():
        assert signed == mine[change][1]
        np.testing.assert_allclose(mine[change][0].numpy(), magnitudes.numpy(), 1e-6)
        magnitude = float(magnitudes[-3]) if magnitudes.ndim else 0.0
        # A threshold of torchvision's is a float here, and a byte in the image.
        rest = (torchvision.transforms.InterpolationMode.NEAREST, None)
        expected = apply_theirs(_image(), change, magnitude, *rest)
        found = apply_ours(_image(), change, magnitude, ours.InterpolationMode.NEAREST, None)
        assert (np.asarray(found) == np.asarray(expected)).all(), change
        expected = apply_theirs(tensor, change, magnitude, *rest)
        found = apply_ours(our_tensor, change, magnitude, ours.InterpolationMode.NEAREST, None)
        gap = np.abs(found.numpy().astype(int) - expected.numpy().astype(int))
        assert gap.max() <= 1 and (gap > 0).mean() < 0.01, change


#: What is drawn, as a flat list of numbers.
DRAWN: dict[str, Make] = {
    "crop": lambda T, t: T.RandomCrop.get_params(_image(), (7, 9)),
    "resized_crop": lambda T, t: T.RandomResizedCrop.get_params(_image(), [0.08, 1.0], [0.75, 4 / 3]),
    "rotation": lambda T, t: [T.RandomRotation.get_params([-10.0, 30.0])],
    "affine": lambda T, t: _flat(
        T.RandomAffine.get_params([-10.0, 30.0], [0.1, 0.3], [0.5, 2.0], [-4.0, 5.0, 1.0, 2.0], [40, 30])
    ),
    "perspective": lambda T, t: _flat(T.RandomPerspective.get_params(40, 30, 0.5)[1]),
    "jitter": lambda T, t: T.ColorJitter.get_params([0.5, 1.5], None, [0.1, 0.2], [-0.1, 0.1])[1::2],
    "order": lambda T, t: T.ColorJitter.get_params(None, None, None, None)[0].tolist(),
    "erasing": lambda T, t: T.RandomErasing.get_params(t.ones(3, 33, 47), [0.02, 0.33], [0.3, 3.3], [0.0])[
        :4
    ],
    "blur": lambda T, t: [T.GaussianBlur.get_params(0.1, 2.0)],
    "autoaugment": lambda T, t: _flat(
        [each.tolist() if hasattr(each, "tolist") else [each] for each in T.AutoAugment.get_params(25)]
    ),
}


def _flat(value: Any) -> list[float]:
    return [each for part in value for each in _flat(part)] if isinstance(value, list | tuple) else [value]


@pytest.mark.ci
@pytest.mark.parametrize("name", DRAWN)
def test_parameters_are_drawn_as_in_torchvision(name: str) -> None:
    """Means and deviations of 2000 draws, to five standard errors."""
    distrt.manual_seed(0)
    torch.manual_seed(0)
    draw, count = DRAWN[name], 2000
    mine, their = (
        np.array([[float(each) for each in draw(T, t) if each is not None] for _ in range(count)])
        for T, t in ((ours, distrt), (theirs, torch))
    )
    assert mine.shape == their.shape
    spread = their.std(0) + 1e-12
    assert (np.abs(mine.mean(0) - their.mean(0)) < 5 * spread * (2 / count) ** 0.5 + 1e-9).all()
    assert (np.abs(mine.std(0) - their.std(0)) < 0.1 * spread + 1e-9).all()
    width = their.max(0) - their.min(0) + 1e-9
    assert (np.abs(mine.min(0) - their.min(0)) <= 0.1 * width).all()
    assert (np.abs(mine.max(0) - their.max(0)) <= 0.1 * width).all()


@pytest.mark.parametrize("name", [name for name in MADE if name != "linear"])
def test_kinds_and_sizes_of_results_are_torchvisions(name: str) -> None:
    for kind in ("image", "tensor"):
        results = []
        for (transforms, library), tensor in zip(((theirs, torch), (ours, distrt)), _pair(), strict=True):
            image = _image() if kind == "image" else tensor
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    result = MADE[name](transforms, library)(image)
                except Exception as error:
                    results.append(type(error).__mro__[-3].__name__)
                    continue
            many = result if isinstance(result, tuple) else (result,)
            results.append(
                [
                    _kind(each, sizes=name not in ("rotation_more", "apply", "order", "choice"))
                    for each in many
                ]
            )
        if name not in ("apply", "order", "choice", "erasing"):  # what these do is left to chance
            assert results[0] == results[1], kind


def _kind(result: Any, sizes: bool) -> Any:
    if isinstance(result, Image.Image):
        return result.mode, result.size if sizes else None
    return str(result.dtype).replace("distrt", "torch"), tuple(result.shape) if sizes else None
