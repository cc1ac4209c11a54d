"""Small data in the formats that public scripts read, made so that there is something to learn."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.vision.dataset_files import idx_bytes

COLOURS = "cifar-10-batches-py"


def write_digits(folder: Path, counts: tuple[int, int] = (256, 64)) -> None:
    """MNIST's files: a bright patch at a place of its own for each class, and noise."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in zip(("train", "t10k"), counts, strict=True):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 40, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            top, left = 2 + 13 * (label // 5), 2 + 5 * (label % 5)
            image[top : top + 8, left : left + 4] = 255
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


def write_colours(folder: Path, count: int = 12) -> dict[str, Any]:
    """CIFAR-10's files, each of ``count`` images of one colour; returns what its class has to say of them."""
    place = folder / COLOURS
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(name: str, content: Any) -> list[str]:
        data = pickle.dumps(content, protocol=2)
        (place / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    palette = rng.integers(0, 256, (10, 3), dtype=np.uint8)
    lists = []
    for names in ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]):
        batches = []
        for name in names:
            labels = [int(each) for each in rng.integers(0, 10, count)]
            images = np.repeat(palette[labels], 32 * 32, axis=1).reshape(count, 3072)
            batches.append(
                write(name, {"data": images, "labels": labels, "batch_label": "", "filenames": []})
            )
        lists.append(batches)
    name, checksum = write("batches.meta", {"label_names": [f"class {number}" for number in range(10)]})
    meta = {"filename": name, "key": "label_names", "md5": checksum}
    return {"train_list": lists[0], "test_list": lists[1], "meta": meta}


def write_words(folder: Path, words: int = 2400) -> None:
    """A text of few words, each of which says much about the next."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{first}{second}" for first in "bdfgk" for second in ("a", "en", "ilo", "u")]
    follow = rng.permutation(len(names))
    text, at = [], 0
    for _ in range(words):
        text.append(names[at])
        at = int(follow[at]) if rng.random() < 0.8 else int(rng.integers(len(names)))
    lines = [" ".join(text[start : start + 12]) for start in range(0, words, 12)]
    (folder / "train.txt").write_text("\n".join(lines[:-30]) + "\n")
    (folder / "valid.txt").write_text("\n".join(lines[-30:]) + "\n")
