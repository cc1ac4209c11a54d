"""Area W: hooks of modules and tensors, and what the documents make of them, beside PyTorch with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.inventory.rows import covers


def _network(nn: Any) -> Any:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 5))


def _both(torch: Any) -> list[tuple[Any, Any, Any]]:
    """Library, network and images, alike in both libraries."""
    ours, theirs = _network(distrt.nn), _network(torch.nn)
    theirs.load_state_dict({name: torch.from_numpy(each.numpy()) for name, each in ours.state_dict().items()})
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("f4")
    return [(library, net, library.from_numpy(images)) for library, net in ((torch, theirs), (distrt, ours))]


@covers("W1")
def test_a_forward_hook_sees_arguments_and_result_and_may_replace_it() -> None:
    lstm, seen = distrt.nn.LSTM(3, 4), []
    handle = lstm.register_forward_hook(lambda model, input, output: seen.append((input, output)))
    x = distrt.randn(5, 2, 3)
    lstm(x)
    (given, made), kind = seen[0], type(seen[0][1])
    assert isinstance(given, tuple) and given[0] is x
    assert kind is tuple and made[0].shape == (5, 2, 4) and made[1][0].shape == (1, 2, 4)
    handle.remove()
    lstm(x)
    assert len(seen) == 1
    doubled = distrt.nn.ReLU()
    doubled.register_forward_hook(lambda model, input, output: output * 2)
    assert doubled(distrt.tensor([1.0, -1.0])).tolist() == [2.0, 0.0]


@covers("W2", "W3")
def test_backward_hooks_see_gradients_and_may_replace_them(torch: Any) -> None:
    found = []
    for _, net, images in _both(torch):
        seen: list[Any] = []
        net[3].register_full_backward_hook(lambda model, inner, outer, seen=seen: seen.append((inner, outer)))
        net[0].register_full_backward_hook(lambda model, inner, outer: (inner[0] * 2,))
        images.requires_grad_()
        out = net(images)
        out.register_hook(lambda gradient: gradient * 3)
        out.square().sum().backward()
        assert isinstance(seen[0][0], tuple) and isinstance(seen[0][1], tuple)
        found.append(
            [seen[0][0][0].numpy(), seen[0][1][0].numpy(), images.grad.numpy(), net[0].weight.grad.numpy()]
        )
    for expected, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


class GradCAM:
    """As in the documents."""

    def __init__(self, library: Any, model: Any, target_layer: Any) -> None:
        self.library, self.model = library, model
        target_layer.register_forward_hook(self._save_activation)
        target_layer.register_full_backward_hook(self._save_gradient)

    def _save_activation(self, module: Any, input: Any, output: Any) -> None:
        self.activations = output.detach()

    def _save_gradient(self, module: Any, grad_input: Any, grad_output: Any) -> None:
        self.gradients = grad_output[0].detach()

    def generate(self, x: Any, target_class: int) -> Any:
        functional = self.library.nn.functional
        output = self.model(x)
        self.model.zero_grad()
        output[0, target_class].backward()
        weights = self.gradients.mean(dim=[2, 3], keepdim=True)
        cam = functional.relu((weights * self.activations).sum(dim=1, keepdim=True))
        cam = functional.interpolate(cam, x.shape[2:], mode="bilinear", align_corners=False)
        cam = cam - cam.min()
        return cam / cam.max()


@covers("W4")
def test_a_heat_map_is_pytorchs(torch: Any) -> None:
    maps = [GradCAM(lib, net, net[1]).generate(images[:1], 2).numpy() for lib, net, images in _both(torch)]
    assert maps[1].shape == (1, 1, 8, 8)
    assert (maps[1].min(), maps[1].max()) == (0.0, 1.0)
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-3, atol=1e-4)


@covers("W5")
@pytest.mark.ci
def test_hooks_on_a_resnet_see_its_shapes() -> None:
    from distrt.vision import models

    model, shapes = models.resnet18(), {}

    def get_activation(name: str) -> Any:
        def hook(model: Any, input: Any, output: Any) -> None:
            shapes[name] = tuple(output.detach().shape)

        return hook

    def get_gradient(name: str) -> Any:
        def hook(model: Any, grad_input: Any, grad_output: Any) -> None:
            shapes[name] = tuple(grad_output[0].detach().shape)

        return hook

    model.layer1.register_forward_hook(get_activation("layer1"))
    model.layer2.register_forward_hook(get_activation("layer2"))
    model.layer4.register_full_backward_hook(get_gradient("layer4"))
    model(distrt.randn(1, 3, 224, 224)).sum().backward()
    assert shapes == {"layer1": (1, 64, 56, 56), "layer2": (1, 128, 28, 28), "layer4": (1, 512, 7, 7)}
