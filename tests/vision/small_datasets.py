"""What tests of the datasets share: small ones, and how a dataset is told."""

from typing import Any

import numpy as np

from distrt.vision import datasets


def listed(dataset: Any) -> list[Any]:
    return [(np.asarray(dataset[i][0]).tolist(), dataset[i][1]) for i in range(len(dataset))]


class SmallParts:
    train_list = [["data_batch_1", None], ["data_batch_2", None]]  # noqa: RUF012
    test_list = [["test_batch", None]]  # noqa: RUF012
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}  # noqa: RUF012


class SmallCIFAR(SmallParts, datasets.CIFAR10):
    """CIFAR-10 of twelve images, whose checksums nobody knows."""
