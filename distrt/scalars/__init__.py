"""What a run wants to be looked at later, in files that TensorBoard reads.

tensorboardX (the extra ``tensorboard``) writes the files. Here is PyTorch's interface over it (``summary_writer.py``,
``pictures.py``), our tensors as arrays, the messages that it lacks (``messages.py``, ``settings.py``), and a model's
graph (``model_graph.py``), which `distrt.tracing` records.
"""

from distrt.scalars.summary_writer import SummaryWriter

__all__ = ["SummaryWriter"]
