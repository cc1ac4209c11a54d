"""Gradients of convolutions by themselves, as in ``torch.nn.grad``: each is a function of its own, without a graph.

Source: https://pytorch.org/docs/stable/nn.functional.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt.core.autograd.roots import grad
from distrt.core.modes import enable_grad, is_grad_enabled
from distrt.core.tensor import Tensor
from distrt.nn.functional.convolution import conv1d, conv2d, conv3d

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]

Sizes = int | tuple[int, ...]


def conv1d_input(
    input_size: Sequence[int],
    weight: Tensor,
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d``'s input, of the size ``input_size``, out of its output's."""
    return _of_input(conv1d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv1d_weight(
    input: Tensor,
    weight_size: Sequence[int],
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d``'s weight, of the size ``weight_size``, out of its output's."""
    return _of_weight(conv1d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv2d_input(
    input_size: Sequence[int],
    weight: Tensor,
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d``'s input, of the size ``input_size``, out of its output's."""
    return _of_input(conv2d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv2d_weight(
    input: Tensor,
    weight_size: Sequence[int],
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d``'s weight, of the size ``weight_size``, out of its output's."""
    return _of_weight(conv2d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv3d_input(
    input_size: Sequence[int],
    weight: Tensor,
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv3d``'s input, of the size ``input_size``, out of its output's."""
    return _of_input(conv3d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv3d_weight(
    input: Tensor,
    weight_size: Sequence[int],
    grad_output: Tensor,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv3d``'s weight, of the size ``weight_size``, out of its output's."""
    return _of_weight(conv3d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def _of_input(
    convolve: Callable[..., Tensor], size: Sequence[int], weight: Tensor, given: Tensor, how: tuple[Any, ...]
) -> Tensor:
    start = given.new_zeros(size)
    return _derived(lambda free: convolve(free, weight, None, *how), start, given, weight)


def _of_weight(
    convolve: Callable[..., Tensor], input: Tensor, size: Sequence[int], given: Tensor, how: tuple[Any, ...]
) -> Tensor:
    start = given.new_zeros(size)
    return _derived(lambda free: convolve(input, free, None, *how), start, given, input)


def _derived(function: Callable[[Tensor], Tensor], start: Tensor, given: Tensor, other: Tensor) -> Tensor:
    """The gradient at ``start``; a convolution is linear in each operand, so any place has the same."""
    again = is_grad_enabled() and (given.requires_grad or other.requires_grad)
    with enable_grad():
        free = start.requires_grad_()
        found: Tensor = grad(function(free), free, given, create_graph=again)[0]
    return found
