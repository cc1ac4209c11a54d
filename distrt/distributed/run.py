"""Facade: ``python -m distrt.distributed.run`` is ``distrt-launch``, as ``torch.distributed.run`` is torchrun."""

import sys

from launch.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
