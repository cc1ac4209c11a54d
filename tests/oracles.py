"""PyTorch for test modules that need it while they are imported: `torch = require_torch()`; and its errors' classes."""

from types import ModuleType

import pytest

NO_TORCH = "PyTorch, the oracle, is not installed: scripts/test --oracle installs it"


def require_torch() -> ModuleType:
    """PyTorch, or the test or module that asks is skipped with the reason."""
    module: ModuleType = pytest.importorskip("torch", reason=NO_TORCH)
    return module


def require_torchvision() -> ModuleType:
    """torchvision, or the test or module that asks is skipped with the reason."""
    torch = require_torch()
    # Its wheel was built for another PyTorch: what it registers at import has no kernel, and is not needed here.
    torch.library.register_fake = lambda *args, **kwargs: lambda function: function
    module: ModuleType = pytest.importorskip(
        "torchvision", reason="torchvision is not installed: scripts/test --oracle installs it"
    )
    return module


def builtin_kind(error: BaseException) -> type:
    """The builtin class of an error, which is what PyTorch's and distrt's have in common."""
    return next(each for each in type(error).__mro__ if each.__module__ == "builtins")
