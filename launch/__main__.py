"""``python -m launch`` is ``distrt-launch``."""

import sys

from launch.cli import main

sys.exit(main())
