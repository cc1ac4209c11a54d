"""The sets of weights that torchvision publishes: a table of facts, ``weights.json``, made into enumerations."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

from distrt.vision.models._api import Weights, WeightsEnum
from distrt.vision.transforms._presets import ImageClassification
from distrt.vision.transforms.interpolation import InterpolationMode

__all__ = ["imagenet_categories", "weights_enum"]

_HERE = Path(__file__).parent


@functools.cache
def imagenet_categories() -> list[str]:
    """The names of ImageNet's 1000 classes, in the order of the models' outputs."""
    return (_HERE / "imagenet_categories.txt").read_text().splitlines()


def weights_enum(name: str, module: str) -> Any:
    """The enumeration of a model's sets of weights, such as ``ResNet18_Weights``."""
    table = dict(_table()[name])
    default = table.pop("DEFAULT")
    members = {key: _weights(row) for key, row in table.items()}
    # A member whose value is another's is that member under a second name.
    make: Any = WeightsEnum  # the functional form of Enum, which mypy takes for a look-up
    return make(name, [*members.items(), ("DEFAULT", members[default])], module=module)


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((_HERE / "weights.json").read_text())
    return table


def _weights(row: dict[str, Any]) -> Weights:
    meta = dict(row["meta"])
    if meta["categories"] is not None:
        meta["categories"] = imagenet_categories()
    if "min_size" in meta:
        meta["min_size"] = tuple(meta["min_size"])
    meta["_metrics"] = {
        data: {name: math.nan if value is None else value for name, value in figures.items()}
        for data, figures in meta["_metrics"].items()
    }
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row["transforms"].items()
    }
    if "interpolation" in options:
        options["interpolation"] = InterpolationMode(options["interpolation"])
    return Weights(row["url"], functools.partial(ImageClassification, **options), meta)
