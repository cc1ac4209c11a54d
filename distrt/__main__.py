"""``python -m distrt``: the command ``distrt``."""

import sys

from distrt.checkpoint.command import main

if __name__ == "__main__":
    sys.exit(main())
