"""Datasets read torchvision's files as torchvision does, refuse broken ones by name, and execute nothing."""

import hashlib
import http.server
import os
import pickle
import re
import struct
import tarfile
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.errors import DatasetError, DownloadError
from distrt.files.archives import unpack
from distrt.files.plain import load_plain
from distrt.utils.data import DataLoader
from distrt.vision import datasets
from distrt.vision.datasets.utils import check_integrity, download_url, extract_archive, verify_str_arg
from tests.oracles import require_torchvision
from tests.vision.dataset_files import (
    CIFAR_CLASSES,
    digits,
    idx_bytes,
    mnist_archives,
    photographs,
    python_2_pickle,
    tar_of,
    write_cifar,
    write_mnist,
)

pytest.importorskip("PIL", reason="needs distrt[vision]")


@pytest.fixture(scope="module")
def torchvision() -> ModuleType:
    return require_torchvision()


def listed(dataset: Any) -> list[Any]:
    return [(np.asarray(dataset[i][0]).tolist(), dataset[i][1]) for i in range(len(dataset))]


# MNIST and its kin


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_kin_equal_torchvision(
    torchvision: ModuleType, tmp_path: Path, name: str, train: bool
) -> None:
    write_mnist(tmp_path / name / "raw")
    ours, theirs = (
        getattr(library.datasets, name)(str(tmp_path), train=train)
        for library in (distrt.vision, torchvision)
    )
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.classes, ours.class_to_idx) == (
        repr(theirs),
        theirs.classes,
        theirs.class_to_idx,
    )
    assert (ours.data.tolist(), ours.targets.tolist()) == (theirs.data.tolist(), theirs.targets.tolist())
    assert (ours.data.dtype, ours.targets.dtype) == (distrt.uint8, distrt.int64)
    assert ours[0][0].mode == theirs[0][0].mode == "L"
    assert (ours.resources, [*ours.mirrors]) == (theirs.resources, theirs.mirrors)


@pytest.mark.parametrize("split", ["letters", "balanced"])
def test_emnist_equals_torchvision(torchvision: ModuleType, tmp_path: Path, split: str) -> None:
    write_mnist(tmp_path / "EMNIST" / "raw", (f"emnist-{split}-train", f"emnist-{split}-test"))
    ours, theirs = (library.datasets.EMNIST(tmp_path, split) for library in (distrt.vision, torchvision))
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.classes, ours.url, ours.md5) == (
        repr(theirs),
        theirs.classes,
        theirs.url,
        theirs.md5,
    )


