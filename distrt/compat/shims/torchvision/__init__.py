"""What ``import torchvision`` finds in a run as torch: it becomes ``distrt.vision`` while it is loaded."""

import os
import sys

_root = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))
if _root not in sys.path:
    sys.path.append(_root)  # a checkout that is not installed, from whose folder the run was started

from distrt.compat import install  # noqa: E402

install()
