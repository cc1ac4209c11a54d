"""Area Y, what of X is left, and the rows of 0 that go with them: profiling, debugging and recipes, as printed."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from tests.inventory.rows import covers


@pytest.fixture
def profiled() -> Any:
    model = nn.Linear(4, 2)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "CUDA is not available, disabling CUDA profiling"
        )  # PyTorch says so, too
        with torch.profiler.profile(activities=activities, record_shapes=True, profile_memory=True) as prof:
            model(torch.randn(3, 4))
    return prof


@covers("Y1")
def test_a_profile_asked_for_with_a_gpu_works_without(profiled: Any) -> None:
    (linear,) = [
        each for each in profiled.key_averages(group_by_input_shape=True) if each.key == "aten::linear"
    ]
    assert linear.count == 1 and linear.input_shapes[0] == [3, 4]
    assert linear.cpu_memory_usage == 3 * 2 * 4


@covers("Y2")
def test_its_table_has_the_usual_columns_and_takes_a_gpus_key(profiled: Any) -> None:
    table = profiled.key_averages().table(sort_by="cuda_time_total", row_limit=10)
    heads = table.splitlines()[1]
    for name in ("Name", "Self CPU", "CPU total", "CPU time avg", "CPU Mem", "# of Calls"):
        assert name in heads
    assert "aten::linear" in table and "Self CPU time total" in table


@covers("Y3")
def test_shapes_are_printed_child_by_child(capsys: Any) -> None:
    def debug_shapes(model: Any, input_shape: Any) -> None:
        x = torch.randn(*input_shape)
        for name, layer in model.named_children():
            x = layer(x)
            print(f"{name}: {x.shape}")

    debug_shapes(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()), (2, 3, 8, 8))
    assert capsys.readouterr().out.splitlines() == [
        "0: torch.Size([2, 4, 6, 6])",
        "1: torch.Size([2, 4, 6, 6])",
        "2: torch.Size([2, 144])",
    ]


@covers("Y4")
def test_gradients_that_are_zero_large_or_nan_are_told(capsys: Any) -> None:
    def check_gradients(model: Any) -> None:
        for name, param in model.named_parameters():
            if param.grad is not None:
                grad_norm = param.grad.norm().item()
                if grad_norm == 0:
                    print(f"Warning: {name} zero")
                elif grad_norm > 1000:
                    print(f"Warning: {name} large: {grad_norm}")
                elif torch.isnan(param.grad).any():
                    print(f"Error: {name} NaN")

    model = nn.ModuleDict({name: nn.Linear(1, 1, bias=False) for name in "abcd"})
    for name, scale in (("a", 0.0), ("b", 2000.0), ("c", float("nan"))):
        (model[name](torch.ones(1, 1)).sum() * scale).backward()
    check_gradients(model)
    assert capsys.readouterr().out.splitlines() == [
        "Warning: a.weight zero",
        "Warning: b.weight large: 2000.0",
        "Error: c.weight NaN",
    ]


@covers("Y5")
def test_a_seed_for_everything_gives_everything_again() -> None:
    def set_seed(seed: int = 42) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        torch.cuda.manual_seed_all(seed)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False

    before = random.getstate(), np.random.get_state()
    try:
        drawn = []
        for _ in range(2):
            set_seed()
            drawn.append(
                (random.random(), np.random.rand(), torch.rand(2).tolist(), nn.Linear(2, 1).weight.tolist())
            )
        assert drawn[0] == drawn[1]
        assert torch.backends.cudnn.deterministic is True
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.backends.cudnn.deterministic = False


@covers("Y6")
def test_the_best_device_is_found() -> None:
    def get_device() -> Any:
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")

    assert torch.ones(2, device=get_device()).device.type == get_device().type
    assert get_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@covers("Y7")
def test_memory_is_asked_for_behind_a_guard_and_without(capsys: Any) -> None:
    def memory_stats() -> None:
        if torch.cuda.is_available():
            print(f"{torch.cuda.memory_allocated() / 1024**2:.2f} MB")

    memory_stats()
    assert bool(capsys.readouterr().out) is torch.cuda.is_available()
    if not torch.cuda.is_available():
        assert (
            torch.cuda.memory_allocated()
            == torch.cuda.max_memory_allocated()
            == torch.cuda.memory_reserved()
            == 0
        )
        assert isinstance(torch.cuda.memory_summary(), str) and torch.cuda.memory_stats() == {}


@covers("X3")
def test_sequences_are_padded() -> None:
    rows = [torch.tensor([1, 2, 3]), torch.tensor([4])]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=9)
    assert padded.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert nn.utils.rnn.pad_sequence(rows).tolist() == [[1, 4], [2, 0], [3, 0]]


@covers("X5")
def test_accumulated_gradients_are_the_whole_batchs() -> None:
    model, x, y = nn.Linear(3, 1), torch.randn(8, 3), torch.randn(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.MSELoss()
    criterion(model(x), y).backward()
    whole = model.weight.grad.clone()
    optimizer.zero_grad()
    for i in range(4):
        loss = criterion(model(x[2 * i : 2 * i + 2]), y[2 * i : 2 * i + 2]) / 4
        loss.backward()
    assert torch.allclose(model.weight.grad, whole, atol=1e-6)
    before = model.weight.detach().clone()
    optimizer.step()
    assert torch.allclose(model.weight, before - 0.1 * whole, atol=1e-6)


@covers("05")
def test_initialisers_choose_by_class() -> None:
    def init(module: Any) -> None:
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 2.0)
        elif isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)

    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.Linear(2, 2)))
    assert model.apply(init) is model
    assert model[0].weight.item() == 0.0 and model[1][0].weight.tolist() == [[2.0, 2.0]] * 2


@covers("06")
def test_an_optimizer_of_the_last_layer_changes_nothing_else() -> None:
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "fc": nn.Linear(2, 1)})
    body, fc = model["body"].weight.detach().clone(), model["fc"].weight.detach().clone()
    optimizer = torch.optim.Adam(model["fc"].parameters(), lr=0.1)
    model["fc"](model["body"](torch.ones(1, 2))).sum().backward()
    optimizer.step()
    assert torch.equal(model["body"].weight, body) and not torch.equal(model["fc"].weight, fc)


@covers("08")
def test_training_mode_is_what_dropout_and_batch_norm_go_by() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)), torch.randn(16, 3) + 5
    assert (model.train()(x) == 0).any()
    assert model[0].running_mean.abs().sum() > 0
    kept = model[0].running_mean.clone()
    assert torch.equal(model.eval()(x), model(x)) and torch.equal(model[0].running_mean, kept)
    assert not model.training and not model[1].training
