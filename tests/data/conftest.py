"""The data module of either library, for claims that hold of both."""

from types import ModuleType

import pytest

import distrt.data
from tests.oracles import require_torch


@pytest.fixture(params=["distrt", "torch"])
def data_module(request: pytest.FixtureRequest) -> ModuleType:
    """``distrt.data``, then ``torch.utils.data``: what both must do, so that PyTorch confirms the claim."""
    return distrt.data if request.param == "distrt" else require_torch().utils.data
