"""Opens the checkpoint in a folder, whichever library has written it."""

from __future__ import annotations

import os

from distrt.checkpoint import distcp_metadata, manifest
from distrt.checkpoint.distcp import SavedByPyTorch
from distrt.checkpoint.reading import Saved, SavedState
from distrt.core.errors import CheckpointError

__all__ = ["is_checkpoint", "opened"]


def is_checkpoint(folder: str) -> bool:
    """Whether a folder has a checkpoint of distrt's or of PyTorch's."""
    return any(os.path.exists(os.path.join(folder, name)) for name in (manifest.NAME, distcp_metadata.NAME))


def opened(folder: str) -> SavedState:
    """The checkpoint in a folder.

    Raises:
        CheckpointError: where there is none, it is damaged, or there are two.
    """
    if not os.path.exists(os.path.join(folder, distcp_metadata.NAME)):
        return Saved(folder)
    if os.path.exists(os.path.join(folder, manifest.NAME)):
        raise CheckpointError(
            f"{folder} has two checkpoints: {manifest.NAME} is distrt's, {distcp_metadata.NAME} PyTorch's. Which of "
            "them is meant cannot be seen: take one of these files away"
        )
    return SavedByPyTorch(folder)
