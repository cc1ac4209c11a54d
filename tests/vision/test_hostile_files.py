"""Files of datasets that are broken or hostile are refused by name, and nothing in them runs."""

import os
import pickle
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distrt.core.errors import DatasetError
from distrt.files.faults import UnpicklingError
from distrt.files.plain import load_plain
from distrt.utils.data import DataLoader
from distrt.vision import datasets
from tests.vision.dataset_files import (
    idx_bytes,
    photographs,
    python_2_pickle,
    write_cifar,
    write_mnist,
)
from tests.vision.small_datasets import SmallCIFAR

pytest.importorskip("PIL", reason="needs distrt[vision]")


BROKEN_IDX: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", r"no IDX file: it begins with the bytes \(none\)"),
    "another file": (lambda data: b"\x89PNG" + data, "no IDX file: it begins with the bytes 89 50 4e 47"),
    "no such type": (lambda data: b"\0\0\x0a\x03" + data[4:], "no IDX file"),
    "another type": (
        lambda data: b"\0\0\x0d\x03" + data[4:],
        "expected bytes in 3 dims, got type 13 in 3 dims",
    ),
    "other dims": (lambda data: b"\0\0\x08\x02" + data[4:], "expected bytes in 3 dims, got type 8 in 2 dims"),
    "header cut": (lambda data: data[:9], "ends within its header, after 9 bytes"),
    "cut": (lambda data: data[:-1], "make 3936 bytes, it has 3935"),
    "too long": (lambda data: data + b"!", "make 3936 bytes, it has 3937"),
    "lies": (
        lambda data: data[:4] + struct.pack(">I", 2**32 - 1) + data[8:],
        r"\[4294967295, 28, 28\] numbers of 1 bytes",
    ),
}


@pytest.mark.parametrize("name", BROKEN_IDX)
def test_a_broken_idx_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    change, told = BROKEN_IDX[name]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DatasetError, match=rf"train-images-idx3-ubyte(.|\n)*{told}"):
        datasets.MNIST(tmp_path)


def test_images_and_labels_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(DatasetError, match=r"has 5 images, and .* 3 labels"):
        datasets.MNIST(tmp_path)


