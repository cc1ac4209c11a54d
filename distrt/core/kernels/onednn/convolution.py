"""Convolutions over one, two and three spatial dims, grouped ones too, and their gradients, by oneDNN.

Images and results lie with their channels last, which is what oneDNN's kernels for AVX2 and newer are fastest in; a
weight is put into the order that its primitive likes, at every call, which costs one pass over it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.core.arrays import Array
from distrt.core.kernels.onednn.library import OneDNN, OneDNNError, library
from distrt.core.kernels.onednn.primitive import NUMPY_TYPES, Primitive, description_of, dims
from distrt.core.layouts import channels_last, empty_channels_last

__all__ = ["Geometry", "OneDNNConvolution", "convolution_of"]

_TRAINING, _DIRECT = 64, 1
_SRC_MD, _DIFF_SRC_MD, _WEIGHTS_MD, _DIFF_WEIGHTS_MD, _DST_MD, _DIFF_DST_MD = 129, 130, 131, 132, 133, 134
_SRC, _DST, _WEIGHTS, _BIAS = 1, 17, 33, 41
_DIFF_SRC, _DIFF_DST, _DIFF_WEIGHTS = 129, 145, 161

Sizes = tuple[int, ...]


class Geometry(NamedTuple):
    """All sizes of a convolution. Shapes: (N, C, …), (O, C/groups, kernel…), (N, O, …)."""

    input: Sizes
    weight: Sizes
    output: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int


@functools.lru_cache(maxsize=512)
def convolution_of(geometry: Geometry, dtype: str = "float32") -> OneDNNConvolution | None:
    """The convolution of these sizes; None where there is no oneDNN, or it cannot do it.

    In "bfloat16" sums are float32, and rounded once; only where the processor multiplies it.
    """
    onednn = library()
    if onednn is None or (dtype == "bfloat16" and not onednn.multiplies_bfloat16):
        return None
    try:
        return OneDNNConvolution(onednn, geometry, dtype)
    except OneDNNError:
        return None


class OneDNNConvolution:
    """One convolution: forward, and what the output's gradient gives for input and weight.

    Attributes:
        dtype: of all arrays; bfloat16 is summed up in float32.
    """

    def __init__(self, onednn: OneDNN, geometry: Geometry, dtype: str = "float32") -> None:
        self._onednn = onednn
        self._geometry = geometry
        self._kind = dtype
        self.dtype = NUMPY_TYPES[dtype]
        shape, groups = geometry.weight, geometry.groups
        if groups > 1:
            shape = (groups, shape[0] // groups, *shape[1:])
        row_major = [int(np.prod(shape[position + 1 :])) for position in range(len(shape))]
        self._weight = description_of(onednn, shape, dtype)
        self._plain_weight = description_of(onednn, shape, dtype, row_major)
        self._images = [
            description_of(onednn, each, dtype, _strides(each)) for each in (geometry.input, geometry.output)
        ]
        self._options = [
            dims(geometry.stride),
            dims([each - 1 for each in geometry.dilation]),
            dims(geometry.padding),
            dims(self._far_padding()),
        ]
        self._hint = self._describe_forward(None)

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        """The output, its channels last in memory."""
        run, prepared = self._forward_with_bias if bias is not None else self._forward
        out = empty_channels_last(self._geometry.output, self.dtype)
        arrays = [channels_last(input), prepared.into(weight)]
        if bias is not None:
            arrays.append(np.ascontiguousarray(bias))
        run(*arrays, out)
        return out

    def input_gradient(self, g: Array, weight: Array) -> Array:
        """What the output's gradient gives for the input, its channels last in memory."""
        return self._spread(self._backward_input, self.dtype, g, weight)

    def unrounded_input_gradient(self, g: Array, weight: Array) -> Array:
        """The same in float32, so that something can be added before it is rounded."""
        return self._spread(self._unrounded_backward_input, np.dtype(np.float32), g, weight)

    def _spread(
        self, made: tuple[Primitive, _Prepared], dtype: np.dtype[Any], g: Array, weight: Array
    ) -> Array:
        run, prepared = made
        out = empty_channels_last(self._geometry.input, dtype)
        run(channels_last(g), prepared.into(weight), out)
        return out

    def weight_gradient(self, input: Array, g: Array) -> Array:
        """What the output's gradient gives for the weight, in row-major order."""
        run, prepared = self._backward_weight
        found = prepared.room()
        run(channels_last(input), channels_last(g), found)
        return prepared.out_of(found, self._geometry.weight)

    # -- the primitives, each made when it is first needed

    @functools.cached_property
    def _forward(self) -> tuple[Primitive, _Prepared]:
        arguments = [(_SRC, _SRC_MD, 0), (_WEIGHTS, _WEIGHTS_MD, 0), (_DST, _DST_MD, 0)]
        return self._with_weight(Primitive(self._onednn, self._describe_forward(None), arguments), 1)

    @functools.cached_property
    def _forward_with_bias(self) -> tuple[Primitive, _Prepared]:
        arguments = [
            (_SRC, _SRC_MD, 0),
            (_WEIGHTS, _WEIGHTS_MD, 0),
            (_BIAS, _WEIGHTS_MD, 1),
            (_DST, _DST_MD, 0),
        ]
        bias = description_of(self._onednn, self._geometry.weight[:1], self._kind, (1,))
        return self._with_weight(Primitive(self._onednn, self._describe_forward(bias), arguments), 1)

    @functools.cached_property
    def _backward_input(self) -> tuple[Primitive, _Prepared]:
        return self._backward_into(self._images[0])

    @functools.cached_property
    def _unrounded_backward_input(self) -> tuple[Primitive, _Prepared]:
        shape = self._geometry.input
        return self._backward_into(description_of(self._onednn, shape, "float32", _strides(shape)))

    def _backward_into(self, image: int) -> tuple[Primitive, _Prepared]:
        onednn, out = self._onednn, self._images[1]
        described = onednn.make(
            "dnnl_convolution_backward_data_primitive_desc_create",
            *(onednn.engine, _DIRECT, image, self._weight, out),
            *(*self._options, self._hint, onednn.attributes),
        )
        arguments = [(_DIFF_DST, _DIFF_DST_MD, 0), (_WEIGHTS, _WEIGHTS_MD, 0), (_DIFF_SRC, _DIFF_SRC_MD, 0)]
        return self._with_weight(Primitive(onednn, described, arguments), 1)

    @functools.cached_property
    def _backward_weight(self) -> tuple[Primitive, _Prepared]:
        onednn, (image, out) = self._onednn, self._images
        described = onednn.make(
            "dnnl_convolution_backward_weights_primitive_desc_create",
            *(onednn.engine, _DIRECT, image, self._weight, None, out),
            *(*self._options, self._hint, onednn.attributes),
        )
        arguments = [(_SRC, _SRC_MD, 0), (_DIFF_DST, _DIFF_DST_MD, 0), (_DIFF_WEIGHTS, _DIFF_WEIGHTS_MD, 0)]
        return self._with_weight(Primitive(onednn, described, arguments), 2)

    def _describe_forward(self, bias: int | None) -> int:
        onednn, (image, out) = self._onednn, self._images
        return onednn.make(
            "dnnl_convolution_forward_primitive_desc_create",
            *(onednn.engine, _TRAINING, _DIRECT, image, self._weight, bias, out),
            *(*self._options, onednn.attributes),
        )

    def _with_weight(self, primitive: Primitive, position: int) -> tuple[Primitive, _Prepared]:
        return primitive, _Prepared(self._onednn, self._plain_weight, primitive, position, self.dtype)

    def _far_padding(self) -> list[int]:
        """The padding after each dim that the last window reaches: negative where it ends before the image does."""
        geometry = self._geometry
        sizes = zip(
            *(geometry.input[2:], geometry.output[2:], geometry.weight[2:]),
            *(geometry.stride, geometry.padding, geometry.dilation),
            strict=True,
        )
        return [
            (out - 1) * step + apart * (kernel - 1) + 1 - size - pad
            for size, out, kernel, step, pad, apart in sizes
        ]


