"""The classes and functions that a document's block defines, for any library with PyTorch's names."""

from __future__ import annotations

import ast
import math
import random
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

BLOCKS = Path(__file__).parent / "blocks"


def definitions(block: str, library: Any) -> types.SimpleNamespace:
    """What ``block`` defines, with ``library`` for ``torch``; the statements between its definitions do not run.

    ``time``, which one document forgets to import, and whatever else blocks import are there from the beginning.
    """
    tree = ast.parse((BLOCKS / f"{block}.py").read_text(), block)
    tree.body = [each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)]
    data = library.utils.data
    names = {
        "torch": library,
        "nn": library.nn,
        "F": library.nn.functional,
        "optim": library.optim,
        "checkpoint": library.utils.checkpoint.checkpoint,
        "dist": library.distributed,
        "DDP": library.nn.parallel.DistributedDataParallel,
        "DistributedSampler": data.DistributedSampler,
        "DataLoader": data.DataLoader,
        "tqdm": _bar,
        "time": time,
        "math": math,
        "random": random,
        "np": np,
        "__name__": "__main__",
    }
    given = {*names, "__builtins__"}
    exec(compile(tree, block, "exec"), names)
    return types.SimpleNamespace(**{name: each for name, each in names.items() if name not in given})


class _bar:
    """``tqdm``'s part in the documents: it goes through a loader, whose length it asks for, and takes a postfix."""

    def __init__(self, loader: Any, desc: str) -> None:
        self.loader, self.desc, self.steps = loader, desc, len(loader)
        self.postfix: list[dict[str, str]] = []

    def __iter__(self) -> Any:
        yield from self.loader
        assert len(self.postfix) == self.steps

    def set_postfix(self, shown: dict[str, str]) -> None:
        self.postfix.append(shown)
