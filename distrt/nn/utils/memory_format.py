"""Rearranging the weights of convolutions in memory, without a change of what they mean."""

from __future__ import annotations

from typing import TypeVar

from distrt.core.tensors.formats import memory_format as Format
from distrt.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from distrt.nn.modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M", bound=Module)


def convert_conv2d_weight_memory_format(module: M, memory_format: Format) -> M:
    """Rearranges the weight of each Conv2d and ConvTranspose2d in the module (or of itself); returns the module."""
    return _convert(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: M, memory_format: Format) -> M:
    """Rearranges the weight of each Conv3d and ConvTranspose3d in the module (or of itself); returns the module."""
    return _convert(module, (Conv3d, ConvTranspose3d), memory_format)


def _convert(module: M, kinds: tuple[type[Module], ...], memory_format: Format) -> M:
    for each in module.modules():
        if isinstance(each, kinds):
            each.weight.data = each.weight.detach().contiguous(memory_format=memory_format)
    return module
