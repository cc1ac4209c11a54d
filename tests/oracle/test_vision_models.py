"""The models beside torchvision's: names, shapes, text, first values, outputs, and weights that go both ways."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.vision import models
from tests.oracles import require_torch, require_torchvision

torch = require_torch()
torchvision = require_torchvision()

#: Each builds in less than a second or so.
SMALL = ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_0", "squeezenet1_1"]
LARGE = ["vit_h_14", "vit_l_16", "vit_l_32", "resnext101_64x4d", "wide_resnet101_2"]  # gigabytes
MIDDLE = [name for name in models.list_models() if name not in (*SMALL, *LARGE)]

#: Other arguments than a model's function has by default.
CHANGED: list[Any] = [
    ("resnet18", {"num_classes": 7, "zero_init_residual": True}),
    ("resnet50", {"num_classes": 3, "replace_stride_with_dilation": [False, True, True]}),
    ("resnet18", {"num_classes": 3, "norm_layer": lambda width: None}),
    pytest.param(
        "vgg11_bn", {"num_classes": 3, "init_weights": False, "dropout": 0.1}, marks=pytest.mark.slow
    ),
    ("mobilenet_v2", {"width_mult": 0.35, "num_classes": 3}),
    ("mobilenet_v3_large", {"reduced_tail": True, "dilated": True, "width_mult": 0.5}),
    ("densenet121", {"bn_size": 2, "drop_rate": 0.1, "num_classes": 3}),
    ("vit_b_32", {"image_size": 64, "representation_size": 11, "num_classes": 5, "dropout": 0.1}),
]


def _seen(model: Any, library: Any) -> dict[str, Any]:
    return {
        name: (tuple(value.shape), str(value.dtype).replace("distrt", "torch"))
        for name, value in model.state_dict().items()
    }


def _agree(ours: Any, theirs: Any) -> None:
    """Names, shapes, dtypes and text; how the values are spread; and outputs of the same weights."""
    assert list(_seen(ours, distrt).items()) == list(_seen(theirs, torch).items())
    assert str(ours) == str(theirs)
    for (name, mine), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        _spread_alike(name, mine.detach().numpy(), their.detach().numpy())
    _fill(theirs)
    ours.load_state_dict(
        {name: distrt.from_numpy(value.numpy()) for name, value in theirs.state_dict().items()}
    )
    size = getattr(theirs, "image_size", 96)
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    ours.eval(), theirs.eval()
    with distrt.no_grad(), torch.no_grad():
        found, expected = ours(distrt.from_numpy(x)).numpy(), theirs(torch.from_numpy(x)).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, 1e-3, 1e-4 * float(np.abs(expected).max()))


def _spread_alike(name: str, ours: Any, theirs: Any) -> None:
    if theirs.std() == 0:
        assert (ours == theirs).all(), name
    elif theirs.size > 2000:
        assert abs(ours.std() / theirs.std() - 1) < 0.06, name
        assert abs(ours.mean() - theirs.mean()) < 0.1 * theirs.std(), name
        assert 0.6 < abs(ours).max() / abs(theirs).max() < 1.6, name  # normal, truncated or uniform


def _fill(model: Any) -> None:
    """Weights with which every layer matters: some begin at 0, or as small as to leave nothing of the input."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.dim() > 1:
                value.normal_(0, (1.5 / value[0].numel()) ** 0.5, generator=generator)
            elif value.is_floating_point():
                value.normal_(1 if name.endswith("weight") else 0, 0.1, generator=generator)


def _both(name: str, **arguments: Any) -> tuple[Any, Any]:
    return models.get_model(name, **arguments), torchvision.models.get_model(name, **arguments)


