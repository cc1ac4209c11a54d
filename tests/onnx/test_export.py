"""``onnx.export``: models with sizes that follow the input's, options, names, modes, errors, and files."""

import inspect
import io
import sys
import threading

import numpy as np
import pytest

import distrt
import distrt as torch
from distrt import nn
from distrt.nn import functional as F
from distrt.onnx import OnnxExporterError, OperatorExportTypes, TrainingMode
from distrt.onnx.errors import UnsupportedOperatorError
from distrt.tracing import TracerWarning
from tests.onnx.runtime import assert_same, call, kinds, onnx, run, session


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x):
        x = self.features(x)
        return self.fc(self.dropout(x.view(x.size(0), -1)))


class Block(nn.Module):
    """Attention as tutorials write it: sizes of batch and sequence from the input."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(16, 8)
        self.qkv, self.out, self.norm = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)))
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, index):
        batch, length = index.shape
        x = self.tokens(index) + self.places(torch.arange(length))
        q, k, v = self.qkv(self.norm(x)).split(8, dim=2)
        q, k, v = (each.view(batch, length, 2, 4).transpose(1, 2) for each in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / 4**0.5)
        scores = scores.masked_fill(self.mask[:length, :length] == 0, float("-inf"))
        y = F.softmax(scores, dim=-1) @ v
        y = y.transpose(1, 2).contiguous().view(batch, length, 8)
        fused = (
            F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, 8)
        )
        return self.head(x + self.out(y + fused))[:, [-1], :], y.mean(dim=(0, 1)), x.max(1)


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(9, 6), nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(10, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, words):
        start = torch.zeros(4, words.size(0), 5)
        out, (h, c) = self.lstm(self.embedding(words), (start, start))
        out, _ = self.gru(out)
        out, weights = self.attention(out, out, out, key_padding_mask=words == 0)
        return self.fc(out.flatten(0, 1)).log_softmax(1), h, c, weights


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.mid = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.up, self.last = nn.ConvTranspose2d(4, 2, 2, 2), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        low = F.leaky_relu(self.mid(F.gelu(self.down(x))), 0.1)
        up = self.up(low)
        up = F.interpolate(up, size=x.shape[2:], mode="bilinear", align_corners=False)
        joined = torch.cat([F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 1:-1], up], dim=1)
        pooled = F.adaptive_avg_pool2d(joined, 1)
        return torch.sigmoid(self.last(joined * pooled)), F.interpolate(low, scale_factor=2, mode="nearest")


def changes(x):
    """In-place changes, subscripts and creation, with sizes of the input's."""
    y = x * 2
    y[:, 0] = 1.5
    y[:, 2:4] = x[:, :2] - 1
    y += torch.ones(x.size(0), 1)
    y.clamp_(-2, 2)
    z = torch.zeros_like(y)
    z = torch.where(y > 0, y.sqrt(), z)
    rows = torch.arange(x.size(0)).unsqueeze(1).expand(-1, x.shape[1])
    top, places = torch.topk(y, 2, dim=1)
    half = x.shape[1] // 2
    return (
        z,
        rows + places.gather(1, torch.zeros(x.size(0), 1, dtype=torch.long)),
        torch.stack([x[..., None, 1], top[:, :1]], dim=0),
        x.std(dim=1, keepdim=True) / x.norm(dim=1, keepdim=True),
        torch.cat([x[:, half:], x[:, :half].flip(1)], 1).repeat(1, 2).sum(),
        x.argmax(dim=1).float() + x.cumsum(1)[:, -1],
        x.new_full((x.size(0), 2), 3.0) @ torch.eye(2),
        (x.permute(1, 0).reshape(-1, x.size(0)) % 0.7).floor_divide(0.2).tril(),
    )


MODELS = {
    "attention": (Block, lambda b, t: torch.randint(0, 11, (b, t)), {0: "batch", 1: "length"}),
    "recurrent": (Language, lambda b, t: torch.randint(0, 9, (b, t)).clamp(min=1), {0: "batch", 1: "length"}),
    "images": (UNet, lambda b, t: torch.randn(b, 2, 2 * t, t + 3), {0: "batch", 2: "height", 3: "width"}),
    "changes": (lambda: changes, lambda b, t: torch.randn(b, 6), {0: "batch"}),
}


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("name", MODELS)
def test_sizes_follow_the_inputs(name, opset):
    make, draw, axes = MODELS[name]
    torch.manual_seed(0)
    model = make()
    program = torch.onnx.export(
        model, draw(2, 5), opset_version=opset, input_names=["x"], dynamic_axes={"x": axes}
    )
    ready = call if isinstance(model, nn.Module) else lambda function, x: function(x)
    for sizes in ((2, 5), (3, 4), (1, 7)):
        x = draw(*sizes)
        assert_same(run(program, x), ready(model, x))