class _Prepared:
    """A weight on its way between row-major order and the one that a primitive likes."""

    def __init__(
        self, onednn: OneDNN, plain: int, primitive: Primitive, position: int, dtype: np.dtype[Any]
    ) -> None:
        self._dtype = dtype
        self._bytes = primitive.size(position)
        layout = primitive.layout(position)
        self._is_plain = bool(onednn.dnnl_memory_desc_equal(plain, layout))
        if not self._is_plain:
            self._into = _reorder(onednn, plain, layout)
            self._out_of = _reorder(onednn, layout, plain)

    def room(self) -> Array:
        """Room for the weight in the primitive's order."""
        return np.empty(self._bytes // self._dtype.itemsize, self._dtype)

    def into(self, weight: Array) -> Array:
        """The weight in the primitive's order."""
        weight = np.ascontiguousarray(weight)
        if self._is_plain:
            return weight
        room = self.room()
        self._into(weight, room)
        return room

    def out_of(self, found: Array, shape: Sizes) -> Array:
        """What stands in the primitive's order, as an array of this shape."""
        if self._is_plain:
            return found.reshape(shape)
        weight = np.empty(shape, self._dtype)
        self._out_of(found, weight)
        return weight


def _reorder(onednn: OneDNN, source: int, target: int) -> Primitive:
    engine = onednn.engine
    described = onednn.make(
        "dnnl_reorder_primitive_desc_create", source, engine, target, engine, onednn.attributes
    )
    return Primitive(onednn, described, [(_SRC, _SRC_MD, 0), (_DST, _DST_MD, 0)])


def _strides(shape: Sequence[int]) -> list[Any]:
    """The steps, in elements, of an array whose channels lie side by side."""
    steps = [0] * len(shape)
    step = 1
    for position in (1, *range(len(shape) - 1, 1, -1), 0):
        steps[position] = step
        step *= shape[position]
    return steps
