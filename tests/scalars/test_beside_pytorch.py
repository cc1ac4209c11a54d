"""Every method of ``SummaryWriter`` beside PyTorch's, as TensorBoard's reader and its plugins see the files."""

import importlib
import inspect
import os

import numpy as np
import pytest

import distrt
from distrt.utils.tensorboard import SummaryWriter

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install 'distrt[tensorboard]'")
pytestmark = [pytest.mark.ci, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

KINDS = ("scalars", "histograms", "images", "audio", "tensors")


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    return importlib.import_module("torch.utils.tensorboard").SummaryWriter


def values(t):
    return t.from_numpy(np.random.default_rng(0).random((4, 3, 8, 8)).astype("f4"))


SETTINGS = {"lr": 0.1, "name": "x", "no": None}


def beside_the_curves(t, writer):
    """As scripts do that want no folder for each run's settings."""
    summary = importlib.import_module(f"{t.__name__}.utils.tensorboard.summary")
    for message in summary.hparams(SETTINGS, {"m": 1.0}):
        writer._get_file_writer().add_summary(message)
    writer.add_scalar("m", 1.0)


#: What is added, with a library `t` and a writer `w`.
ADDED = {
    "scalar": lambda t, w: w.add_scalar("a/loss", t.tensor(1.5, requires_grad=True), 1),
    "number of NumPy": lambda t, w: w.add_scalar("numpy", np.float64(2), 3, walltime=5),
    "new style": lambda t, w: w.add_scalar("new", 1.25, 2, new_style=True),
    "double": lambda t, w: w.add_scalar("double", 0.1, 2, new_style=True, double_precision=True),
    "step": lambda t, w: w.add_scalar("step", 1.0, t.tensor(4)),
    "scalars": lambda t, w: w.add_scalars("many/of", {"x": 1.0, "y": t.tensor(2.0)}, 2),
    "tensor": lambda t, w: w.add_tensor("tensor", t.arange(6.0).reshape(2, 3).t(), 1),
    "integers": lambda t, w: w.add_tensor("integers", t.arange(3), 1),
    "histogram": lambda t, w: w.add_histogram("h", t.nn.Parameter(values(t)), 0),
    "histogram by NumPy": lambda t, w: w.add_histogram("hn", values(t), 0, bins="doane", max_bins=5),
    "counted": lambda t, w: w.add_histogram_raw("hr", 0.0, 1.0, 2, 1.0, 1.0, [0.5, 1.0], [1, 1], 0),
    "image": lambda t, w: w.add_image("image", values(t)[0], 0),
    "image of bytes": lambda t, w: w.add_image("bytes", (values(t)[0] * 255).to(t.uint8), 0),
    "image, HW": lambda t, w: w.add_image("hw", values(t)[0, 0], 0, dataformats="HW"),
    "image, HWC": lambda t, w: w.add_image("hwc", values(t)[0].permute(1, 2, 0), 0, dataformats="HWC"),
    "images": lambda t, w: w.add_images("images", values(t), 0),
    "boxes": lambda t, w: w.add_image_with_boxes("boxes", values(t)[0], t.tensor([[1, 1, 4, 4]]), 0),
    "sound": lambda t, w: w.add_audio("sound", t.linspace(-1, 1, 80)[None], 0, sample_rate=8000),
    "text": lambda t, w: w.add_text("text", "**bold**", 0),
    "curve": lambda t, w: w.add_pr_curve("pr", t.tensor([0, 1, 1, 0]), t.tensor([0.1, 0.8, 0.4, 0.3]), 0),
    "counted curve": lambda t, w: w.add_pr_curve_raw("prr", *[np.ones(2)] * 6, 0, num_thresholds=2),
    "layout": lambda t, w: w.add_custom_scalars_multilinechart(["a", "b"]),
    "mesh": lambda t, w: w.add_mesh("mesh", values(t)[0, :, :3, :3].reshape(1, 9, 3)),
    "embedding": lambda t, w: w.add_embedding(values(t)[0, :, 0], metadata=["a", "b", "c"], global_step=1),
    "settings": lambda t, w: w.add_hparams(SETTINGS, {"m": t.tensor(1.0)}, {"lr": [0.1, 0.2]}, "run", 3),
    "settings beside the curves": beside_the_curves,
}


#: What is refused.
REFUSED = {
    "vector": lambda t, w: w.add_scalar("v", t.ones(3), 0),
    "text as a number": lambda t, w: w.add_scalar("s", "x", 0),
    "nothing as a number": lambda t, w: w.add_scalar("s", None, 0),
    "list": lambda t, w: w.add_histogram("h", [1, 2], 0),
    "nothing": lambda t, w: w.add_histogram("h", t.ones(0), 0),
    "batch as an image": lambda t, w: w.add_image("i", values(t), 0),
    "flat mesh": lambda t, w: w.add_mesh("m", t.ones(5, 3)),
    "two channels": lambda t, w: w.add_audio("s", t.zeros(2, 10), 0),
    "settings, no dict": lambda t, w: w.add_hparams([1], {"m": 1}),
    "a list as a setting": lambda t, w: w.add_hparams({"lr": [1]}, {"m": 1}),
    "another type": lambda t, w: w.add_hparams({"lr": 0.1}, {"m": 1}, {"lr": ["a"]}),
    "labels": lambda t, w: w.add_embedding(t.ones(4, 5), metadata=["a"]),
    "file": lambda t, w: w.add_onnx_graph("no.onnx"),
    "model": lambda t, w: w.add_graph(t.nn.Linear(3, 2), t.ones(1, 5)),
}


def test_the_writer_is_at_its_module_too():
    assert importlib.import_module("distrt.utils.tensorboard.writer").SummaryWriter is SummaryWriter


def test_every_method_is_there_with_its_arguments(theirs):
    def methods(kind):
        found = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")
        }

    assert methods(theirs).items() <= methods(SummaryWriter).items()


