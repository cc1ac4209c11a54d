"""QMNIST: the MNIST digits with where they came from, and 50,000 test digits that had been lost."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from distrt.core.tensor import Tensor
from distrt.vision.datasets.idx import read_idx
from distrt.vision.datasets.mnist import MNIST
from distrt.vision.datasets.utils import check_integrity, download_and_extract_archive, verify_str_arg
from distrt.vision.pillow import pil

__all__ = ["QMNIST"]

_FROM = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
_INTEGERS = 12  # IDX's number for big-endian integers of four bytes
_IN_MNIST = 10_000  # so many of the test digits are MNIST's


class QMNIST(MNIST):
    """MNIST with the writer and the place of each digit, and all 60,000 test digits.

    Args:
        root: as for `MNIST`.
        what: "train", "test", "test10k" (MNIST's test digits), "test50k" (the others) or "nist" (all of NIST's digits);
            by default what ``train`` says.
        compat: a target is the class, an int; otherwise a tensor of 8 integers: class, series, writer and so on.
        train: the training digits, where ``what`` says nothing.
        **kwargs: what `MNIST` takes.

    Raises:
        ValueError: for another ``what``.

    Source: C. Yadav, L. Bottou, Cold Case: the Lost MNIST Digits, https://github.com/facebookresearch/qmnist
    """

    subsets: ClassVar = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    resources: Any = {  # noqa: RUF012 - a class attribute of the name and form of torchvision's
        "train": [
            (f"{_FROM}qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (f"{_FROM}qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (f"{_FROM}qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (f"{_FROM}qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (f"{_FROM}xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (f"{_FROM}xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        if what is None:
            what = "train" if train else "test"
        self.what = verify_str_arg(what, "what", self.subsets)
        self.compat = compat
        self.data_file = self.training_file = self.test_file = f"{what}.pt"
        super().__init__(root, train, **kwargs)

    @property
    def images_file(self) -> str:
        """The file of the images of this part."""
        return self._unpacked(0)

    @property
    def labels_file(self) -> str:
        """The file of what is known of them."""
        return self._unpacked(1)

    def _unpacked(self, number: int) -> str:
        url, _ = self.resources[self.subsets[self.what]][number]
        return os.path.join(self.raw_folder, os.path.splitext(os.path.basename(url))[0])

    def _check_exists(self) -> bool:
        return check_integrity(self.images_file) and check_integrity(self.labels_file)

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images, targets = read_idx(self.images_file, 3), read_idx(self.labels_file, 2, _INTEGERS).long()
        if self.what == "test10k":
            return images[:_IN_MNIST].clone(), targets[:_IN_MNIST].clone()
        if self.what == "test50k":
            return images[_IN_MNIST:].clone(), targets[_IN_MNIST:].clone()
        return images, targets

    def download(self) -> None:
        """Fetches and unpacks the files of this part, if one is missing."""
        if self._check_exists():
            return
        for url, md5 in self.resources[self.subsets[self.what]]:
            download_and_extract_archive(url, self.raw_folder, md5=md5)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, known = pil().fromarray(self.data[index].numpy()), self.targets[index]
        return self._transformed(image, int(known[0]) if self.compat else known)

    def extra_repr(self) -> str:
        """The part."""
        return f"Split: {self.what}"