class Runs:
    """A pickle of this makes a folder when it is loaded by Python's pickle."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def hostile_pickles(ran: Path) -> dict[str, tuple[bytes, str]]:
    images, labels = photographs(4, 0)
    good = python_2_pickle(images, labels)
    return {
        "runs code": (pickle.dumps({"data": Runs(ran), "labels": labels}), "mkdir|posix"),
        "runs code by opcodes": (
            b"cos\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR.",
            "whose module os is blocked|posix",
        ),
        "evaluates": (b"cbuiltins\neval\n(S'1'\ntR.", "eval"),
        "names a function of distrt": (b"cdistrt.files.archives\nunpack\n(S'a'\nS'b'\ntR.", "unpack"),
        "cut": (good[: len(good) // 2], "pickle data was truncated"),
        "no pickle": (b"hello, world", "Memo value not found"),
        "empty": (b"", "ends|Ran out|empty"),
        "no dictionary": (pickle.dumps([1, 2]), "expected a dictionary, got list"),
        "no images": (pickle.dumps({"labels": labels}), "expected uint8 images of 3 x 32 x 32"),
        "images of floats": (
            pickle.dumps({"data": images.astype(float), "labels": labels}),
            "expected uint8 images",
        ),
        "images of another size": (
            pickle.dumps({"data": images[:, :-1], "labels": labels}),
            "expected uint8 images",
        ),
        "labels that are none": (
            pickle.dumps({"data": images, "labels": ["a"] * 4}),
            "expected a list of ints",
        ),
        "a label too few": (
            pickle.dumps({"data": images, "labels": labels[1:]}),
            "has 4 images and 3 labels",
        ),
        "an array of objects": (
            pickle.dumps({"data": np.array([Runs(ran)], object), "labels": [1]}),
            "GLOBAL posix.mkdir whose module posix is blocked",
        ),
        "an array that lies": (
            good.replace(struct.pack("<H", 3072), struct.pack("<H", 60000), 1),
            r"array of shape \(4, 60000\)",
        ),
    }


@pytest.mark.parametrize("name", hostile_pickles(Path("x")))
def test_a_hostile_pickle_is_refused_by_name_and_runs_nothing(tmp_path: Path, name: str) -> None:
    ran = tmp_path / "ran"
    write_cifar(tmp_path / "cifar-10-batches-py")
    data, told = hostile_pickles(ran)[name]
    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(data)
    with pytest.raises(DatasetError, match=f"data_batch_2: .*({told})|data_batch_2 ({told})"):
        SmallCIFAR(tmp_path)
    assert not ran.exists()


def test_a_file_with_another_checksum_is_not_even_read(tmp_path: Path) -> None:
    sums = write_cifar(tmp_path / "cifar-10-batches-py")

    class Checked(SmallCIFAR):
        train_list = [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")]  # noqa: RUF012

    assert len(Checked(tmp_path)) == 8
    path = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    with pytest.raises(DatasetError, match="Dataset not found or corrupted"):
        Checked(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_have_arrays_and_nothing_else(tmp_path: Path, protocol: int) -> None:
    table = np.arange(24.0).reshape(2, 3, 4)
    value = {
        "arrays": [np.arange(3.0), table, table.T, table.transpose(1, 2, 0), table[:, ::2]],
        "others": [np.arange(3, dtype=">i2"), np.array(["a", "bc"]), np.frombuffer(b"ab", np.uint8)],
        "b": [1, "x", None, 2.5],
        "c": np.float32(3),
    }
    path = tmp_path / "plain"
    path.write_bytes(pickle.dumps(value, protocol))
    expected = pickle.loads(path.read_bytes())  # which may have another byte order than it was given
    assert str(load_plain(str(path))) == str(expected)


def test_an_empty_array_of_protocol_5_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(pickle.dumps(np.empty((0, 2), np.float32), 5))
    found = load_plain(str(path))
    assert (found.shape, found.dtype) == ((0, 2), np.float32)


ROOM = bytes(16)

ARRAYS_THAT_LIE: dict[str, tuple[tuple[Any, ...], str]] = {
    "objects": ((ROOM, np.dtype(object), (2,), "C"), "no Python objects"),
    "no bytes": ((16, np.dtype("f8"), (2,), "C"), "needs bytes"),
    "no dtype": ((ROOM, "f8", (2,), "C"), "no Python objects"),
    "too large": ((ROOM, np.dtype("f8"), (2**40,), "C"), "has 16 bytes"),
    "too many dims": ((ROOM, np.dtype("f8"), (1,) * 70 + (2,), "C"), "has 16 bytes"),
    "a negative size": ((ROOM, np.dtype("f8"), (-1,), "C"), r"has the shape \(-1,\)"),
    "no order": ((ROOM, np.dtype("f8"), (2,), "X"), "has the order"),
    "one dim twice": ((ROOM, np.dtype("f8"), (2, 1), "K", (0, 0)), "has the order"),
}


class _Array:
    """Its pickle is an array's of protocol 5 with these arguments."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return np.empty(0).__reduce_ex__(5)[0], self.arguments


@pytest.mark.parametrize("name", ARRAYS_THAT_LIE)
def test_arrays_of_protocol_5_that_lie_are_refused(tmp_path: Path, name: str) -> None:
    arguments, told = ARRAYS_THAT_LIE[name]
    path = tmp_path / "plain"
    path.write_bytes(pickle.dumps(_Array(*arguments), 5))
    with pytest.raises(UnpicklingError, match=told):
        load_plain(str(path))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


BROKEN_IMAGES: dict[str, tuple[bytes, str]] = {
    "text": (b"no image", "cannot identify image file .*broken.png"),
    "empty": (b"", "cannot identify image file .*broken.png"),
    "claims to be larger than any photograph": (
        png(60000, 60000),
        "broken.png: DecompressionBombError: .*exceeds limit",
    ),
    "claims to be larger than it is": (png(300, 300, b"\0" * 50), "broken.png: image file is truncated"),
    "cut": (png(8, 8, bytes(range(200)))[:60], "broken.png"),
    "has a broken chunk": (png(8, 8).replace(b"IDAT", b"ID\0T"), "broken.png"),
}


@pytest.mark.parametrize("name", BROKEN_IMAGES)
def test_a_broken_image_is_an_oserror_with_its_path(pets: Path, name: str) -> None:
    data, told = BROKEN_IMAGES[name]
    (pets / "cat" / "broken.png").write_bytes(data)
    folder = datasets.ImageFolder(pets)
    (broken,) = [i for i, (path, _) in enumerate(folder.samples) if path.endswith("broken.png")]
    with warnings.catch_warnings(), pytest.raises(OSError, match=told):
        warnings.simplefilter("ignore")
        folder[broken]


@pytest.mark.ci
def test_a_broken_image_is_named_by_the_worker_that_met_it(pets: Path) -> None:
    (pets / "cat" / "broken.png").write_bytes(png(300, 300))
    loader = DataLoader(datasets.ImageFolder(pets, transform=np.array), num_workers=1)
    with pytest.raises(OSError, match=r"Caught DatasetError in DataLoader worker process 0(.|\n)*broken.png"):
        list(loader)
