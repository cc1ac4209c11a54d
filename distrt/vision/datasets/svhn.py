"""Street View House Numbers: digits photographed on houses, in MATLAB's format."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from distrt.core.errors import DatasetError
from distrt.vision.datasets.matlab import read_matlab
from distrt.vision.datasets.utils import check_integrity, download_url, verify_str_arg
from distrt.vision.datasets.vision import VisionDataset
from distrt.vision.pillow import pil

__all__ = ["SVHN"]

_FROM = "http://ufldl.stanford.edu/housenumbers/"
_TEN = 10  # how the files write the digit 0


class SVHN(VisionDataset[Any]):
    """Digits of house numbers, cut out at 32 x 32. Needs SciPy, the extra ``datasets``.

    Args:
        root: the folder that has, or gets, ``train_32x32.mat`` and so on.
        split: "train" (73,257 images), "test" (26,032) or "extra" (531,131 that are easier).
        transform, target_transform: see `VisionDataset`; an image is a Pillow image, a target an int.
        download: fetch what is missing.

    Attributes:
        data: the images, an array of uint8 (N, 3, 32, 32).
        labels: the digits, an array of int64 (N,).

    Raises:
        ValueError: for another split.
        DatasetError: (a RuntimeError) for a file that is missing or damaged.
        ModuleNotFoundError: SciPy is not installed.

    Source: Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning,
    http://ufldl.stanford.edu/housenumbers/
    """

    split_list: ClassVar[dict[str, list[str]]] = {
        split: [f"{_FROM}{split}_32x32.mat", f"{split}_32x32.mat", md5]
        for split, md5 in (
            ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", "eb5a983be6a315427106f1b164d9cef3"),
            ("extra", "a93ce644f1a588dc4d68dda5feec44a7"),
        )
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.split_list)
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = os.path.join(self.root, self.filename)
        if not check_integrity(path, self.file_md5):
            raise DatasetError(
                f"Dataset not found or corrupted. You can use download=True to download it. It is looked for in {path}"
            )
        images, labels = read_matlab(path, "X", "y")
        self.data = np.transpose(images, (3, 2, 0, 1))  # from (height, width, channel, N)
        self.labels = labels.astype(np.int64).squeeze(-1)
        self.labels[self.labels == _TEN] = 0
        if len(self.data) != len(self.labels):
            raise DatasetError(f"{path} has {len(self.data)} images, and {len(self.labels)} labels")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = pil().fromarray(np.transpose(self.data[index], (1, 2, 0)))
        return self._transformed(image, int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def download(self) -> None:
        """Fetches the file, unless it is there."""
        download_url(self.url, self.root, self.filename, self.file_md5)

    def extra_repr(self) -> str:
        """The part."""
        return f"Split: {self.split}"
