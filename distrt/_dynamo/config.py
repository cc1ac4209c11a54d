"""Facade: ``torch._dynamo.config``. Any switch can be set, and none has an effect."""

import sys

from distrt.core.process.switches import Switches

sys.modules[__name__].__class__ = Switches
