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


def test_what_layers_of_users_take_from_paths_inside_nn() -> None:
    from distrt.nn.common_types import _ratio_2_t, _size_2_opt_t, _size_2_t
    from distrt.nn.modules.transformer import _get_activation_fn, _get_clones
    from distrt.nn.modules.utils import (
        _list_with_default,
        _pair,
        _quadruple,
        _reverse_repeat_tuple,
        _single,
        _triple,
    )

    assert _size_2_t == int | tuple[int, int] and _ratio_2_t == float | tuple[float, float]
    assert _size_2_opt_t == int | None | tuple[int | None, int | None]
    assert (_single(3), _pair(3), _triple(3)) == ((3,), (3, 3), (3, 3, 3))
    assert _pair([1, 2]) == (1, 2) and _quadruple("ab") == ("a", "b") and _pair.__name__ == "_pair"
    assert _reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert _list_with_default([None, 3], [7, 8, 9]) == [8, 3] and _list_with_default(2, [1]) == 2
    with pytest.raises(ValueError, match="Input dimension should be at least 3"):
        _list_with_default([None, 3], [8, 9])
    assert len(_get_clones(torch.nn.Linear(1, 2), 3)) == 3
    assert _get_activation_fn("relu") is torch.nn.functional.relu


def test_a_wrappers_prefix_comes_off_the_names_of_a_state_dict() -> None:
    wrapped = torch.nn.Sequential()
    wrapped.add_module("module", torch.nn.Sequential(torch.nn.Linear(2, 3)))
    state = wrapped.state_dict()
    torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["0.weight", "0.bias"]
    assert list(state._metadata) == ["", "0"]
    wrapped.module.load_state_dict(state)