def test_sizes_that_do_not_follow_the_inputs_are_named():
    class Baked(nn.Module):
        def forward(self, x):
            rows = int(x.shape[0])
            return x.reshape(rows, -1).sum(0, keepdim=True).expand(rows, 6)

    with pytest.warns(TracerWarning) as found:
        torch.onnx.export(Baked(), torch.ones(2, 2, 3), input_names=["x"], dynamic_axes={"x": [0]})
    assert any("expand in the model itself" in str(each.message) for each in found)

    class Fixed(nn.Module):
        def forward(self, x):
            return x.view(2, 6)

    with pytest.raises(OnnxExporterError, match="does not run with other sizes than those given: shape"):
        torch.onnx.export(Fixed(), torch.ones(2, 2, 3), input_names=["x"], dynamic_axes={"x": {0: "b"}})
    assert kinds(torch.onnx.export(Fixed(), torch.ones(2, 2, 3))) == ["Reshape"]


def test_an_operation_that_onnx_does_not_have_is_named_with_its_module():
    class Inner(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Identity(), Inner()])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    with pytest.raises(
        UnsupportedOperatorError, match=r"svdvals.*opset 18.* in layers\.1, .*test_export\.py:\d+"
    ):
        torch.onnx.export(Outer(), torch.ones(2, 2))


def test_a_change_of_shared_memory_is_refused():
    def shared(x):
        y = x * 1
        y[0].add_(1)
        return y

    with pytest.raises(UnsupportedOperatorError, match=r"in place, whose memory .* shares, which is used"):
        torch.onnx.export(shared, torch.ones(2, 2))


def test_training_keeps_dropout_and_statistics_of_the_batch():
    model = Net()
    model.features[1].eval()
    state = {name: each.clone() for name, each in model.state_dict().items()}
    x = torch.randn(2, 3, 8, 8)
    assert "Dropout" in kinds(torch.onnx.export(model, x, training=TrainingMode.TRAINING))
    assert not model.features[1].training and model.training
    assert all(torch.equal(each, state[name]) for name, each in model.state_dict().items())
    assert "Dropout" not in kinds(torch.onnx.export(model, x, training=TrainingMode.EVAL))
    model.eval()
    assert "Dropout" not in kinds(torch.onnx.export(model, x, training=TrainingMode.PRESERVE))
    norm = nn.BatchNorm1d(4)
    program = torch.onnx.export(norm, torch.randn(5, 4), training=TrainingMode.TRAINING)
    x = torch.randn(5, 4)
    assert_same(run(program, x), norm(x))


def test_arguments_are_taken_in_every_form():
    class Two(nn.Module):
        def forward(self, first, second=None, *, scale=1.0, pair=()):
            total = first * scale
            for each in (second, *pair):
                total = total if each is None else total + each
            return {"total": total, "list": [first, total]}

    a, b = torch.ones(2), torch.full((2,), 3.0)
    program = torch.onnx.export(Two(), (a, b), kwargs={"scale": 2.0, "pair": (b + 1, a + 2)})
    assert [each.name for each in session(program).get_inputs()] == ["first", "second", "pair_1", "pair_2"]
    assert_same(run(program, a, b, b, a), Two()(a, b, scale=2.0, pair=(b, a)))
    program = torch.onnx.export(Two(), (a, {"second": b}), output_names=["sum"])
    assert [each.name for each in session(program).get_outputs()] == ["sum", "output_1", "output_2"]
    program = torch.onnx.export(Two(), (a, b), dynamic_shapes={"first": {0: "n"}, "second": {0: "n"}})
    assert session(program).get_inputs()[1].shape == ["n"]
    assert_same(run(program, torch.ones(4), torch.ones(4)), Two()(torch.ones(4), torch.ones(4)))
    program = torch.onnx.export(Two(), (a, b), dynamic_shapes=({0: "n"}, {0: "n"}))
    assert session(program).get_outputs()[0].shape == ["n"]


