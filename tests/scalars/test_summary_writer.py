"""What ``SummaryWriter`` writes, TensorBoard's own reader reads; and PyTorch's writes the same."""

import io
import sys

import numpy as np
import pytest

import distrt
from distrt import nn
from distrt.utils.tensorboard import SummaryWriter

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install 'distrt[tensorboard]'")
# It loads PyTorch where that is installed, and protobuf's messages warn of what they are made with.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def reader():
    return pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard is not installed: scripts/test --oracle installs it",
    )


def read(reader, folder):
    found = reader.EventAccumulator(str(folder), size_guidance=dict.fromkeys(reader.DEFAULT_SIZE_GUIDANCE, 0))
    found.Reload()
    return found


@pytest.mark.ci
def test_curves(reader, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(5):
            writer.add_scalar("loss", distrt.tensor(1.0 / (step + 1)), step)
        writer.add_scalars("both", {"one": 1, "two": distrt.tensor([2.0])}, 7)
    events = read(reader, tmp_path).Scalars("loss")
    assert [each.step for each in events] == list(range(5))
    assert [each.value for each in events] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    (two,) = read(reader, tmp_path / "both_two").Scalars("both")
    assert (two.step, two.value) == (7, 2.0)


@pytest.mark.ci
def test_tensors_and_texts(reader, tmp_path):
    values = distrt.linspace(-1, 1, 101)
    image = distrt.zeros(3, 4, 5)
    image[0] = 1.0
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_histogram("values", values.requires_grad_(), 1)
        writer.add_image("red", image, 2)
        writer.add_images("several", image[None], 2)
        writer.add_text("note", "**bold**", 3)
        writer.add_hparams({"lr": 0.1, "name": "sgd"}, {"accuracy": distrt.tensor(0.5)}, run_name="run")
        writer.flush()
        assert writer.get_logdir() == str(tmp_path)
    found = read(reader, tmp_path)
    (histogram,) = found.Histograms("values")
    assert histogram.histogram_value.num == 101
    assert histogram.histogram_value.sum == pytest.approx(0, abs=1e-5)
    (picture,) = found.Images("red")
    assert (picture.height, picture.width) == (4, 5)
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
    assert pixels.tolist() == [[[255, 0, 0]] * 5] * 4
    assert b"**bold**" in found.Tensors("note/text_summary")[0].tensor_proto.string_val[0]
    assert read(reader, tmp_path / "run").Scalars("accuracy")[0].value == 0.5


@pytest.mark.ci
def test_a_models_graph_has_its_modules_operations(reader, tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, distrt.randn(1, 1, 4, 4))
    from tensorboardX.proto.graph_pb2 import GraphDef

    graph = GraphDef.FromString(read(reader, tmp_path).Graph().SerializeToString())
    nodes = {each.name: each for each in graph.node}
    assert {"0/weight", "0/bias", "3/weight", "3/bias"} <= nodes.keys()
    (product,) = [each for each in graph.node if each.op.endswith("linear")]
    assert product.name.startswith("3/")
    assert {"3/weight", "3/bias"} <= set(product.input)
    assert [dim.size for dim in product.attr["_output_shapes"].list.shape[0].dim] == [1, 3]
    assert all(name in nodes for each in graph.node for name in each.input)


@pytest.mark.ci
def test_pytorchs_writer_gives_the_same(torch, reader, tmp_path):
    from torch.utils.tensorboard import SummaryWriter as Theirs

    found = []
    for library, kind in ((torch, Theirs), (distrt, SummaryWriter)):
        folder = tmp_path / library.__name__
        with kind(str(folder)) as writer:
            values = library.arange(20, dtype=library.float32)
            writer.add_scalar("a/b", values[3], 3)
            writer.add_histogram("h", values, 4)
            writer.add_image("i", library.ones(1, 2, 2) * 0.5, 5)
        events = read(reader, folder)
        histogram = events.Histograms("h")[0].histogram_value
        found.append(
            (
                [(each.step, each.value) for each in events.Scalars("a/b")],
                list(histogram.bucket_limit),
                list(histogram.bucket),
                events.Images("i")[0].encoded_image_string,
            )
        )
    assert found[0] == found[1]


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'distrt\[tensorboard\]'"):
        SummaryWriter(tmp_path)


@pytest.mark.ci
def test_settings_that_are_no_dictionary_are_refused(tmp_path):
    with (
        SummaryWriter(tmp_path) as writer,
        pytest.raises(TypeError, match="hparam_dict and metric_dict should be dictionary"),
    ):
        writer.add_hparams([("lr", 1)], {})
