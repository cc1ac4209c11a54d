"""``SummaryWriter``: PyTorch's interface, over tensorboardX.

Source: https://docs.pytorch.org/docs/stable/tensorboard.html
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrt.core.process import activity
from distrt.core.tensor import Tensor
from distrt.scalars import messages
from distrt.scalars.folder import Folder
from distrt.scalars.messages import array_of, number
from distrt.scalars.model_graph import drawn
from distrt.scalars.pictures import PictureWriter
from distrt.scalars.settings import settings_of_a_run
from distrt.tracing import record

__all__ = ["SummaryWriter"]

#: Numbers in the names of a process's files, of which a second may see several.
_files = itertools.count()


class SummaryWriter(Folder, PictureWriter):
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
        self.filename_suffix = filename_suffix
        self._writer = Writer(given, comment, purge_step, max_queue, flush_secs, self._suffix())
        self.log_dir: str = self._writer.logdir
        self.purge_step, self.max_queue, self.flush_secs = purge_step, max_queue, flush_secs

    @property
    def file_writer(self) -> Any:
        """What writes the folder's own file; a new one after ``close``."""
        if self._writer.all_writers is None:
            self._writer._filename_suffix = self._suffix()
        return self._writer._get_file_writer()

    def _get_file_writer(self) -> Any:
        """``file_writer``, as frameworks ask PyTorch's class for it."""
        return self.file_writer

    def _suffix(self) -> str:
        return f".{os.getpid()}.{next(_files)}{self.filename_suffix}"

    def _add(self, message: Any, step: Any, walltime: float | None) -> None:
        self.file_writer.add_summary(message, step, walltime)

    def flush(self) -> None:
        """Brings everything to the files.

        tensorboardX hands events to a thread, and its own ``flush`` does not wait for those that are under way.
        """
        from tensorboardX.event_file_writer import _EventLoggerThread

        for writer in (self._writer.all_writers or {}).values():
            events = writer.event_writer
            events._worker.stop()  # when it has written what came before
            events._ev_writer.flush()
            events._worker = _EventLoggerThread(events._event_queue, events._ev_writer, self.flush_secs)
            events._worker.start()

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
            new_style: keep it as a tensor, which TensorBoard reads faster.
            double_precision: of 64 bits; in the new style alone.

        Raises:
            AssertionError: several elements.
        """
        value = number(scalar_value)
        self._add(messages.scalar(tag, value, new_style, double_precision), global_step, walltime)
        activity.noted(tag, float(value), global_step)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a number to each of several curves of one picture; each curve has a folder of its own."""
        from tensorboardX.writer import FileWriter

        folder = self.file_writer.get_logdir()
        moment = time.time() if walltime is None else walltime
        for tag, value in tag_scalar_dict.items():
            place = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            writers = self._writer.all_writers
            if place not in writers:
                writers[place] = FileWriter(place, self.max_queue, self.flush_secs, self._suffix())
            told = number(value)
            writers[place].add_summary(messages.scalar(main_tag, told, False, False), global_step, moment)
            activity.noted(f"{main_tag}/{tag}", float(told), global_step)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a text, in Markdown."""
        self._open().add_text(tag, text_string, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds a run's settings, and what has come of them, to be compared with other runs'.

        Args:
            hparam_dict: settings: numbers, texts, truth values; None is left out.
            metric_dict: numbers; their names should not be those of curves.
            hparam_domain_discrete: for a setting, all the values that it may have.
            run_name: the folder's name; the time where None.
            global_step: of the numbers.

        Raises:
            TypeError: one of them is no dictionary, or a value is of another type than the setting.
            ValueError: a setting is none of these.
        """
        found = settings_of_a_run(hparam_dict, metric_dict, hparam_domain_discrete or {})
        folder = os.path.join(self.file_writer.get_logdir(), str(run_name or time.time()))
        with SummaryWriter(folder) as writer:
            for message in found:
                writer._add(message, None, None)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

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
        """Adds how the elements of a tensor are distributed.

        Args:
            tag: its name.
            values: a tensor, an array or a number.
            global_step: where it stands.
            bins: "tensorflow", one of ``numpy.histogram``'s names, or edges.
            walltime: seconds since 1970, where not now.
            max_bins: at most so many, where NumPy chooses.

        Raises:
            NotImplementedError: values that are none of these.
            ValueError: there are none.
        """
        if isinstance(values, list | tuple | dict):
            raise NotImplementedError(f"Got {type(values)}, but numpy array or torch tensor are expected.")
        self._open().add_histogram(tag, array_of(values), global_step, bins, walltime, max_bins)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a histogram that has been counted already: upper limits, and how many are below each.

        Raises:
            ValueError: limits and counts differ in number.
        """
        limits, counts = _list(bucket_limits), _list(bucket_counts)
        if len(limits) != len(counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        self._open().add_histogram_raw(
            tag, min, max, num, sum, sum_squares, limits, counts, global_step, walltime
        )

    def add_tensor(
        self, tag: str, tensor: Tensor, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds all elements of a tensor.

        Raises:
            ValueError: a dtype that TensorBoard does not have, or 2 GB or more.
        """
        self._add(messages.tensor(tag, tensor), global_step, walltime)

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
        arrays = array_of(labels), array_of(predictions)
        weighed = None if weights is None else array_of(weights)
        self._open().add_pr_curve(tag, *arrays, global_step, num_thresholds, weighed, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Adds precision and recall that have been counted already, for each threshold."""
        counts = true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts
        arrays = [np.asarray(array_of(each)) for each in (*counts, precision, recall)]
        self._open().add_pr_curve_raw(tag, *arrays, global_step, num_thresholds, weights, walltime)

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
        images = None if label_img is None else array_of(label_img)
        self._open().add_embedding(array_of(mat), metadata, images, global_step, tag, metadata_header)

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
        self.file_writer.add_onnx_graph(drawn(graph))  # any graph; the other one wants timings

    def add_onnx_graph(self, prototxt: str | os.PathLike[str]) -> None:
        """Adds the graph of an ONNX file; needs the extra ``onnx``."""
        self._open().add_onnx_graph(os.fspath(prototxt))

    # -- which curves stand together

    def add_custom_scalars(self, layout: Mapping[str, Any]) -> None:
        """Says which curves stand in one picture."""
        self._open().add_custom_scalars(layout)

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Says that these curves stand in one picture."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Says that the second and third of three curves bound a band around the first."""
        assert len(tags) == 3
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def _open(self) -> Any:
        """tensorboardX's writer, with a new file after ``close``."""
        assert self.file_writer is not None
        return self._writer


def _list(values: Any) -> list[Any]:
    return list(np.asarray(array_of(values)))
