"""Datasets are fetched and unpacked as a whole, and archives write nothing outside their folder."""

import hashlib
import http.server
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from distrt.core.errors import DatasetError, DownloadError
from distrt.files.archives import unpack
from distrt.vision import datasets
from distrt.vision.datasets.utils import check_integrity, download_url, extract_archive, verify_str_arg
from tests.vision.dataset_files import (
    digits,
    mnist_archives,
    tar_of,
    write_cifar,
)
from tests.vision.small_datasets import SmallCIFAR

pytest.importorskip("PIL", reason="needs distrt[vision]")


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


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_goes_on_where_it_ended(tmp_path: Path, knows_ranges: bool) -> None:
    content = np.random.default_rng(0).bytes(3_000_000)
    asked: list[str | None] = []

    class Breaking(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and knows_ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : 1_000_000 if len(asked) == 1 else None])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/data.bin"
        md5 = hashlib.md5(content).hexdigest()
        with pytest.raises(DownloadError, match="ended after 1000000 of 3000000 bytes"):
            download_url(url, tmp_path, md5=md5)
        assert [each.name for each in tmp_path.iterdir()] == ["data.bin.partial"]
        download_url(url, tmp_path, md5=md5)
        server.shutdown()
        thread.join()
    assert asked == [None, "bytes=1000000-"]
    assert (tmp_path / "data.bin").read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["data.bin"]
