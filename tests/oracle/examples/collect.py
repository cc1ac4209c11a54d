"""``python -m tests.oracle.examples.collect FILE``: the examples in the docstrings of PyTorch and torchvision.

FILE becomes a JSON object: the name of what has the docstring -> its statements. A docstring that several names share
is taken once. Nothing of it is kept in this repository: the installed packages are read when the tests run.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from tests.oracles import require_torch, require_torchvision

#: Packages whose modules are read, all below them included where the name ends with a star.
ROOMS = """
torch torch.nn* torch.optim* torch.utils.data* torch.utils.checkpoint torch.utils.dlpack torch.utils.hooks
torch.utils.tensorboard* torch.distributions* torch.autograd* torch.func torch.fft torch.linalg torch.special torch.amp*
torch.jit torch.futures torch.distributed torch.distributed.fsdp* torch.distributed.optim torch.distributed.device_mesh
torch.distributed.checkpoint torch.serialization torch.functional torch.random torch.testing torch.profiler
torch.multiprocessing torch.accelerator torch.compiler torch.cpu torch.cuda torch.backends* torch.onnx torch.signal*
torch.storage torch.overrides torchvision torchvision.models torchvision.ops torchvision.transforms* torchvision.utils
torchvision.datasets torchvision.io
""".split()

#: What distrt leaves out as a whole (docs/names.md, docs/pytorch.md), and what is not for users.
LEFT_OUT = re.compile(
    r"torch\.nn\.(quantiz|qat|intrinsic|utils\._)|torch\.(ao|export|fx|hub|library|masked|nested|sparse)\b|torch\.utils\.cpp_ext"
    r"|datapipes|torch\.distributed\.(rpc|_shard|elastic)|\.prototype\b|torch\.distributed\.tensor"
)


def statements(rooms: list[str]) -> dict[str, list[str]]:
    """The statements of each docstring, by the first name that has it."""
    seen: set[str] = set()
    found = {}
    for name, value in _documented(rooms):
        text = getattr(value, "__doc__", None)
        if not isinstance(text, str) or ">>>" not in text or text in seen or LEFT_OUT.search(name):
            continue
        seen.add(text)
        examples = _examples(text)
        if examples:
            found[name] = examples
    return found


def _examples(text: str) -> list[str]:
    """The statements of a docstring; none where its prompts cannot be read."""
    spaced = re.sub(r"^(\s*)(>>>|\.\.\.)(?=[^\s.>])", r"\1\2 ", inspect.cleandoc(text), flags=re.MULTILINE)
    try:
        return [each.source for each in doctest.DocTestParser().get_examples(spaced)]
    except ValueError:
        return []


def _documented(rooms: list[str]) -> Iterator[tuple[str, Any]]:
    for module in _modules(rooms):
        yield module.__name__, module
        for name in sorted(
            dir(module), key=lambda name: name not in ("Module", "Tensor")
        ):  # who has a method first
            value = getattr(module, name, None)
            home = str(getattr(value, "__module__", None) or "torch").partition(".")[0]
            if name.startswith("_") or inspect.ismodule(value) or home not in ("torch", "torchvision"):
                continue
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for member in dir(value):
                    if member.startswith("_") and member not in ("__init__", "__call__"):
                        continue
                    inner = inspect.getattr_static(value, member, None)
                    if not inspect.isclass(inner):
                        yield f"{module.__name__}.{name}.{member}", getattr(inner, "__func__", inner)


def _modules(rooms: list[str]) -> Iterator[Any]:
    for room in rooms:
        module = importlib.import_module(room.removesuffix("*"))
        yield module
        if room.endswith("*"):
            for info in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
                if not LEFT_OUT.search(info.name) and not info.name.rpartition(".")[2].startswith("__"):
                    try:
                        yield importlib.import_module(info.name)
                    except ImportError:  # it needs a package that is not installed
                        continue


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    require_torch()
    require_torchvision()
    with open(sys.argv[1], "w") as file:
        json.dump(statements(ROOMS), file)
