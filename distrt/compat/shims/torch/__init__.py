"""What ``import torch`` finds in a run as torch: it becomes distrt while it is loaded."""

from distrt.compat import install

install()
