"""Files of tensors: PyTorch's formats, written and read without PyTorch. ``distrt.save`` and ``distrt.load`` are here.

A file is data: nothing in it is executed, and its sizes are checked before memory is made (docs/files.md).
"""

from distrt.files.loading import load
from distrt.files.saving import save

__all__ = ["load", "save"]
