"""What ``import torchvision`` finds in a run as torch: it becomes ``distrt.vision`` while it is loaded."""

from distrt.compat import install

install()
