"""Facade: PyTorch's ``torch.distributed.checkpoint``. The room is ``distrt.checkpoint``."""

from distrt.checkpoint.failures import CheckpointException
from distrt.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    TensorStorageMetadata,
)
from distrt.checkpoint.state_dicts import async_save, load, load_state_dict, save, save_state_dict
from distrt.checkpoint.storage import (
    DefaultLoadPlanner,
    DefaultSavePlanner,
    FileSystemReader,
    FileSystemWriter,
)
from distrt.distributed.checkpoint import (
    api,
    default_planner,
    filesystem,
    format_utils,
    metadata,
    state_dict,
    state_dict_loader,
    state_dict_saver,
    stateful,
)

__all__ = [
    "BytesStorageMetadata",
    "CheckpointException",
    "ChunkStorageMetadata",
    "DefaultLoadPlanner",
    "DefaultSavePlanner",
    "FileSystemReader",
    "FileSystemWriter",
    "Metadata",
    "TensorStorageMetadata",
    "api",
    "async_save",
    "default_planner",
    "filesystem",
    "format_utils",
    "load",
    "load_state_dict",
    "metadata",
    "save",
    "save_state_dict",
    "state_dict",
    "state_dict_loader",
    "state_dict_saver",
    "stateful",
]
