"""Area Q from its fifth row on, and row 014: transforms, models, and the names of packages."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

import distrt as torch
import distrt.vision as torchvision
import distrt.vision.transforms as transforms
from distrt.vision import models
from tests.inventory.rows import covers


@pytest.fixture
def image() -> Any:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


@covers("Q5", "Q18")
def test_compose_takes_any_callable(image: Any) -> None:
    class AddGaussianNoise:
        def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
            self.mean, self.std = mean, std

        def __call__(self, tensor: Any) -> Any:
            return tensor + torch.randn(tensor.size()) * self.std + self.mean

    chain = transforms.Compose([transforms.ToTensor(), AddGaussianNoise(10.0, 0.1)])
    assert len(chain.transforms) == 2 and abs(float(chain(image).mean()) - 10.5) < 0.1


@covers("Q6", "Q7", "Q8", "Q9")
def test_resizing_and_crops(image: Any) -> None:
    assert transforms.Resize((25, 26))(image).size == (26, 25)
    assert transforms.Resize(15)(image).size == (20, 15)
    assert np.array_equal(np.asarray(transforms.Resize((7, 8))(image)), np.asarray(image.resize((8, 7), 2)))
    assert transforms.CenterCrop(10)(image).size == (10, 10)
    large = np.asarray(transforms.CenterCrop(50)(image))
    assert large.shape == (50, 50, 3) and not large[:10].any() and not large[:, :5].any()
    assert transforms.RandomCrop(20)(image).size == (20, 20)
    with pytest.raises(ValueError, match=r"\(31, 31\) is larger than input image size \(30, 40\)"):
        transforms.RandomCrop(31)(image)
    crop = transforms.RandomResizedCrop(12)
    assert crop(image).size == (12, 12) and crop.scale == (0.08, 1.0) and crop.ratio == (3 / 4, 4 / 3)


@covers("Q10", "Q11")
def test_flips_and_turns(image: Any) -> None:
    tensor, array = transforms.PILToTensor()(image), np.asarray(image)
    assert np.array_equal(np.asarray(transforms.RandomHorizontalFlip(p=1)(image)), array[:, ::-1])
    assert torch.equal(transforms.RandomVerticalFlip(p=1)(tensor), tensor.flip(-2))
    assert transforms.RandomHorizontalFlip(p=0)(image) is image
    square = Image.fromarray(array[:, :30])
    quarter = transforms.RandomRotation(degrees=(90, 90))(square)
    assert np.array_equal(np.asarray(quarter), np.rot90(array[:, :30]))  # counter-clockwise
    white = Image.new("L", (20, 20), 255)
    assert np.asarray(transforms.RandomRotation(degrees=(45, 45))(white))[0, 0] == 0


@covers("Q12", "Q13")
def test_colours(image: Any) -> None:
    jitter = transforms.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    assert (jitter.brightness, jitter.hue) == ((0.8, 1.2), (-0.1, 0.1))
    orders = {tuple(jitter.get_params((0.8, 1.2), None, None, None)[0].tolist()) for _ in range(50)}
    assert len(orders) > 10 and jitter(image).size == image.size
    grey = np.asarray(transforms.RandomGrayscale(p=1)(image))
    assert (grey[..., 0] == grey[..., 1]).all() and (grey[..., 0] == grey[..., 2]).all()
    assert transforms.RandomGrayscale(p=0)(image) is image


@covers("Q14", "Q15")
def test_tensors_and_normalisation(image: Any) -> None:
    array = np.asarray(image)
    tensor = transforms.ToTensor()(image)
    assert tensor.shape == (3, 30, 40) and torch.equal(tensor, torch.tensor(array.transpose(2, 0, 1)) / 255)
    assert torch.equal(transforms.ToTensor()(array), tensor)
    floats = np.full((2, 2, 1), 7.0, np.float32)
    assert transforms.ToTensor()(floats).max() == 7  # not scaled
    before = tensor.clone()
    changed = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(tensor)
    assert torch.equal(tensor, before)
    assert torch.allclose(changed[1], (tensor[1] - 0.456) / 0.224)


@covers("Q16")
def test_erasing_zeroes_one_rectangle() -> None:
    ones = torch.ones(3, 20, 20)
    erased = transforms.RandomErasing(p=1)(ones)
    rows, columns = (erased[0] == 0).any(1), (erased[0] == 0).any(0)
    area = int(rows.sum()) * int(columns.sum())
    assert int((erased[0] == 0).sum()) == area and 0.01 < area / 400 < 0.4
    assert torch.equal(erased[0], erased[1]) and bool((ones == 1).all())


@covers("Q17")
def test_autoaugment_has_imagenets_policy(image: Any) -> None:
    augment = transforms.AutoAugment()
    assert augment.policy is transforms.AutoAugmentPolicy.IMAGENET and len(augment.policies) == 25
    assert augment.policies[0] == (("Posterize", 0.4, 8), ("Rotate", 0.6, 9))
    assert all(augment(image).size == image.size for _ in range(10))


@covers("Q19", "Q20", "Q21")
def test_a_published_network_is_fine_tuned(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    kept = torchvision.models.resnet18()
    torch.save(kept.state_dict(), folder / "resnet18-f37072fd.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the argument's name is old
        model = models.resnet18(pretrained=True)
    assert torch.equal(model.layer4[1].conv2.weight, kept.layer4[1].conv2.weight)
    assert sum(each.numel() for each in model.parameters()) == 11_689_512 and len(model.state_dict()) == 122
    for each in model.parameters():
        each.requires_grad = False
    model.fc = torch.nn.Linear(model.fc.in_features, 10)
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=0.001)
    trained = [each for each in model.parameters() if each.requires_grad]
    assert sum(each.numel() for each in trained) == 5130
    mean = model.bn1.running_mean.clone()
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    assert not torch.equal(mean, model.bn1.running_mean) and model.conv1.weight.grad is None


@covers("014")
@pytest.mark.parametrize(
    "name", ["", ".nn", ".optim", ".autograd", ".utils", ".vision", ".vision.models", ".vision.datasets"]
)
def test_packages_have_their_names(name: str) -> None:
    assert importlib.import_module(f"distrt{name}").__name__ == f"distrt{name}"