def test_weights_may_be_left_out_or_be_inputs():
    model, x = nn.Linear(3, 2), torch.randn(4, 3)
    program = torch.onnx.export(model, x, export_params=False)
    assert not program.model_proto.graph.initializer
    assert_same(run(program, x, model.weight, model.bias), model(x))
    program = torch.onnx.export(model, x, keep_initializers_as_inputs=True)
    assert [each.name for each in program.model_proto.graph.input] == ["input", "weight", "bias"]
    folded = lambda x: x @ torch.eye(3).exp()
    assert kinds(torch.onnx.export(folded, x)) == ["MatMul"]


def test_the_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, capsys):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(UnsupportedOperatorError):
        torch.onnx.export(torch.linalg.svdvals, torch.ones(2, 2), path)
    assert path.read_bytes() == b"before"
    program = torch.onnx.export(nn.ReLU(), torch.ones(2), path, verbose=True)
    assert "Relu" in capsys.readouterr().out and "Relu" in repr(program)
    file = io.BytesIO()
    torch.onnx.export(nn.ReLU(), torch.ones(2), file)
    assert path.read_bytes() == file.getvalue() and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"opset_version": 10}, "opset_version 10: 11 to"),
        ({"input_names": ["a", "b"]}, "2 input_names for 1"),
        ({"output_names": ["a", "b"]}, "2 output_names for 1"),
        ({"input_names": ["a"], "output_names": ["a"]}, "'a' is the name of an input and of an output"),
        ({"input_names": ["a"], "dynamic_axes": {"a": {3: "b"}}}, "there is no dim 3 among 1"),
        ({"dynamic_shapes": {"nope": {0: "b"}}}, "'nope' is no argument"),
        ({"custom_opsets": {"mine": 1}}, "custom_opsets is not there"),
        ({"operator_export_type": OperatorExportTypes.ONNX_ATEN}, "ONNX_ATEN is not there"),
    ],
)
def test_wrong_options_are_errors(options, said):
    with pytest.raises(OnnxExporterError, match=said):
        torch.onnx.export(nn.ReLU(), torch.ones(2), **options)


@pytest.mark.parametrize("kind", [OperatorExportTypes.ONNX, OperatorExportTypes.ONNX_ATEN_FALLBACK])
def test_an_operation_that_is_not_there_is_an_error_whatever_is_asked_for(kind):
    with pytest.raises(UnsupportedOperatorError, match="svdvals"):
        torch.onnx.export(torch.linalg.svdvals, torch.ones(2, 2), operator_export_type=kind)


def test_it_is_known_that_an_export_runs():
    seen = []

    class Asks(nn.Module):
        def forward(self, x):
            seen.append(torch.onnx.is_in_onnx_export())
            return x + 1

    torch.onnx.export(Asks(), torch.ones(1))
    assert seen == [True] and not torch.onnx.is_in_onnx_export()


def test_another_thread_does_not_export():
    seen = []

    def asks(x):
        other = threading.Thread(target=lambda: seen.append(torch.onnx.is_in_onnx_export()))
        other.start()
        other.join()
        return x + 1

    torch.onnx.export(asks, torch.ones(1))
    assert seen == [False]


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'distrt\[onnx\]'"):
        torch.onnx.export(nn.ReLU(), torch.ones(1))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32"])
def test_other_dtypes_are_kept(dtype):
    kind = getattr(torch, dtype)
    program = torch.onnx.export(lambda x: (x + 1, x.float() * 0.5), torch.ones(3, dtype=kind))
    types = [each.type.tensor_type.elem_type for each in program.model_proto.graph.output]
    assert types == [onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind.numpy)), onnx.TensorProto.FLOAT]


@pytest.mark.ci
def test_it_takes_pytorchs_arguments(torch):
    mine, theirs = (inspect.signature(each.onnx.export).parameters for each in (distrt, torch))
    assert [(name, each.kind) for name, each in mine.items()] == [
        (name, each.kind) for name, each in theirs.items()
    ]
    for name, each in theirs.items():
        same = int(each.default) if name in ("training", "operator_export_type") else each.default
        assert mine[name].default == same


@pytest.mark.ci
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "densenet121", pytest.param("vit_b_16", marks=pytest.mark.slow)]
)
def test_published_models_give_the_same_numbers(name):
    models = pytest.importorskip("distrt.vision.models", reason="distrt.vision needs Pillow")
    size = 224 if name == "vit_b_16" else 64
    torch.manual_seed(0)
    model = getattr(models, name)(weights=None).eval()
    given = torch.randn(2, 3, size, size)
    program = torch.onnx.export(
        model, given, opset_version=11, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
    )
    x = torch.randn(3, 3, size, size)
    expected = call(model, x)
    assert_same(run(program, x), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
