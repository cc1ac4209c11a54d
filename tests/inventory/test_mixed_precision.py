"""Area U: mixed precision as the documents write it, on a machine without a GPU and on the CPU."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

import distrt as torch
from tests.inventory.rows import covers


def _trained(mixed: bool) -> list[Any]:
    """The parameters after the documents' loop, with or without ``torch.cuda.amp``."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters())
    criterion = torch.nn.CrossEntropyLoss()
    data, target = torch.randn(5, 16, 4), torch.randint(0, 3, (5, 16))
    if not mixed:
        for inputs, labels in zip(data, target, strict=True):
            optimizer.zero_grad()
            criterion(model(inputs), labels).backward()
            optimizer.step()
        return [each.tolist() for each in model.parameters()]
    from distrt.cuda.amp import GradScaler, autocast

    scaler = GradScaler()
    for inputs, labels in zip(data, target, strict=True):
        optimizer.zero_grad()
        with autocast():
            loss = criterion(model(inputs), labels)
        scaled = scaler.scale(loss)
        assert scaled is loss
        scaled.backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 1.0
    return [each.tolist() for each in model.parameters()]


@pytest.mark.skipif("torch.cuda.is_available()", reason="states what a machine without a GPU answers")
@covers("U1", "U2", "U3", "U4", "U5", "U6")
def test_without_a_gpu_the_documents_loop_warns_and_trains_in_float32_bit_for_bit() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mixed = _trained(True)
    said = {str(each.message) for each in caught}
    assert "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling." in said
    assert "CUDA is not available or torch_xla is imported. Disabling autocast." in said
    assert mixed == _trained(False)


@covers("U2")
def test_on_the_cpu_products_are_narrow_and_losses_are_not() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    with torch.autocast("cpu"):
        output = model(torch.randn(5, 1, 4, 4))
        loss = torch.nn.CrossEntropyLoss()(output, torch.tensor([0, 1, 2, 0, 1]))
    assert (output.dtype, loss.dtype) == (torch.bfloat16, torch.float32)


@covers("U3", "U4", "U5", "U6")
def test_the_scale_follows_what_overflows() -> None:
    param = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([param], lr=1.0)
    scaler = torch.amp.GradScaler("cpu")
    assert scaler.scale(torch.ones(())).item() == 65536.0
    for value, after, scale in ((1.0, 0.0, 65536.0), (math.inf, 0.0, 32768.0)):
        param.grad = None
        scaler.scale((param * value).sum()).backward()
        scaler.unscale_(optimizer)
        assert param.grad is not None and param.grad.item() == value
        scaler.step(optimizer)
        scaler.update()
        assert (param.item(), scaler.get_scale()) == (after, scale)
    for _ in range(2000):
        param.grad = torch.zeros(1)
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 65536.0