@pytest.mark.ci
@pytest.mark.parametrize("name", SMALL)
def test_a_model_is_torchvisions(name: str) -> None:
    _agree(*_both(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", MIDDLE)
def test_a_larger_model_is_torchvisions(name: str) -> None:
    _agree(*_both(name))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("name", "arguments"), CHANGED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_changed_model_is_torchvisions(name: str, arguments: dict[str, Any]) -> None:
    if "norm_layer" in arguments:
        arguments = {**arguments, "norm_layer": None}
        ours = models.get_model(
            name, **{**arguments, "norm_layer": lambda width: distrt.nn.GroupNorm(4, width)}
        )
        theirs = torchvision.models.get_model(
            name, **{**arguments, "norm_layer": lambda width: torch.nn.GroupNorm(4, width)}
        )
        return _agree(ours, theirs)
    return _agree(*_both(name, **arguments))


def test_a_small_transformer_with_a_stem_is_torchvisions() -> None:
    def make(library: Any, vision: Any) -> Any:
        config = vision.models.vision_transformer.ConvStemConfig
        stem = [config(4, 3, 2), config(8, 3, 2), config(8, 3, 2), config(8, 3, 2)]
        return vision.models.VisionTransformer(32, 16, 2, 2, 8, 16, num_classes=3, conv_stem_configs=stem)

    _agree(make(distrt, distrt.vision), make(torch, torchvision))


def test_a_network_of_single_blocks_is_torchvisions() -> None:
    _agree(
        models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=3, groups=2, width_per_group=8),
        torchvision.models.ResNet(
            torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=3, groups=2, width_per_group=8
        ),
    )


def test_weights_of_ours_load_into_torchvisions(tmp_path: Any) -> None:
    path = tmp_path / "weights.pth"
    ours, theirs = _both("mobilenet_v3_small", num_classes=4)
    distrt.save(ours.state_dict(), path)
    theirs.load_state_dict(torch.load(path))
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (mine.detach().numpy() == their.detach().numpy()).all()


def test_gradients_are_torchvisions() -> None:
    ours, theirs = _both("squeezenet1_1", num_classes=4)
    ours.load_state_dict(
        {name: distrt.from_numpy(value.numpy()) for name, value in theirs.state_dict().items()}
    )
    ours.eval(), theirs.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    ours(distrt.from_numpy(x)).sum().backward()
    theirs(torch.from_numpy(x)).sum().backward()
    for (name, mine), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = float(their.grad.abs().max())
        np.testing.assert_allclose(mine.grad.numpy(), their.grad.numpy(), 1e-3, 1e-4 * scale, err_msg=name)


def test_published_weights_are_torchvisions() -> None:
    names = models.list_models()
    assert names == [
        name for name in torchvision.models.list_models(module=torchvision.models) if name in names
    ]
    for name in names:
        ours, theirs = models.get_model_weights(name), torchvision.models.get_model_weights(name)
        assert ours.__name__ == theirs.__name__ and list(ours.__members__) == list(theirs.__members__)
        for mine, their in zip(ours.__members__.values(), theirs.__members__.values(), strict=True):
            assert (mine.url, mine.name, str(mine), repr(mine)) == (
                their.url,
                their.name,
                str(their),
                repr(their),
            )
            known = {key: value for key, value in their.meta.items() if key != "_docs"}
            assert str(mine.meta.keys()) and repr(sorted(mine.meta.items())) == repr(sorted(known.items()))
            assert repr(mine.transforms()) == repr(their.transforms())


@pytest.mark.parametrize(
    "ask",
    [
        lambda models: models.resnet18(weights="NONE"),
        lambda models: models.resnet18(weights=models.VGG16_Weights.DEFAULT),
        lambda models: models.resnet18(weights="DEFAULT", num_classes=3),
        lambda models: models.resnet18(pretrained=True, num_classes=3),
        lambda models: models.resnet18(True, num_classes=3),
        lambda models: models.resnext50_32x4d(groups=3),
        lambda models: models.get_model("none"),
        lambda models: models.get_model_weights("none"),
        lambda models: models.get_weight("ResNet50_Weights"),
        lambda models: models.get_weight("None_Weights.X"),
        lambda models: models.get_weight("ResNet50_Weights.X"),
        lambda models: models.ResNet18_Weights("x"),
        lambda models: models.resnet18(replace_stride_with_dilation=[True]),
        lambda models: models.resnet18(replace_stride_with_dilation=[True, True, True]),
        lambda models: models.resnet18(groups=2),
        lambda models: models.squeezenet.SqueezeNet("3"),
        lambda models: models.mobilenet_v2(inverted_residual_setting=[[1, 2]]),
        lambda models: models.mobilenetv3.MobileNetV3([], 4),
        lambda models: models.mobilenetv3.MobileNetV3([1], 4),
        lambda models: models.vit_b_16(image_size=30),
    ],
)
def test_bad_requests_are_refused_as_in_torchvision(ask: Any) -> None:
    raised = []
    for library in (torchvision.models, models):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with pytest.raises(Exception) as error:
                ask(library)
        raised.append((type(error.value), str(error.value), [str(each.message) for each in told]))
    assert raised[0] == raised[1]
