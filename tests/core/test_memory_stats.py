"""``distrt.cpu.memory_stats``: every array counts once, for what it is there for."""

from __future__ import annotations

import gc

import distrt as torch
from distrt import nn

MB = 1 << 20


def grown(before: dict[str, int]) -> dict[str, float]:
    """By how many MB each purpose has grown, where it has by a tenth of one or more."""
    gc.collect()
    after = torch.cpu.memory_stats()
    grown = {name.removesuffix("_bytes"): (after[name] - before[name]) / MB for name in after}
    return {
        name: round(size, 1)
        for name, size in grown.items()
        if abs(size) >= 0.1 and not name.startswith(("resident", "shared"))
    }


def test_arrays_count_for_what_they_are_there_for() -> None:
    gc.collect()
    before = torch.cpu.memory_stats()
    model = nn.Linear(512, 512, bias=False)
    assert grown(before) == {"parameters": 1.0}
    model.register_buffer("table", torch.zeros(2, 512, 256))
    assert grown(before) == {"parameters": 1.0, "buffers": 1.0}
    inputs = torch.randn(1024, 512)
    assert grown(before) == {"parameters": 1.0, "buffers": 1.0, "other_tensors": 2.0}
    loss = model(inputs).sigmoid().sum()
    # The input's memory and the sigmoid's are kept for the backward pass; the product's is gone.
    assert grown(before) == {"parameters": 1.0, "buffers": 1.0, "saved_for_backward": 4.0}
    loss.backward()
    assert grown(before) == {"parameters": 1.0, "buffers": 1.0, "gradients": 1.0, "other_tensors": 2.0}
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.step()
    del inputs, loss
    assert grown(before) == {"parameters": 1.0, "buffers": 1.0, "gradients": 1.0, "optimizer_state": 2.0}
    del optimizer, model
    assert grown(before) == {}


def test_memory_that_several_tensors_lie_in_counts_once() -> None:
    gc.collect()
    before = torch.cpu.memory_stats()
    rows = torch.zeros(1024, 256)
    views = [rows[:512], rows.t(), rows.view(-1)]
    assert grown(before) == {"other_tensors": 1.0}
    del rows, views


def test_the_process_has_what_it_has_touched() -> None:
    stats = torch.cpu.memory_stats()
    assert 10 * MB < stats["resident_bytes"] <= stats["resident_peak_bytes"]
    block = torch.ones(64 * MB // 4)
    after = torch.cpu.memory_stats()
    assert after["resident_peak_bytes"] >= after["resident_bytes"] >= 64 * MB
    assert after["other_tensors_bytes"] - stats["other_tensors_bytes"] == block.nbytes


def test_the_summary_has_a_line_for_each_purpose() -> None:
    kept = torch.zeros(2 * MB // 4)
    lines = torch.cpu.memory_summary().splitlines()
    assert len(lines) == len(torch.cpu.memory_stats())
    assert all(" MiB  " in line for line in lines)
    others = next(line for line in lines if line.endswith("all other tensors"))
    assert float(others.split()[0]) >= 2.0
    assert len(torch.cpu.memory_summary(abbreviated=True).splitlines()) < len(lines)
    del kept
