"""torchvision, and a folder of images, for the tests of this folder."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.oracles import require_torchvision


@pytest.fixture(scope="module")
def torchvision() -> ModuleType:
    return require_torchvision()


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
