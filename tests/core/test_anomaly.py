"""Anomaly mode: who made the NaN, at which line of the forward pass, and that it costs nothing when off."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import pytest

import distrt as torch
from distrt.core.modes import modes


def _bad_forward(x: Any) -> Any:
    return (x.sqrt() * 0).sum()  # the line to blame


def test_a_nan_names_the_operation_and_its_forward_line() -> None:
    x = torch.zeros(2, requires_grad=True)
    with (
        pytest.warns(UserWarning, match="Anomaly Detection has been enabled"),
        torch.autograd.detect_anomaly(),
    ):
        loss = _bad_forward(x)
        with (
            pytest.warns(
                UserWarning, match=r"Error detected in SqrtBackward0(.|\n)*the line to blame"
            ) as seen,
            pytest.raises(
                RuntimeError, match=r"Function 'SqrtBackward0' returned nan values in its 0th output\."
            ),
        ):
            loss.backward()
    assert "distrt/core" not in str(seen[0].message)
    assert modes.grad is True


def test_warnings_that_are_errors_do_not_hide_the_error() -> None:
    loss = None
    with torch.autograd.set_detect_anomaly(True):
        loss = _bad_forward(torch.zeros(2, requires_grad=True))
        with pytest.raises(RuntimeError, match="returned nan values") as caught:
            loss.backward()
    assert "the line to blame" in caught.value.__notes__[0]


def test_the_switch_acts_at_once_and_a_block_restores_it() -> None:
    try:
        torch.autograd.set_detect_anomaly(True, check_nan=False)
        assert torch.is_anomaly_enabled()
        assert not torch.is_anomaly_check_nan_enabled()
        with torch.autograd.set_detect_anomaly(True):
            assert torch.is_anomaly_check_nan_enabled()
        assert not torch.is_anomaly_check_nan_enabled()
        _bad_forward(torch.zeros(2, requires_grad=True)).backward()
    finally:
        torch.autograd.set_detect_anomaly(False)
    assert not torch.is_anomaly_enabled()
    _bad_forward(torch.zeros(2, requires_grad=True)).backward()


def test_an_error_in_backward_shows_the_forward_line_too() -> None:
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError("mine")

    x = torch.ones(2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        out = Failing.apply(x)
        with (
            pytest.warns(UserWarning, match=r"Error detected in FailingBackward(.|\n)*Failing\.apply\(x\)"),
            pytest.raises(KeyError, match="mine"),
        ):
            out.sum().backward()


def test_without_a_recorded_line_that_is_said() -> None:
    loss = _bad_forward(torch.zeros(2, requires_grad=True))
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="No forward pass information available"),
        pytest.raises(RuntimeError, match="returned nan values"),
    ):
        loss.backward()


def test_a_second_derivative_shows_both_lines() -> None:
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        (first,) = torch.autograd.grad((x**1.5).sum(), x, create_graph=True)
        torch.autograd.set_detect_anomaly(True)
        with warnings.catch_warnings(record=True) as seen, pytest.raises(RuntimeError, match="nan"):
            warnings.simplefilter("always")
            ((first / x.detach()) * 0).sum().backward()
    assert any("Error detected in" in str(each.message) for each in seen)


def test_gradients_are_the_same_and_hooks_run() -> None:
    def gradient() -> Any:
        x = torch.tensor([[1.0, 2.0], [3.0, 0.5]], requires_grad=True)
        y = x.exp()
        y.register_hook(lambda g: g * 2)
        layer = torch.nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            layer.weight.fill_(0.5)
        layer(y.max(0)[0] + x).sum().backward()
        return x.grad.tolist(), layer.weight.grad.tolist()

    plain = gradient()
    with torch.autograd.set_detect_anomaly(True):
        assert gradient() == plain


def test_the_mode_belongs_to_a_thread() -> None:
    seen: list[bool] = []
    with torch.autograd.set_detect_anomaly(True):
        thread = threading.Thread(target=lambda: seen.append(torch.is_anomaly_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_a_changed_value_is_found_with_a_better_hint() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        y = x.exp()
        y.add_(1)
        with (
            pytest.warns(UserWarning, match=r"Error detected in ExpBackward0(.|\n)*y = x\.exp\(\)"),
            pytest.raises(
                RuntimeError, match=r"modified by an inplace operation.*the backtrace further above"
            ),
        ):
            y.sum().backward()


def test_a_mode_that_is_no_truth_value_is_refused() -> None:
    said = r"set_anomaly_enabled\(\): argument 'enabled' \(position 1\) must be bool, not int"
    with pytest.raises(TypeError, match=said):
        torch.autograd.set_detect_anomaly(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'check_nan' \(position 2\) must be bool, not str"):
        torch.autograd.set_detect_anomaly(True, "no")  # type: ignore[arg-type]
    assert not torch.is_anomaly_enabled()


def test_a_nan_that_is_a_single_number_is_found_where_it_arises() -> None:
    x = torch.ones(3, requires_grad=True)
    with (
        warnings.catch_warnings(),
        pytest.raises(RuntimeError, match="Function 'MulBackward0' returned nan values in its 0th output"),
    ):
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly():
            (x.sum() * float("nan")).backward()


def test_a_hook_that_fails_is_told_with_the_line_of_its_tensor() -> None:
    def fail(gradient: Any) -> None:
        raise ValueError("no")

    x = torch.ones(3, requires_grad=True)
    with warnings.catch_warnings(record=True) as told, pytest.raises(ValueError, match="no"):
        warnings.simplefilter("always")
        with torch.autograd.detect_anomaly():
            doubled = x * 2
            doubled.register_hook(fail)
            doubled.sum().backward()
    assert "Error detected in MulBackward0." in str(told[-1].message)
    assert "doubled = x * 2" in str(told[-1].message)