def test_images_and_targets_are_transformed(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    data = datasets.MNIST(tmp_path, transform=np.asarray, target_transform=lambda target: -target)
    images, labels = digits(5)
    assert [(image.tolist(), target) for image, target in map(data.__getitem__, range(5))] == [
        (image.tolist(), -label) for image, label in zip(images, labels.tolist(), strict=True)
    ]
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        datasets.VisionDataset(tmp_path, transforms=print, transform=print)


def test_old_names_of_mnists_tensors_warn(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    data: Any = datasets.MNIST(tmp_path)
    with pytest.warns(UserWarning, match="train_labels has been renamed targets"):
        assert data.train_labels is data.targets


def test_tensors_that_old_versions_of_torchvision_wrote_are_read(torch: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for name, count in (("training.pt", 3), ("test.pt", 2)):
        torch.save((torch.zeros(count, 28, 28, dtype=torch.uint8), torch.arange(count)), folder / name)
    assert datasets.MNIST(tmp_path).targets.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kind", "dtype"), [(9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_idx_files_of_all_types_equal_torchvision(
    torchvision: ModuleType, tmp_path: Path, kind: int, dtype: str
) -> None:
    from distrt.vision.datasets.idx import read_idx

    path = tmp_path / "numbers"
    path.write_bytes(idx_bytes(np.arange(-6, 6).reshape(3, 4).astype(dtype), kind))
    theirs = torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(str(path))
    ours = read_idx(str(path))
    assert (ours.tolist(), str(ours.dtype)) == (theirs.tolist(), str(theirs.dtype))


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


@pytest.mark.parametrize("kind", [datasets.MNIST, datasets.CIFAR10])
def test_a_dataset_that_is_missing_says_how_to_get_it(tmp_path: Path, kind: type) -> None:
    with pytest.raises(RuntimeError, match="You can use download=True to download it"):
        kind(tmp_path)


# CIFAR


class _SmallCIFAR:
    train_list = [["data_batch_1", None], ["data_batch_2", None]]  # noqa: RUF012
    test_list = [["test_batch", None]]  # noqa: RUF012
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}  # noqa: RUF012


class SmallCIFAR(_SmallCIFAR, datasets.CIFAR10):
    """CIFAR-10 of twelve images, whose checksums nobody knows."""


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("python", [2, 3])
def test_cifar_equals_torchvision(torchvision: ModuleType, tmp_path: Path, python: int, train: bool) -> None:
    write_cifar(tmp_path / "cifar-10-batches-py", python)
    theirs = type("SmallCIFAR", (_SmallCIFAR, torchvision.datasets.CIFAR10), {})(tmp_path, train=train)
    ours = SmallCIFAR(tmp_path, train=train)
    assert listed(ours) == listed(theirs)
    assert (repr(ours), ours.class_to_idx, ours.targets) == (
        repr(theirs),
        theirs.class_to_idx,
        theirs.targets,
    )
    assert ours.data.tolist() == theirs.data.tolist()
    assert ours.classes == CIFAR_CLASSES


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifars_files_and_checksums_are_torchvisions(torchvision: ModuleType, name: str) -> None:
    ours, theirs = (getattr(library.datasets, name) for library in (distrt.vision, torchvision))
    for each in ("base_folder", "url", "filename", "tgz_md5", "train_list", "test_list", "meta"):
        assert getattr(ours, each) == getattr(theirs, each), each


def test_cifar_100_has_fine_labels(tmp_path: Path) -> None:
    class Small(datasets.CIFAR100):
        train_list = [["train", None]]  # noqa: RUF012
        test_list = [["test", None]]  # noqa: RUF012
        meta = {"filename": "meta", "key": "fine_label_names", "md5": None}  # noqa: RUF012

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    images, labels = photographs(4, 0)
    for name in ("train", "test"):
        (folder / name).write_bytes(python_2_pickle(images, labels, b"fine_labels"))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": CIFAR_CLASSES}, protocol=2))
    data = Small(tmp_path)
    assert (data.targets, data.classes) == (labels, CIFAR_CLASSES)
    assert np.asarray(data[1][0]).tolist() == images[1].reshape(3, 32, 32).transpose(1, 2, 0).tolist()


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
            "arrays of dtype .O8. are not read",
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


def test_plain_pickles_have_arrays_and_nothing_else(tmp_path: Path) -> None:
    value = {"a": np.arange(3.0), "b": [1, "x", None, 2.5], "c": np.float32(3)}
    path = tmp_path / "plain"
    path.write_bytes(pickle.dumps(value))
    assert str(load_plain(str(path))) == str(value)


# Folders


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    from PIL import Image

    for number, name in enumerate(
        ("cat/b.png", "cat/deep/a.JPEG", "dog/a.png", "dog/notes.txt", "dog/c.bmp")
    ):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            path.write_text("no image")
        else:
            Image.fromarray(np.full((4, 5), 40 * number, np.uint8)).save(path)
    return tmp_path / "pets"


def test_image_folder_equals_torchvision(torchvision: ModuleType, pets: Path) -> None:
    ours, theirs = (library.datasets.ImageFolder(str(pets)) for library in (distrt.vision, torchvision))
    assert (ours.samples, ours.classes, ours.class_to_idx) == (
        theirs.samples,
        theirs.classes,
        theirs.class_to_idx,
    )
    assert (ours.targets, ours.imgs, repr(ours)) == (theirs.targets, theirs.imgs, repr(theirs))
    assert listed(ours) == listed(theirs)
    assert ours[0][0].mode == "RGB"


def test_dataset_folder_loads_what_it_is_told_to(torchvision: ModuleType, pets: Path) -> None:
    for options in (
        {"extensions": (".txt", ".bmp"), "allow_empty": True},
        {"is_valid_file": lambda path: "a." in path},
    ):
        ours, theirs = (
            library.datasets.DatasetFolder(str(pets), loader=os.path.getsize, **options)
            for library in (distrt.vision, torchvision)
        )
        assert list(map(ours.__getitem__, range(len(ours)))) == list(
            map(theirs.__getitem__, range(len(theirs)))
        )


@pytest.mark.parametrize("library", ["distrt", "torchvision"])
def test_folders_without_samples_are_refused_as_in_torchvision(pets: Path, library: str) -> None:
    module = distrt.vision if library == "distrt" else require_torchvision()
    (pets / "bird").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"Found no valid file for the classes bird. Supported extensions are: .jpg"
    ):
        module.datasets.ImageFolder(str(pets))
    assert len(module.datasets.ImageFolder(str(pets), allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder in"):
        module.datasets.ImageFolder(str(pets / "bird"))
    with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
        module.datasets.DatasetFolder(str(pets), loader=open)


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


def test_fake_data_is_the_same_each_time(torchvision: ModuleType) -> None:
    data = datasets.FakeData(4, (3, 6, 5), 10, random_offset=2)
    theirs = torchvision.datasets.FakeData(4, (3, 6, 5), 10)
    assert listed(data) == listed(datasets.FakeData(4, (3, 6, 5), 10, random_offset=2))
    assert np.asarray(data[0][0]).tolist() == np.asarray(datasets.FakeData(9, (3, 6, 5))[2][0]).tolist()
    assert (data[1][0].size, data[1][0].mode, type(data[1][1])) == (theirs[1][0].size, "RGB", int)
    assert (repr(data), datasets.FakeData(1, (1, 4, 4))[0][0].mode) == (repr(theirs), "L")
    with pytest.raises(IndexError, match="FakeData index out of range"):
        data[4]


# Fetching and unpacking


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a server of what is in it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_mnist_is_fetched_from_the_first_mirror_that_has_it(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    sums = mnist_archives(folder)

    class Small(datasets.MNIST):
        mirrors = (f"{address}nothing/", address)
        resources = list(sums.items())  # noqa: RUF012

    data = Small(tmp_path / "data", download=True)
    assert data.targets.tolist() == digits(5)[1].tolist()
    for each in folder.iterdir():
        each.unlink()
    assert len(Small(tmp_path / "data", train=False, download=True)) == 6, "nothing is fetched twice"


def test_mnist_without_its_mirrors_says_what_was_tried(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"something else")

    class Small(datasets.MNIST):
        mirrors = ("http://127.0.0.1:9/", f"{address}nothing/", address)

    with pytest.raises(RuntimeError) as caught:
        Small(tmp_path / "data", download=True)
    told = str(caught.value)
    assert told.startswith("Error downloading train-images-idx3-ubyte.gz:\nTried http://127.0.0.1:9/, got:\n")
    assert re.search(r"(.|\n)*".join(("refused", "404", "invalid hash value")), told), told
    assert not list((tmp_path / "data").rglob("*ubyte"))


def test_cifar_is_fetched_and_unpacked(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    write_cifar(tmp_path / "made")
    files = {f"cifar-10-batches-py/{each.name}": each.read_bytes() for each in (tmp_path / "made").iterdir()}
    packed = tar_of(files)
    (folder / "cifar.tar.gz").write_bytes(packed)

    class Small(SmallCIFAR):
        url = f"{address}cifar.tar.gz"
        filename = "cifar.tar.gz"
        tgz_md5 = hashlib.md5(packed).hexdigest()

    assert len(Small(tmp_path / "data", download=True)) == 8
    Small.tgz_md5 = "0" * 32
    with pytest.raises(DownloadError, match="invalid hash value"):
        Small(tmp_path / "other", download=True)


def test_a_file_with_a_wrong_checksum_is_fetched_again(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "a.txt").write_bytes(b"right")
    (tmp_path / "a.txt").write_bytes(b"wrong")
    md5 = hashlib.md5(b"right").hexdigest()
    download_url(f"{address}a.txt", tmp_path, md5=md5)
    assert (tmp_path / "a.txt").read_bytes() == b"right"
    assert check_integrity(tmp_path / "a.txt", md5) and not check_integrity(tmp_path / "b.txt")


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE_TARS: dict[str, tuple[dict[str, Any], str]] = {
    "upwards": ({"fine": b"1", "../out": b"2"}, "the name '../out' leads out of the folder"),
    "upwards inside": ({"a/../../out": b"2"}, "leads out of the folder"),
    "absolute": ({"/tmp/out": b"2"}, "the name '/tmp/out' leads out of the folder"),
    "backslashes": ({"..\\out": b"2"}, "leads out of the folder"),
    "a link": ({"door": link("door", "/"), "door/out": b"2"}, "'door' is a link or a device"),
    "a hard link": ({"door": link("door", "/etc/passwd", tarfile.LNKTYPE)}, "'door' is a link or a device"),
    "a pipe": ({"door": link("door", "", tarfile.FIFOTYPE)}, "'door' is a link or a device"),
    "a bomb": ({"fine": b"1", "bomb": bytes(5_000_000)}, "would become more than 1000000 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE_TARS)
def test_a_hostile_archive_leaves_nothing(tmp_path: Path, name: str) -> None:
    members, told = HOSTILE_TARS[name]
    (tmp_path / "hostile.tar.gz").write_bytes(tar_of(members))
    with pytest.raises(DatasetError, match=f"hostile.tar.gz: .*{told}.*nothing of it is kept"):
        unpack(str(tmp_path / "hostile.tar.gz"), str(tmp_path / "into"), most_bytes=1_000_000)
    assert list((tmp_path / "into").iterdir()) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hostile.tar.gz", "into"]


@pytest.mark.parametrize("member", ["../out", "/out", "a/../../out", "C:/out"])
def test_a_hostile_zip_leaves_nothing(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fine", "1")
        archive.writestr(member, "2")
    with pytest.raises(DatasetError, match="leads out of the folder"):
        unpack(str(tmp_path / "a.zip"), str(tmp_path / "into"))
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.gz", "a.xz", "a.bz2"])
def test_an_archive_that_is_cut_leaves_nothing(tmp_path: Path, name: str) -> None:
    import bz2
    import gzip
    import lzma

    content = np.random.default_rng(0).bytes(20_000)
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("fine", content)
    else:
        pack = {"a.gz": gzip.compress, "a.xz": lzma.compress, "a.bz2": bz2.compress}
        path.write_bytes(tar_of({"fine": content}) if "tar" in name else pack[name](content))
    assert extract_archive(path, tmp_path / "whole") == str(
        tmp_path / "whole" / ("a" if "." not in name[2:] and name != "a.zip" else "")
    )
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(DatasetError, match=rf"{name} is damaged: .*nothing of it is kept"):
        extract_archive(path, tmp_path / "cut")
    assert list((tmp_path / "cut").iterdir()) == []


def test_archives_are_unpacked_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"folder/new": b"1", "./folder/deep/new": b"2"}))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("3")
    assert extract_archive(tmp_path / "a.tar.gz", remove_finished=True) == str(tmp_path)
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()) == [
        "folder/deep/new",
        "folder/new",
        "folder/old",
    ]
    with pytest.raises(ValueError, match=r"a.txt has no ending of an archive"):
        extract_archive(tmp_path / "a.txt")


def test_arguments_are_verified_in_torchvisions_words(torchvision: ModuleType) -> None:
    def told(function: Callable[..., Any], *arguments: Any) -> str:
        with pytest.raises(ValueError) as caught:
            function(*arguments)
        return str(caught.value)

    theirs = torchvision.datasets.utils.verify_str_arg
    for arguments in ((3, "split"), ("x", "split", ("a", "b")), (None,)):
        assert told(verify_str_arg, *arguments) == told(theirs, *arguments)
    assert verify_str_arg("a", "split", ("a", "b")) == "a"
