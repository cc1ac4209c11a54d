"""Checkpoints of a run: everything that a resume needs, written by all ranks, whole or not there.

See docs/checkpoints.md.
"""

from distrt.checkpoint.position import Batches
from distrt.checkpoint.run import Checkpoints

__all__ = ["Batches", "Checkpoints"]
