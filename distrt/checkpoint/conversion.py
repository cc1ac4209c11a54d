"""A checkpoint as one file that ``distrt.save`` or safetensors writes, and back; and as PyTorch's, and back."""

from __future__ import annotations

import os
from typing import Any

from distrt.checkpoint.distcp import write_as_pytorch
from distrt.checkpoint.opening import is_checkpoint, opened
from distrt.checkpoint.ranks import Ranks
from distrt.checkpoint.reading import SavedState
from distrt.checkpoint.writing import Save
from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor, wrap
from distrt.files import load, save
from distrt.files.safetensors import save_file

__all__ = ["dcp_to_torch_save", "torch_save_to_dcp", "write_checkpoint", "write_safetensors"]

_Path = str | os.PathLike[str]


def dcp_to_torch_save(dcp_checkpoint_dir: _Path, torch_save_path: _Path) -> None:
    """Writes a checkpoint as one file in PyTorch's format; its tensors are whole.

    Raises:
        CheckpointError: for a checkpoint that is damaged.
    """
    save(_verified(dcp_checkpoint_dir).state(), torch_save_path)


def torch_save_to_dcp(torch_save_path: _Path, dcp_checkpoint_dir: _Path) -> None:
    """Writes what is in a file of PyTorch's format as a checkpoint.

    Raises:
        CheckpointError: for a file that is damaged, or holds no dict.
    """
    state = load(torch_save_path, weights_only=False)
    if not isinstance(state, dict):
        raise CheckpointError(f"{torch_save_path} holds a {type(state).__name__}, a checkpoint needs a dict")
    _write(state, os.fspath(dcp_checkpoint_dir))


def write_checkpoint(folder: _Path, target: _Path, *, as_pytorch: bool) -> None:
    """Writes a checkpoint again, as distrt's or as PyTorch's ``torch.distributed.checkpoint`` writes it.

    Raises:
        CheckpointError: for a checkpoint that is damaged, and where there is one in the target already.
    """
    saved, target = _verified(folder), os.fspath(target)
    if is_checkpoint(target):
        raise CheckpointError(f"{target} has a checkpoint already")
    if as_pytorch:
        write_as_pytorch(saved, target)
    else:
        _write(saved.state(), target)


def _write(state: dict[Any, Any], folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    saved = Save(state, folder, Ranks(is_alone=True), {"world_size": 1})
    saved.finish(lambda: saved.complete(0.0))


def write_safetensors(folder: _Path, path: _Path) -> list[str]:
    """Writes the tensors of a checkpoint as a safetensors file; gives the names of what is no tensor, and left out.

    Raises:
        CheckpointError: for a checkpoint that is damaged.
    """
    saved = _verified(folder)
    tensors: dict[str, Tensor] = {}
    left_out = []
    for name in saved.names:
        if saved.entry(name).is_tensor:
            tensors[name] = wrap(saved.array(name).copy())
        else:
            left_out.append(name)
    save_file(tensors, path)
    return left_out


def _verified(folder: _Path) -> SavedState:
    saved = opened(os.fspath(folder))
    for name in saved.names:
        saved.verify(name)
    return saved
