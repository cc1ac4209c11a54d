"""What a file would ask for, found without building it."""

from __future__ import annotations

import os
import pickletools
from typing import Any

from distrt.files.allowed import Rule, modern_name
from distrt.files.faults import SENSELESS, UnpicklingError
from distrt.files.zip_reader import ZipReader

__all__ = ["get_unsafe_globals_in_checkpoint"]


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a file that ``load`` with ``weights_only=True`` would refuse.

    Raises:
        ValueError: for a file that is none of PyTorch's newer ones, or a TorchScript archive.
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    start = f.tell()
    is_zip = f.read(4) == b"PK\x03\x04"
    f.seek(start)
    if not is_zip:
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    archive = ZipReader(f)
    if archive.has("constants.pkl"):
        raise ValueError(
            "Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint"
        )
    rule, refused = Rule(weights_only=True), []
    for module, name in _names_in(archive.read("data.pkl")):
        try:
            rule.find(module, name)
        except UnpicklingError:
            refused.append(".".join(modern_name(module, name)))
    return refused


def _names_in(data: bytes) -> list[tuple[str, str]]:
    """(module, name) of every class and function that a pickle names, each once."""
    found: dict[tuple[str, str], None] = {}
    texts: list[str] = []
    memo: dict[Any, str] = {}
    kept, is_text = 0, False  # how much was memoized, and whether the last thing was a string
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                found[module, name] = None
            elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                found[texts[-2], texts[-1]] = None
            elif code.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
                if is_text:
                    memo[kept if argument is None else argument] = texts[-1]
                kept += 1
                continue
            elif code.name in ("BINGET", "LONG_BINGET"):
                argument = memo.get(argument)
            if is_text := isinstance(argument, str):
                texts.append(str(argument))
    except SENSELESS as fault:
        raise UnpicklingError(f"the pickle is corrupt: {fault}") from fault
    return list(found)