@pytest.mark.parametrize("what", ADDED)
def test_the_reader_finds_the_same(torch, theirs, tmp_path, what):
    found = []
    for library, kind in ((torch, theirs), (distrt, SummaryWriter)):
        folder = tmp_path / library.__name__
        with kind(str(folder)) as writer:
            ADDED[what](library, writer)
        found.append(_content(folder))
    assert found[0] == found[1]


@pytest.mark.parametrize("what", REFUSED)
def test_the_same_is_refused(torch, theirs, tmp_path, what):
    with theirs(str(tmp_path / "theirs")) as writer, pytest.raises(Exception) as expected:
        REFUSED[what](torch, writer)
    with SummaryWriter(str(tmp_path / "ours")) as writer, pytest.raises(type(expected.value)):
        REFUSED[what](distrt, writer)


@pytest.mark.parametrize("queue", [1, 1000])
def test_what_was_flushed_is_in_the_files(theirs, tmp_path, queue):
    """They are read while the writer is open: a process that is killed then leaves the same."""
    writer = SummaryWriter(tmp_path, max_queue=queue)
    for step in range(100):
        writer.add_scalar("one", step, step)
    writer.add_scalars("several", {"two": 2.0}, 1)
    writer.flush()
    found = _content(tmp_path)
    writer.add_scalar("one", 100, 100)
    writer.flush()
    after = _content(tmp_path)
    writer.close()
    assert [len(each[key][1]) for each in (found, after) for key in each if key[2] == "one"] == [100, 101]
    assert any(tag == "several" for _, _, tag in found)


def test_two_writers_and_one_that_was_closed_lose_nothing(theirs, tmp_path):
    first, second = SummaryWriter(tmp_path), SummaryWriter(tmp_path)
    for number, writer in enumerate((first, second)):
        writer.add_scalar(f"from {number}", number, 0)
        writer.close()
    first.add_scalar("later", 1, 1)
    first.close()
    first.close()
    assert {tag for _, kind, tag in _content(tmp_path) if kind == "scalars"} == {"from 0", "from 1", "later"}


def _content(folder):
    """By folder, kind and tag: steps and values; pictures as bytes; names of other files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    found = {}
    for place, _, names in os.walk(folder):
        here = os.path.relpath(place, folder)
        for name in names:
            if "tfevents" not in name:
                found[here, "file", name] = True
                continue
            events = EventAccumulator(
                os.path.join(place, name), size_guidance=dict.fromkeys(KINDS, 0)
            ).Reload()
            for tag, about in events.summary_metadata.items():
                if about.plugin_data.plugin_name == "hparams":
                    found[here, "settings", tag] = HParamsPluginData.FromString(about.plugin_data.content)
            for kind in KINDS:
                for tag in events.Tags()[kind]:
                    shown = [
                        _shown(kind, each, make_ndarray) for each in getattr(events, kind.capitalize())(tag)
                    ]
                    about = events.summary_metadata.get(tag)
                    plugin = about.plugin_data.plugin_name if about else ""
                    found[here, kind, tag] = (plugin, shown)
    return found


def _shown(kind, event, make_ndarray):
    if kind == "scalars":
        return event.step, event.value
    if kind == "histograms":
        value = event.histogram_value
        return (
            event.step,
            list(value.bucket_limit),
            list(value.bucket),
            value.num,
            value.sum,
            value.sum_squares,
        )
    if kind == "images":
        return event.step, event.width, event.height, event.encoded_image_string
    if kind == "audio":
        return event.step, event.sample_rate, event.length_frames, event.encoded_audio_string
    array = make_ndarray(event.tensor_proto)
    return event.step, str(array.dtype), array.tolist()
