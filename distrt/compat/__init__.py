"""``import torch`` and ``import torchvision`` mean distrt, for one run: see docs/compat.md.

``python -m distrt.compat script.py`` and ``distrt-launch --as-torch script.py`` put the folder ``shims`` in front of
Python's path; the ``torch`` that is found there calls :func:`install`. Processes that the run starts inherit it.
"""

from distrt.compat.names import install, require_no_pytorch, shims_path

__all__ = ["install", "require_no_pytorch", "shims_path"]
