"""Area Z: the documents' recipes, in the documents' words. ``examples/`` has them learn on real data.

Most run on distrt and on PyTorch with the same weights and data, and must agree.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.documents.definitions import definitions
from tests.inventory.rows import covers


def _numbers(library: Any, *shape: int, seed: int = 0) -> Any:
    return library.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def _integers(library: Any, high: int, *shape: int, seed: int = 0) -> Any:
    return library.from_numpy(np.random.default_rng(seed).integers(0, high, shape))


def _same_weights(torch: Any, ours: Any, theirs: Any) -> None:
    theirs.load_state_dict({name: torch.from_numpy(each.numpy()) for name, each in ours.state_dict().items()})


def _close(ours: Any, theirs: Any, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(ours.detach()), np.asarray(theirs.detach()), rtol=rtol, atol=atol)


Make = Callable[[Any], Any]

#: For each model: its block, how it is made, its input, and how many parameters it has.
MODELS: dict[str, tuple[str, Make, Make, int]] = {
    "SimpleNet(784, 256, 10)": (
        "deep_dive_15",
        lambda at: at.SimpleNet(784, 256, 10),
        lambda library: _numbers(library, 32, 784),
        203_530,
    ),
    "SEBlock": (
        "deep_dive_34",
        lambda at: at.SEBlock(32),
        lambda library: _numbers(library, 2, 32, 5, 4),
        2 * 32 * 2,
    ),
    "TextClassifier, a transformer": (
        "deep_dive_38",
        lambda at: at.TextClassifier(1000, 64, 8, 2, 10),
        lambda library: _integers(library, 1000, 16, 24),
        199_146,
    ),
    "Generator": (
        "deep_dive_39",
        lambda at: at.Generator(20, 1, 8),
        lambda library: _numbers(library, 3, 20, 1, 1),
        63_856,
    ),
    "Discriminator": (
        "deep_dive_39",
        lambda at: at.Discriminator(1, 8),
        lambda library: _numbers(library, 3, 1, 64, 64),
        44_384,
    ),
    "TextClassifier, an LSTM": (
        "engineers_03",
        lambda at: at.TextClassifier(1000, 100, 128, 3),
        lambda library: _integers(library, 1000, 4, 12),
        218_147,
    ),
    "NeuralNetwork": (
        "notes_03",
        lambda at: at.NeuralNetwork(),
        lambda library: _numbers(library, 4, 1, 28, 28),
        669_706,
    ),
    "CNN": ("notes_07", lambda at: at.CNN(), lambda library: _numbers(library, 2, 3, 32, 32), 545_098),
    "SimpleNet": ("notes_06", lambda at: at.SimpleNet(), lambda library: _numbers(library, 4, 10), 22),
}


@pytest.mark.parametrize("name", MODELS)
@covers("Z3", "Z4", "Z6", "Z7", "Z8", "Z12")
def test_models_of_the_documents_are_pytorchs(torch: Any, name: str) -> None:
    block, make, given, count = MODELS[name]
    ours, theirs = make(definitions(block, distrt)), make(definitions(block, torch))
    assert str(ours) == str(theirs)
    assert sum(each.numel() for each in ours.parameters()) == count
    _same_weights(torch, ours, theirs)
    outputs = []
    for library, model in ((distrt, ours.eval()), (torch, theirs.eval())):
        outputs.append(model(given(library)))
        outputs[-1].square().mean().backward()
    assert tuple(outputs[0].shape) == tuple(outputs[1].shape)
    _close(*outputs)
    for (name, parameter), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, expected.grad, rtol=1e-3, atol=1e-5, err_msg=name)


@covers("Z3")
def test_simple_net_is_two_products_of_matrices() -> None:
    model, x = definitions("deep_dive_15", distrt).SimpleNet(784, 256, 10), _numbers(distrt, 32, 784)
    first, second = model.fc1, model.fc2
    hidden = np.maximum(x.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    expected = hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    np.testing.assert_allclose(model(x).detach(), expected, rtol=1e-4, atol=1e-5)


@covers("Z5")
def test_attention_of_the_document(torch: Any) -> None:
    ours, theirs = (definitions("deep_dive_34", each).MultiHeadAttention(16, 4) for each in (distrt, torch))
    _same_weights(torch, ours, theirs)
    mask = np.tril(np.ones((6, 6), np.int64))
    for keep in (None, mask):
        outputs = []
        for library, model in ((distrt, ours.eval()), (torch, theirs.eval())):
            x = _numbers(library, 2, 6, 16)
            outputs.append(model(x, x, x, None if keep is None else library.from_numpy(keep)))
        _close(*outputs)
    changed = _numbers(distrt, 2, 6, 16)
    changed[:, 3:] = 7.0
    masked = ours(changed, changed, changed, distrt.from_numpy(mask))
    _close(masked[:, :3], outputs[0][:, :3])  # what comes later is not seen
    with pytest.raises(AssertionError):
        definitions("deep_dive_34", distrt).MultiHeadAttention(16, 5)


def _training_data(library: Any, count: int, seed: int) -> Any:
    """Points around ten centres, ``count`` of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    centres = np.random.default_rng(7).standard_normal((10, 784))
    points = (centres[labels] + rng.standard_normal((count, 784))).astype(np.float32)
    return library.utils.data.TensorDataset(library.from_numpy(points), library.from_numpy(labels))


