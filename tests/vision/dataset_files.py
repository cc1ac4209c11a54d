"""Small data sets in the formats of the large ones, as files: what tests of the datasets read, whole and broken."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def digits(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count).astype(np.uint8)


def write_mnist(folder: Path, prefixes: tuple[str, str] = ("train", "t10k")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, prefix in enumerate(prefixes):
        images, labels = digits(5 + seed, seed)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


def mnist_archives(folder: Path) -> dict[str, str]:
    """The four compressed files; their checksums by name."""
    write_mnist(folder)
    found = {}
    for each in sorted(folder.glob("*ubyte")):
        packed = folder / f"{each.name}.gz"
        packed.write_bytes(gzip.compress(each.read_bytes(), mtime=0))
        each.unlink()
        found[packed.name] = hashlib.md5(packed.read_bytes()).hexdigest()
    return found


def python_2_pickle(images: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    """A batch as Python 2 wrote it: strings are bytes, and so is the content of the array."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    shape = b"(" + b"".join(b"M" + struct.pack("<H", size) for size in images.shape) + b"t"
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R"
        + b"(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    data = images.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + shape + dtype + b"\x89" + b"T" + struct.pack("<i", len(data)) + data + b"tb"
    items = (
        text(b"batch_label") + text(b"batch 1") + text(key) + b"](" + numbers + b"e" + text(b"data") + array
    )
    return b"\x80\x02}(" + items + b"u."


def photographs(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, 3, count).tolist()


CIFAR_CLASSES = ["cat", "dog", "frog"]


def write_cifar(folder: Path, python: int = 2) -> dict[str, str]:
    """Two files to train on, one to test with, and the names; the checksums by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        images, labels = photographs(4, seed)
        batch: Any = {"data": images, "labels": labels}
        packed = python_2_pickle(images, labels) if python == 2 else pickle.dumps(batch, protocol=4)
        (folder / name).write_bytes(packed)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CIFAR_CLASSES}, protocol=2))
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def tar_of(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
