"""Names that training scripts use, and that no other test has a reason to touch."""

from __future__ import annotations

import pytest

import distrt as torch


def test_is_tensor_and_full_like() -> None:
    x = torch.ones(2, 3)
    assert torch.is_tensor(x) and not torch.is_tensor([1])
    assert torch.full_like(x, 4).tolist() == [[4.0] * 3] * 2


def test_new_tensors_like_another_one() -> None:
    x = torch.ones(2, dtype=torch.float64)
    for made in (x.new_zeros(2, 3), x.new_ones((2, 3)), x.new_full((2, 3), 7), x.new_empty(2, 3)):
        assert made.shape == (2, 3) and made.dtype == torch.float64
    assert x.new_full((1,), 7).item() == 7 and x.new_ones(1).item() == 1 and x.new_zeros(1).item() == 0


def test_resize_is_reshape_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="deprecated"):
        assert torch.arange(4).resize(2, 2).tolist() == [[0, 1], [2, 3]]
    with pytest.warns(UserWarning, match="deprecated"), pytest.raises(RuntimeError):
        torch.arange(4).resize(3)


def test_settings_of_devices_and_backends() -> None:
    assert isinstance(torch.backends.opt_einsum.is_available(), bool)
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
            torch.cuda.set_device(0)


@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "argmax", "std", "cumsum", "softmax", "unsqueeze", "logsumexp"]
)
def test_numpys_axis_is_dim(name: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    by_axis, by_dim = getattr(x, name)(axis=1), getattr(x, name)(dim=1)
    for mine, other in zip(by_axis, by_dim, strict=True):
        assert torch.equal(mine, other)


def test_numpys_keepdims_is_keepdim() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert x.sum(axis=1, keepdims=True).shape == (2, 1) and x.var(axis=1, keepdims=True).shape == (2, 1)
    assert torch.cat([x, x], axis=1).shape == (2, 6)
    with pytest.raises(TypeError, match="missing 1 required"):
        x.cumsum()


def test_initialisers_by_their_old_names_warn_and_work() -> None:
    weight = torch.empty(200, 100)
    with pytest.warns(FutureWarning, match="deprecated"):
        assert torch.nn.init.kaiming_normal(weight) is weight
    assert weight.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.1)
    with pytest.warns(FutureWarning, match="deprecated"):
        assert torch.nn.init.normal(weight, 0, 3).std().item() == pytest.approx(3, rel=0.1)
    with pytest.warns(FutureWarning, match="deprecated"):
        assert torch.nn.init.constant(weight, 4).unique().tolist() == [4.0]


def test_what_scripts_take_from_the_optimizer_module() -> None:
    from distrt.optim import optimizer

    assert optimizer.Optimizer is torch.optim.Optimizer
    assert repr(optimizer.required) == "<required parameter>"
    assert "Iterable" in str(optimizer.ParamsT)
