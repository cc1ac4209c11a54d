"""Models without PyTorch: weights out of a kept file, what a missing one says, and the layers' outputs."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import pytest

import distrt as torch
from distrt.vision import models
from distrt.vision.models import feature_extraction


@pytest.fixture
def cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder in which weights are looked for."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def _kept(cache: Any, name: str, weights: str) -> Any:
    """A model whose weights lie where those of ``weights`` are looked for."""
    model = models.get_model(name)
    torch.save(model.state_dict(), cache / models.get_weight(weights).url.rpartition("/")[2])
    return model


def test_weights_come_from_the_kept_file(cache: Any) -> None:
    model = _kept(cache, "squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1")
    for weights in ("DEFAULT", "IMAGENET1K_V1", models.SqueezeNet1_1_Weights.DEFAULT):
        loaded = models.squeezenet1_1(weights=weights)
        assert all((a == b).all() for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loaded = models.squeezenet1_1(pretrained=True)
    assert (loaded.features[0].weight == model.features[0].weight).all()
    assert "'pretrained' is deprecated" in str(told[0].message)
    assert "weights=SqueezeNet1_1_Weights.IMAGENET1K_V1" in str(told[1].message)


@pytest.mark.ci
def test_old_names_in_published_files_are_understood(cache: Any) -> None:
    model = models.densenet121()
    state = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: value
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(state, cache / "densenet121-a639ec97.pth")
    loaded = models.densenet121(weights="DEFAULT")
    assert all((a == b).all() for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


def test_a_missing_file_without_a_network_is_named(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = models.ResNet18_Weights.DEFAULT
    monkeypatch.setattr(weights.value, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    with pytest.raises(OSError, match=r"cannot download .*resnet18-f37072fd\.pth.*put the file at") as error:
        models.resnet18(weights=weights)
    assert str(cache) in str(error.value) and isinstance(error.value, RuntimeError)
    assert not list(cache.iterdir())


def test_a_download_with_another_checksum_is_thrown_away(cache: Any, tmp_path: Any) -> None:
    source = tmp_path / "source"
    torch.save({"a": torch.ones(2)}, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    for start, right in ((digest[:8], True), ("00000000", False)):
        named = source.with_name(f"m-{start}.pth")
        source.rename(named)
        if right:
            loaded = torch.hub.load_state_dict_from_url(named.as_uri(), check_hash=True)
            assert loaded["a"].tolist() == [1, 1]
        else:
            with pytest.raises(RuntimeError, match='invalid hash value \\(expected "00000000"'):
                torch.hub.load_state_dict_from_url(named.as_uri(), check_hash=True)
        source = named
    assert [path.name for path in cache.iterdir()] == [f"m-{digest[:8]}.pth"]


def test_weights_know_their_classes_and_their_transform() -> None:
    weights = models.ResNet50_Weights.DEFAULT
    assert weights is models.ResNet50_Weights.IMAGENET1K_V2 and weights.meta["num_params"] == 25557032
    assert weights.meta["categories"][281] == "tabby" and len(weights.meta["categories"]) == 1000
    assert weights.transforms()(torch.zeros(3, 300, 400, dtype=torch.uint8)).shape == (3, 224, 224)


def test_models_are_listed_by_pattern_and_module() -> None:
    assert models.list_models(include="resnet*", exclude=["*50", "*101", "*152"]) == ["resnet18", "resnet34"]
    assert "vgg16" in models.list_models(module=models)
    assert models.get_model_builder("vgg16") is models.vgg16
    assert models.get_model_weights(models.vgg16) is models.VGG16_Weights


def test_inner_outputs_are_given_by_name() -> None:
    model = models.resnet18(num_classes=3).eval()
    extractor = feature_extraction.create_feature_extractor(
        model, {"layer1": "low", "layer4.1.conv2": "high"}
    )
    x = torch.randn(1, 3, 32, 32)
    found = extractor(x)
    assert list(found) == ["low", "high"] and found["high"].shape == (1, 512, 1, 1)
    stem = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    assert torch.equal(found["low"], model.layer1(stem))
    assert len(list(extractor.parameters())) == len(list(model.parameters()))
    with pytest.raises(ValueError, match="'layer9' is no layer"):
        feature_extraction.create_feature_extractor(model, ["layer9"])
    with pytest.raises(NotImplementedError, match="named_modules"):
        feature_extraction.get_graph_node_names(model)
    with pytest.raises(NotImplementedError, match="named_modules"):
        feature_extraction.NodePathTracer()
    getter = models._utils.IntermediateLayerGetter(model, {"layer1": "low"})
    assert torch.equal(getter(x)["low"], found["low"]) and "layer2" not in getter


def test_a_vision_transformer_loads_positions_of_another_image_size() -> None:
    def make(size: int) -> Any:
        return models.VisionTransformer(size, 8, 1, 2, 8, 16, num_classes=3)

    state = models.vision_transformer.interpolate_embeddings(48, 8, make(32).state_dict(), reset_heads=True)
    missing, unexpected = make(48).load_state_dict(state, strict=False)
    assert set(missing) == {"heads.head.weight", "heads.head.bias"} and not unexpected
    with pytest.raises(AssertionError, match="Wrong image height! Expected 48 but got 32"):
        make(48)(torch.zeros(1, 3, 32, 48))
