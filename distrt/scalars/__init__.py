"""What a run wants to be looked at later, in files that TensorBoard, spreadsheets and programs read.

tensorboardX (the extra ``tensorboard``) writes the files. Here is PyTorch's interface over it (``summary_writer.py``,
``pictures.py``), our tensors as arrays, the messages that it lacks (``messages.py``, ``settings.py``), and a model's
graph (``model_graph.py``), which `distrt.tracing` records. ``CSVWriter`` and ``JSONLWriter`` (``rows.py``) take numbers
and texts in the same way, and need nothing installed. ``folder.py`` is what all have in
common. All of them tell the run's record, too, from which `distrt-launch report` draws curves.
"""

from distrt.scalars.rows import CSVWriter, JSONLWriter
from distrt.scalars.summary_writer import SummaryWriter

__all__ = ["CSVWriter", "JSONLWriter", "SummaryWriter"]
