"""``SummaryWriter``: what a run wants to be looked at later, in files that TensorBoard reads.

tensorboardX writes them (the extra ``tensorboard``). Here is PyTorch's interface over it, our tensors as arrays, and
a model's graph, which `distrt.tracing` records.

Source: https://docs.pytorch.org/docs/stable/tensorboard.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from distrt.core.tensor import Tensor
from distrt.tracing import Graph, Value, record

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes to a folder; on several ranks, rank 0 alone should have one.

    Args:
        log_dir: the folder; ``runs/<time>_<machine><comment>`` where None.
        comment: ends that name.
        purge_step: hides what was written for this step and later ones: for a run that goes on from an earlier one.
        max_queue: so many events are written at once.
        flush_secs: seconds after which they are written at the latest.
        filename_suffix: ends the files' names.

    Raises:
        ModuleNotFoundError: tensorboardX is not installed; the message names the extra.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        try:
            from tensorboardX import SummaryWriter as Writer
        except ModuleNotFoundError as missing:
            raise ModuleNotFoundError(
                "SummaryWriter needs tensorboardX, which is not installed: pip install 'distrt[tensorboard]'"
            ) from missing
        given = None if log_dir is None else os.fspath(log_dir)
        self._writer = Writer(given, comment, purge_step, max_queue, flush_secs, filename_suffix)
        self.log_dir: str = self._writer.logdir
        self.purge_step = purge_step

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def flush(self) -> None:
        """Brings everything to the files."""
        self._writer.flush()

    def close(self) -> None:
        """Does so, and closes them."""
        self._writer.close()

    # -- numbers and text

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Adds a number to a curve.

        Args:
            tag: the curve's name.
            scalar_value: a number, or a tensor of one element.
            global_step: where it stands.
            walltime: seconds since 1970, where not now.
            new_style, double_precision: change nothing.
        """
        self._writer.add_scalar(tag, _number(scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a number to each of several curves of one picture."""
        numbers = {tag: _number(value) for tag, value in tag_scalar_dict.items()}
        self._writer.add_scalars(main_tag, numbers, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a text, in Markdown."""
        self._writer.add_text(tag, text_string, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds a run's settings, and what has come of them, to be compared with other runs'.

        Raises:
            TypeError: one of the two is no dictionary.
        """
        for given in (hparam_dict, metric_dict):
            if not isinstance(given, dict):
                raise TypeError("hparam_dict and metric_dict should be dictionary.")
        settings = {
            name: _number(value) if isinstance(value, Tensor) else value
            for name, value in hparam_dict.items()
        }
        metrics = {name: _number(value) for name, value in metric_dict.items()}
        self._writer.add_hparams(settings, metrics, run_name, global_step)

    # -- tensors

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Adds how the elements of a tensor are distributed."""
        self._writer.add_histogram(tag, _array(values), global_step, bins, walltime, max_bins)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Adds precision and recall of predictions between 0 and 1."""
        arrays = _array(labels), _array(predictions)
        weighed = None if weights is None else _array(weights)
        self._writer.add_pr_curve(tag, *arrays, global_step, num_thresholds, weighed, walltime)

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Adds the rows of a matrix as points of a space, with texts and images."""
        images = None if label_img is None else _array(label_img)
        self._writer.add_embedding(_array(mat), metadata, images, global_step, tag, metadata_header)

    # -- pictures

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds an image: floats from 0 to 1, or bytes; needs Pillow."""
        self._writer.add_image(tag, _array(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds several images."""
        self._writer.add_images(tag, _array(img_tensor), global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """Adds an image with boxes (left, top, right, bottom) drawn into it."""
        arrays = _array(img_tensor), _array(box_tensor)
        self._writer.add_image_with_boxes(tag, *arrays, global_step, walltime, rescale, dataformats, labels)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Adds a figure of Matplotlib, or several."""
        self._writer.add_figure(tag, figure, global_step, close, walltime)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Adds videos, (N, T, C, H, W); needs moviepy."""
        self._writer.add_video(tag, _array(vid_tensor), global_step, fps, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Adds sound, values from -1 to 1; needs soundfile."""
        self._writer.add_audio(tag, _array(snd_tensor), global_step, sample_rate, walltime)

    # -- a model

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """Adds the operations of a forward pass, by module.

        Args:
            model: a module.
            input_to_model: a tensor, or a tuple of its arguments.
            verbose: print the graph.
            use_strict_trace: changes nothing.
        """
        graph = record(model, input_to_model)
        if verbose:
            print(graph)
        self._writer._get_file_writer().add_onnx_graph(
            _drawn(graph)
        )  # any graph; the other one wants timings

    def add_custom_scalars(self, layout: Mapping[str, Any]) -> None:
        """Says which curves stand in one picture."""
        self._writer.add_custom_scalars(layout)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _drawn(graph: Graph) -> Any:
    """A recording as TensorBoard's graph: a node for each value and each call, its name the path of its module."""
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    names: dict[int, str] = {}
    nodes = []
    given = [*graph.inputs, *graph.parameters.values(), *graph.buffers.values(), *graph.constants.values()]
    for value in given:
        scope = f"{value.kind}s/" if not value.path else ""
        names[id(value)] = f"{scope}{(value.path or value.name).replace('.', '/')}"
        nodes.append(NodeDef(name=names[id(value)], op=value.kind.title(), attr=_shapes([value])))
    for node in graph.nodes:
        outputs = node.outputs
        scope = f"{node.scope.replace('.', '/')}/" if node.scope else ""
        name = f"{scope}{outputs[0].name if outputs else node.target}"
        names |= {id(value): name for value in outputs}
        inputs = [names[id(value)] for value in node.inputs if id(value) in names]
        nodes.append(NodeDef(name=name, op=node.target, input=inputs, attr=_shapes(outputs)))
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def _shapes(values: list[Value]) -> dict[str, Any]:
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    shapes = [
        TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in value.shape]) for value in values
    ]
    return {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