def _trainer(library: Any, model: Any) -> Any:
    loaders = [
        library.utils.data.DataLoader(_training_data(library, count, seed), batch_size=32)
        for count, seed in ((120, 0), (40, 1))
    ]
    optimizer = library.optim.Adam(model.parameters(), lr=0.001)
    scheduler = library.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    make = definitions("deep_dive_27", library).Trainer
    return make(model, *loaders, library.nn.CrossEntropyLoss(), optimizer, scheduler, device="cpu")


@covers("Z1", "02", "03", "07")
def test_trainer_learns_and_keeps_the_best(torch: Any, tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    ours, theirs = (definitions("deep_dive_15", each).SimpleNet(784, 256, 10) for each in (distrt, torch))
    _same_weights(torch, ours, theirs)
    trainers, printed = [_trainer(distrt, ours), _trainer(torch, theirs)], []
    for trainer, path in zip(trainers, ("ours.pth", "theirs.pth"), strict=True):
        trainer.fit(3, path)
        printed.append(capsys.readouterr().out)
    for name in ("train_losses", "val_losses"):
        np.testing.assert_allclose(*(getattr(each, name) for each in trainers), rtol=1e-4)
    assert printed[0] == printed[1] and "Saved best model with val_loss: " in printed[0]
    assert trainers[0].train_losses[-1] < trainers[0].train_losses[0] / 2
    best = distrt.load("ours.pth")
    if trainers[0].best_val_loss == trainers[0].val_losses[-1]:
        assert all(distrt.equal(best[name], value) for name, value in ours.state_dict().items())
    assert trainers[0].best_val_loss == min(trainers[0].val_losses)


@covers("Z1")
def test_trainers_first_step_is_the_hand_made_one() -> None:
    """A step of Adam from rest moves each parameter by the learning rate, against its gradient's sign."""
    model = definitions("deep_dive_15", distrt).SimpleNet(784, 256, 10)
    trainer = _trainer(distrt, model)
    trainer.train_loader = list(trainer.train_loader)[:1]
    (points, labels) = trainer.train_loader[0]
    x, before = points.numpy(), [each.detach().clone().numpy() for each in model.parameters()]
    hidden = np.maximum(x @ before[0].T + before[1], 0)
    logits = hidden @ before[2].T + before[3]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    chosen = odds[np.arange(len(labels)), labels.numpy()]
    loss, _ = trainer.train_epoch()
    assert loss == pytest.approx(float(-np.log(chosen).mean()), rel=1e-5)
    odds[np.arange(len(labels)), labels.numpy()] -= 1
    gradient = odds.T @ hidden  # of the last weights, but for a positive factor
    moved = model.fc2.weight.detach().numpy() - before[2]
    clear = np.abs(gradient) > 0.05
    np.testing.assert_allclose(moved[clear], -0.001 * np.sign(gradient[clear]), rtol=1e-2)


@covers("Z2")
def test_early_stopping_counts_and_restores() -> None:
    EarlyStopping = definitions("deep_dive_28", distrt).EarlyStopping
    stopping, model = EarlyStopping(patience=2, min_delta=0.1), distrt.nn.Linear(2, 2)
    assert [stopping(loss, model) for loss in (1.0, 0.8, 0.75, 0.6, 0.55)] == [False] * 5
    assert (stopping.counter, stopping.best_loss) == (1, 0.6)
    model.weight.data.add_(1)
    kept = model.weight.detach().clone()
    assert stopping(0.7, model) and stopping.counter == 2
    # The document's copy is shallow, so that the best weights are the live ones: what came since is not undone.
    assert distrt.equal(model.weight, kept)
    assert stopping.best_weights["weight"].data_ptr() == model.weight.data_ptr()


@covers("Z7")
def test_gan_of_the_document(torch: Any) -> None:
    """One step of both networks, with the same noise: the same losses, and the generator's step is its own."""
    noise = np.random.default_rng(3).standard_normal((4, 100, 1, 1)).astype(np.float32)
    printed, networks = [], []
    for library in (distrt, torch):
        at = definitions("deep_dive_39", library)
        networks.append((at.Generator(100, 1, 4), at.Discriminator(1, 4)))
    for ours, theirs in zip(*networks, strict=True):
        _same_weights(torch, ours, theirs)
    sizes: list[tuple[int, ...]] = []
    for library, (generator, discriminator) in zip((distrt, torch), networks, strict=True):
        for layer in generator.main:
            layer.register_forward_hook(lambda layer, given, output: sizes.append(tuple(output.shape[2:])))
        train_gan = definitions("deep_dive_39", _without_chance(library, noise)).train_gan
        pictures = [(_numbers(library, 4, 1, 64, 64), None)]
        with pytest.MonkeyPatch.context() as patch:
            shown: list[str] = []
            patch.setattr("builtins.print", shown.append)
            train_gan(generator, discriminator, pictures, 1, "cpu")
        printed.append(shown)
    assert printed[0] == printed[1] and printed[0][0].startswith("Epoch [1/1], D_loss: ")
    assert sorted(set(sizes)) == [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]
    for ours, theirs in zip(*networks, strict=True):
        for each, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
            _close(each, expected, atol=5e-5)


def _without_chance(library: Any, noise: Any) -> Any:
    """The library, with one value for every draw."""
    names = {
        name: getattr(library, name) for name in ("nn", "optim", "ones", "zeros", "utils", "distributed")
    }
    return types.SimpleNamespace(**names, randn=lambda *size: library.from_numpy(noise))


@covers("Z7")
def test_detached_pictures_leave_the_generator_alone() -> None:
    at = definitions("deep_dive_39", distrt)
    generator, discriminator = at.Generator(10, 1, 4), at.Discriminator(1, 4)
    pictures = generator(distrt.randn(2, 10, 1, 1))
    answer = discriminator(pictures.detach())
    assert answer.shape == (2, 1)
    answer.sum().backward()
    assert all(each.grad is None for each in generator.parameters())
    discriminator(pictures).sum().backward()
    assert all(each.grad is not None for each in generator.parameters())


@covers("Z9")
def test_model_tester_of_the_document(torch: Any, tmp_path: Any) -> None:
    ours, theirs = (
        library.nn.Sequential(library.nn.Linear(100, 8), library.nn.ReLU(), library.nn.Linear(8, 3))
        for library in (distrt, torch)
    )
    _same_weights(torch, ours, theirs)
    distrt.save(ours, tmp_path / "model.pth")  # whole, as the document loads it
    tester = definitions("engineers_04", distrt).ModelTester(tmp_path / "model.pth")
    assert not tester.model.training
    rows = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    results = tester.test_inference([rows[0].tolist(), distrt.from_numpy(rows[1]), distrt.from_numpy(rows)])
    with torch.no_grad():
        expected = theirs(torch.from_numpy(rows))
    assert [each["prediction"] for each in results] == [
        expected[:1].argmax(1).tolist(),
        expected[1:2].argmax(1).tolist(),
        expected.argmax(1).tolist(),
    ]
    np.testing.assert_allclose(results[2]["output"], expected.tolist(), rtol=1e-4, atol=1e-5)
    assert all(each["inference_time"] > 0 for each in results)
    measured = tester.benchmark_performance(batch_sizes=[1, 8])
    assert list(measured) == [1, 8]
    for size, each in measured.items():
        assert each["throughput"] == pytest.approx(size / each["avg_inference_time"])


@covers("Z10")
def test_feature_analyzer_of_the_document(torch: Any) -> None:
    """The document detaches what a hook is given, and an LSTM gives a tuple: that is an error, as in PyTorch."""
    words, said = np.arange(12).reshape(2, 6), []
    for library in (distrt, torch):
        model = definitions("engineers_03", library).TextClassifier(50, 8, 4, 3).eval()
        analyzer = definitions("engineers_05", library).FeatureAnalyzer(model)
        with pytest.raises(AttributeError) as caught:
            analyzer.analyze_features(library.from_numpy(words))
        said.append(str(caught.value))
        model.lstm._forward_hooks.clear()
        found = analyzer.analyze_features(library.from_numpy(words))
        assert list(found) == ["embedding", "fc"]
        assert found["embedding"]["shape"] == (2, 6, 8) and found["fc"]["shape"] == (2, 3)
        values = analyzer.activations["fc"].numpy()
        assert found["fc"]["mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert found["fc"]["std"] == pytest.approx(values.std(ddof=1), rel=1e-5)
        assert (found["fc"]["min"], found["fc"]["max"]) == (values.min(), values.max())
    assert said[0] == said[1] == "'tuple' object has no attribute 'detach'"


@covers("Z11", "04")
def test_sentiment_tester_of_the_document() -> None:
    """A model in the manner of a hub's: keywords in, an object with ``.logits`` out."""

    class Model(distrt.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return types.SimpleNamespace(logits=distrt.nn.functional.one_hot(input_ids[:, 0], 3) * 4.0)

    def tokenizer(text: str, **options: Any) -> dict[str, Any]:
        assert options == {"return_tensors": "pt", "padding": True, "truncation": True}
        ids = distrt.tensor([[len(text) % 3, 5]])
        return {"input_ids": ids, "attention_mask": distrt.ones_like(ids)}

    tester = definitions("engineers_06", distrt).SentimentModelTester(Model(), tokenizer)
    cases = [{"text": "x" * size, "expected_sentiment": label} for size, label in ((1, "text"), (3, "other"))]
    results = tester.test_sentiment_analysis(cases)
    assert [each["is_correct"] for each in results] == [True, False]
    expected = np.exp([0.0, 4.0, 0.0]) / np.exp([0.0, 4.0, 0.0]).sum()
    np.testing.assert_allclose(results[0]["probabilities"], expected, rtol=1e-5)
    assert results[0]["confidence"] == pytest.approx(expected.max(), rel=1e-5)
    metrics = tester.calculate_metrics(results)
    assert metrics["overall_accuracy"] == 0.5 and metrics["total_tests"] == 2
    assert metrics["sentiment_stats"] == {"text": {"total": 1, "correct": 1, "accuracy": 1.0}}


@covers("Z12", "09")
def test_loop_of_the_notes_learns(torch: Any) -> None:
    """Forward, loss, then ``zero_grad``: the order of the notes, which gives PyTorch's steps."""
    models = [definitions("notes_06", library).SimpleNet() for library in (distrt, torch)]
    _same_weights(torch, *models)
    losses: list[list[float]] = []
    for library, model in zip((distrt, torch), models, strict=True):
        optimizer = library.optim.Adam(model.parameters(), lr=0.05)
        criterion = library.nn.CrossEntropyLoss()
        data = _numbers(library, 32, 10)
        target = (data[:, 0] > 0).long()
        losses.append([])
        for _ in range(40):
            loss = criterion(model(data), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] < losses[0][0] / 3


@covers("Z13")
def test_linear_regression_with_a_target_of_another_shape(torch: Any, capsys: Any) -> None:
    """The target (4,) is broadcast against (4, 1): 16 differences, so that the best loss is the labels' spread."""
    said, losses = [], []
    for library in (distrt, torch):
        at = definitions("introduction_03", library)
        for block in ("introduction_04", "introduction_05", "introduction_06"):
            vars(at).update(vars(definitions(block, library)))
        x, y = at.load_data()
        model, criterion = at.LinearRegressionModel(1, 1), library.nn.MSELoss()
        library.nn.init.constant_(model.linear.weight, 0.5)
        library.nn.init.constant_(model.linear.bias, 0.25)
        optimizer = library.optim.SGD(model.parameters(), lr=0.08)
        with pytest.warns(UserWarning, match="target size"):
            losses.append([at.train(model, criterion, optimizer, x, y) for _ in range(600)])
        at.test(model, x, y)
        said.append(capsys.readouterr().out)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] == pytest.approx(5.0, abs=1e-3)  # the mean of y squared, less the square of its mean
    assert said[0] == said[1] and said[0].startswith("Accuracy: ")


@covers("Z14")
def test_checkpointed_layers_train() -> None:
    """The first layer, too, whose input needs no gradient, and with the gradients of the plain layers."""
    model = definitions("deep_dive_42", distrt).LargeModel()
    assert [tuple(each.shape) for each in model.parameters()] == [(1000, 1000), (1000,)] * 3
    x = _numbers(distrt, 2, 1000)
    model(x).square().mean().backward()
    gradients = [each.grad.clone() for each in model.parameters()]
    model.zero_grad()
    model.layer3(model.layer2(model.layer1(x))).square().mean().backward()
    for each, expected in zip(gradients, model.parameters(), strict=True):
        assert distrt.equal(each, expected.grad)


@covers("Z15")
def test_model_of_the_documents_behind_its_guards() -> None:
    """One GPU or none: the guard leaves the model alone; wrapped all the same, it computes the same."""
    model = definitions("architecture_05", distrt).MyModel()
    guarded = distrt.nn.DataParallel(model) if distrt.cuda.device_count() > 1 else model
    x = distrt.randn(3, 10)
    assert guarded(x).shape == (3, 1)
    assert distrt.equal(distrt.nn.DataParallel(model)(x), model(x))
    assert set(vars(definitions("deep_dive_32", distrt))) == {"setup", "cleanup", "train"}
