"""``distrt.save``: objects as PyTorch's ``torch.load`` reads them."""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

from distrt.core.arrays import on_host
from distrt.core.process.activity import CHECKPOINT, doing
from distrt.files import legacy
from distrt.files.atomic import write_atomically
from distrt.files.pickling import Pickled
from distrt.files.settings import of_thread, settings
from distrt.files.zip_writer import ALIGNMENT, ZipWriter, whole

__all__ = ["save"]


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Saves an object to a file, in PyTorch's format.

    Tensors that share memory share it in the file, and after loading. A view brings all of the memory that it lies in:
    save a clone of it where that is too much. A file that is given by its path is replaced as a whole or not at all.

    Args:
        obj: tensors, numbers, strings and containers of them, ``state_dict()``, modules.
        f: a path, or an object that can ``write``.
        pickle_module: whose ``Pickler`` is used.
        pickle_protocol: 2 is what ``weights_only`` loading of PyTorch reads; -1 is Python's newest.

    Raises:
        CheckpointError: (a RuntimeError) where the file cannot be written, or two tensors of different dtypes share
            memory.
        pickle.PicklingError, AttributeError: for an object that cannot be pickled.
    """
    is_path = isinstance(f, str | os.PathLike)
    if not is_path and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    if not _use_new_zipfile_serialization and of_thread.skips_data:
        raise RuntimeError("Cannot use skip_data=True with _use_new_zipfile_serialization=False")
    if pickle_protocol < 0:  # as pickle takes it: the newest
        pickle_protocol = pickle.HIGHEST_PROTOCOL
    pickled = Pickled(obj, pickle_module, pickle_protocol, legacy=not _use_new_zipfile_serialization)

    def fill(file: Any) -> None:
        if not _use_new_zipfile_serialization:
            legacy.write(pickled, whole(file.write), pickle_protocol)
        else:
            _write_zip(
                pickled, file, _archive_name(f) if is_path else "archive", not _disable_byteorder_record
            )

    with doing(CHECKPOINT):
        if is_path:
            write_atomically(os.fspath(f), fill)
            return
        fill(f)
        if hasattr(f, "flush"):
            f.flush()


def _write_zip(pickled: Pickled, file: Any, name: str, says_byte_order: bool) -> None:
    archive = ZipWriter(whole(file.write), name, settings.with_checksums)
    archive.record("data.pkl", pickled.data)
    archive.record(".format_version", b"1")
    archive.record(".storage_alignment", str(ALIGNMENT).encode())
    if says_byte_order:
        archive.record("byteorder", sys.byteorder.encode())
    skip = (lambda size: file.seek(size, os.SEEK_CUR)) if of_thread.skips_data else None
    for key, row in pickled.rows.items():
        archive.record(f"data/{key}", on_host(row), skip)
    archive.finish()


def _archive_name(path: Any) -> str:
    """The folder inside the archive: the file's name without its ending, as PyTorch has it."""
    name = os.path.basename(os.fspath(path))
    return (name.rpartition(".")[0] or name) if name.isascii() and name.strip(".") else "archive"
