"""PyTorch for test modules that need it while they are imported: `torch = require_torch()`."""

from types import ModuleType

import pytest

NO_TORCH = "PyTorch, the oracle, is not installed: scripts/test --oracle installs it"


def require_torch() -> ModuleType:
    """PyTorch, or the test or module that asks is skipped with the reason."""
    module: ModuleType = pytest.importorskip("torch", reason=NO_TORCH)
    return module
