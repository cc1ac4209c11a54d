"""Files that are no checkpoints: the message says what they are; and values that scripts keep beside their weights."""

from __future__ import annotations

import fractions
import gzip
import io
import json
import pickle
import types
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.errors import CheckpointError
from distrt.files.safetensors import save as safetensors


def _numpy(write: Any) -> bytes:
    target = io.BytesIO()
    write(target, np.ones(3))
    return target.getvalue()


def _checkpoint(value: Any, **options: Any) -> bytes:
    target = io.BytesIO()
    distrt.save(value, target, **options)
    return target.getvalue()


PAGE = b"\n<!DOCTYPE html>\n<html><head><title>404</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
STRANGERS = {
    "page": (PAGE, "is an HTML page: what was downloaded is a page about the file"),
    "pointer": (POINTER, "is a Git LFS pointer, not the checkpoint itself: run `git lfs pull`"),
    "answer": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is an XML document"),
    "packed": (gzip.compress(_checkpoint([1])), r"is compressed \(gzip\): unpack it first"),
    "array": (_numpy(np.save), r"is an array of NumPy: numpy\.load reads it"),
    "arrays": (_numpy(np.savez), r"is an archive of NumPy arrays \(\.npz\)"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG image"),
    "zeros": (bytes(5000), "begins with zeros: it was not written"),
    "settings": (json.dumps({"lr": 0.1}).encode(), "is JSON, which begins with"),
    "words": (b"hello world, this is no checkpoint\n", "is a text, which begins with 'hello world"),
    "safetensors": (safetensors({"a": distrt.ones(2)}), "is in the format of safetensors"),
}


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("weights_only", [True, False, None])
def test_a_file_that_is_no_checkpoint_is_named(name: str, weights_only: bool | None) -> None:
    data, message = STRANGERS[name]
    with pytest.raises(CheckpointError, match=f"the file {message}"):
        distrt.load(io.BytesIO(data), weights_only=weights_only)


def test_a_pickle_is_told_from_a_checkpoint() -> None:
    with pytest.raises(CheckpointError, match=r"Invalid magic number.*pickle\.load"):
        distrt.load(io.BytesIO(pickle.dumps({"a": 1})))


@pytest.mark.parametrize("part", [0.3, 0.9])
@pytest.mark.parametrize("is_new", [True, False])
def test_half_a_checkpoint_is_called_damaged_and_nothing_else(part: float, is_new: bool) -> None:
    data = _checkpoint({"a": distrt.ones(1000)}, _use_new_zipfile_serialization=is_new)
    with pytest.raises(CheckpointError) as caught:
        distrt.load(io.BytesIO(data[: int(len(data) * part)]))
    assert "the file is" not in str(caught.value)


def test_a_script_of_pytorch_is_named_also_where_it_is_packed() -> None:
    torch = pytest.importorskip(
        "torch", reason="PyTorch, the oracle, is not installed: scripts/test --oracle"
    )
    with pytest.warns(DeprecationWarning):
        data = torch.jit.script(torch.nn.Linear(2, 2)).save_to_buffer()
    with pytest.raises(RuntimeError, match=r"weights_only=True.*TorchScript archives"):
        distrt.load(io.BytesIO(data), weights_only=True)
    with pytest.raises(NotImplementedError, match=r"TorchScript archive of PyTorch.*save its state_dict"):
        distrt.load(io.BytesIO(data), weights_only=False)
    with pytest.raises(CheckpointError, match="TorchScript archive of PyTorch"):
        distrt.jit.load(io.BytesIO(data))


def test_standard_values_come_back() -> None:
    value = {"all": ..., "part": fractions.Fraction(-1, 3), "names": types.SimpleNamespace(a=1, b=[2])}
    assert distrt.load(io.BytesIO(_checkpoint(value)), weights_only=False) == value


def test_a_fraction_is_no_way_to_a_number_without_end() -> None:
    class Huge:
        def __reduce__(self) -> Any:
            return fractions.Fraction, ("1e999999999",)

    with pytest.raises(CheckpointError, match="expected a fraction"):
        distrt.load(io.BytesIO(_checkpoint([Huge()])), weights_only=False)


@pytest.mark.parametrize("weights_only", [True, False, None])
def test_a_generator_goes_on_where_it_stood(weights_only: bool | None) -> None:
    generator = distrt.Generator().manual_seed(3)
    distrt.rand(5, generator=generator)
    loaded = distrt.load(io.BytesIO(_checkpoint({"g": generator})), weights_only=weights_only)["g"]
    assert distrt.rand(3, generator=loaded).tolist() == distrt.rand(3, generator=generator).tolist()


def test_a_state_that_no_generator_can_be_in_is_refused() -> None:
    state = distrt.Generator().get_state()
    state[8:10] = 255  # how many words are left
    with pytest.raises(ValueError, match="Invalid mt19937 state"):
        distrt.Generator().set_state(state)


def test_the_newest_protocol_may_be_asked_for_as_in_pickle() -> None:
    assert distrt.load(io.BytesIO(_checkpoint({"a": distrt.ones(2)}, pickle_protocol=-1)))["a"].sum() == 2
