"""What a report of a fault says of the machine."""

from __future__ import annotations

import importlib
import platform
from typing import Any

import pytest

import distrt


def test_a_report_names_versions_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    from distrt.utils import collect_env

    text = collect_env.get_pretty_env_info()
    assert f"distrt version: {distrt.__version__}" in text and platform.python_version() in text
    assert "[pip3] numpy==" in text and "Is CUDA available: " in text and "BLAS" in text
    monkeypatch.setenv("PATH", "/nowhere")
    assert collect_env.get_env_info().gcc_version == "Could not collect"


@pytest.mark.parametrize(
    "name",
    ["Number", "Device", "FileLike", "Storage", "_size", "_int", "_dtype", "_device", "_TensorOrTensors"],
)
def test_names_for_annotations_are_there(torch: Any, name: str) -> None:
    ours, theirs = (
        getattr(importlib.import_module(f"{each.__name__}.types"), name) for each in (distrt, torch)
    )
    if name in ("Number", "_int"):
        assert ours == theirs
    assert ours is not None and theirs is not None
