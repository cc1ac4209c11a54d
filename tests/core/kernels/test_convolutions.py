"""The kernels for convolutions agree with NumPy's, in all three directions, and always give the same bits."""

from importlib import import_module

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import loops, table
from distrt.core.kernels.onednn import columns, product
from distrt.core.kernels.onednn.convolution import Geometry, convolution_of
from distrt.core.kernels.onednn.library import library
from distrt.core.kernels.onednn.product import multiplies_bfloat16
from distrt.core.kernels.winograd import convolution as winograd
from distrt.core.kernels.winograd.convolution import winograd_of
from distrt.core.layouts import channels_last
from distrt.core.ops.spatial.windows import window_counts
from distrt.core.process.settings import get_num_threads, set_num_threads

ops = import_module("distrt.core.ops.spatial.convolution")  # the operation of that name hides the module

needs_onednn = pytest.mark.skipif(library() is None, reason="oneDNN is not installed (extra 'fast')")
needs_instructions = pytest.mark.skipif(
    not multiplies_bfloat16(), reason="no oneDNN, or a processor that does not multiply bfloat16"
)
needs_vectors = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")


def geometry(input, outs, kernel, stride=1, padding=0, dilation=1, groups=1):
    dims = len(input) - 2
    stride, padding, dilation = ((each,) * dims for each in (stride, padding, dilation))
    size = window_counts(input[2:], kernel, stride, padding, dilation)
    weight = (outs, input[1] // groups, *kernel)
    return Geometry(input, weight, (input[0], outs, *size), stride, padding, dilation, groups)


ONEDNN = {
    "1d": geometry((2, 3, 11), 4, (3,), padding=1),
    "2d": geometry((3, 5, 7, 9), 6, (3, 2), stride=2, padding=1),
    "2d, some pixels in no window": geometry((2, 8, 8, 8), 8, (2, 2), stride=3),
    "3d": geometry((2, 2, 5, 4, 6), 3, (2, 3, 3), padding=1),
    "1x1": geometry((2, 16, 6, 6), 24, (1, 1), stride=2),
    "dilated": geometry((1, 4, 12, 12), 4, (3, 3), dilation=2, padding=2),
    "grouped": geometry((2, 8, 6, 6), 12, (3, 3), groups=4, padding=1),
    "depthwise": geometry((2, 8, 6, 6), 8, (3, 3), groups=8, padding=1),
    "one image, one channel": geometry((1, 1, 9, 9), 1, (5, 5)),
}
WINOGRAD = {
    "even": geometry((2, 32, 8, 8), 32, (3, 3), padding=1),
    "odd": geometry((3, 32, 7, 9), 64, (3, 3), padding=1),
    "not padded": geometry((1, 64, 6, 5), 32, (3, 3)),
    "padded by two": geometry((1, 32, 4, 5), 32, (3, 3), padding=2),
    "more tiles than a block": geometry((4, 32, 16, 15), 32, (3, 3), padding=1),
    "an odd number of tiles": geometry((1, 32, 5, 5), 96, (3, 3), padding=1),
    "strided, even": geometry((2, 32, 8, 8), 64, (3, 3), stride=2, padding=1),
    "strided, odd": geometry((3, 64, 7, 9), 32, (3, 3), stride=2, padding=1),
    "strided, one more than whole tiles": geometry((1, 32, 5, 10), 32, (3, 3), stride=2, padding=1),
    "strided, more tiles than a block": geometry((5, 32, 32, 30), 32, (3, 3), stride=2, padding=1),
}


def plain(geometry):
    """NumPy's three directions."""
    _, weight, output, *options = geometry
    return {
        "forward": lambda x, w, b: ops._plain_convolution(x, w, b, output[2:], *options),
        "input_gradient": lambda g, w: ops._plain_spread(g, w, geometry.input, *options),
        "weight_gradient": lambda x, g: ops._plain_weight_gradient(x, g, weight, *options),
    }


def arguments(geometry, seed=0):
    random = np.random.default_rng(seed)
    x, w, g = (
        random.standard_normal(shape).astype(np.float32)
        for shape in (geometry.input, geometry.weight, geometry.output)
    )
    bias = random.standard_normal(geometry.weight[0]).astype(np.float32)
    return {"forward": (x, w, bias), "input_gradient": (g, w), "weight_gradient": (x, g)}


def require_agreement(kernel, geometry):
    given, oracle = arguments(geometry), plain(geometry)
    for name, arrays in given.items():
        expected = oracle[name](*[each.astype(np.float64) for each in arrays])
        found = getattr(kernel, name)(*arrays)
        assert found.shape == expected.shape and found.dtype == np.float32
        assert np.abs(found - expected).max() <= 3e-6 * np.abs(expected).max() + 1e-6, name


@needs_onednn
@pytest.mark.parametrize("name", ONEDNN)
def test_onednn_agrees_with_numpy(name):
    kernel = convolution_of(ONEDNN[name])
    assert kernel is not None
    require_agreement(kernel, ONEDNN[name])


@needs_instructions
@pytest.mark.parametrize("name", ONEDNN)
def test_onednn_sums_bfloat16_in_float32_and_rounds_once(name):
    require_rounded_once(convolution_of(ONEDNN[name], "bfloat16"), ONEDNN[name])


def require_rounded_once(kernel, sizes):
    assert kernel is not None
    oracle, half = plain(sizes), dt.bfloat16.numpy
    for direction, arrays in arguments(sizes).items():
        given = [each.astype(half) for each in arrays]
        exact = oracle[direction](*[each.astype(np.float64) for each in given])
        for lay in (lambda each: each, lambda each: channels_last(each) if each.ndim > 2 else each):
            found = getattr(kernel, direction)(*map(lay, given))
            assert found.shape == exact.shape and found.dtype == half
            apart = np.abs(found.astype(np.float64) - exact)
            assert (apart <= np.abs(exact) * 2.0**-8 + 3e-6 * np.abs(exact).max() + 1e-6).all(), direction


COLUMNS = {
    "2d": geometry((2, 32, 3, 4), 48, (3, 3), padding=1),
    "with steps": geometry((1, 40, 5, 5), 32, (3, 3), stride=2, padding=1),
    "some pixels in no window": geometry((1, 40, 5, 6), 32, (2, 3), stride=3),
    "1d": geometry((3, 40, 8), 40, (5,), padding=2),
    "3d": geometry((1, 32, 2, 3, 2), 32, (2, 3, 1), padding=1),
}


@needs_instructions
@pytest.mark.parametrize("name", COLUMNS)
def test_products_of_columns_sum_bfloat16_in_float32_and_round_once(monkeypatch, name):
    monkeypatch.setattr(product, "LEAST_OF_HALF", 1)
    monkeypatch.setattr(columns, "_TIMES", 1)
    columns.columns_of.cache_clear()
    kernel = columns.columns_of(COLUMNS[name])
    require_rounded_once(kernel, COLUMNS[name])
    columns.columns_of.cache_clear()


@needs_instructions
@pytest.mark.parametrize("name", ["1d", "2d", "grouped"])
def test_a_bias_is_added_to_a_transposed_convolution_before_it_is_rounded(monkeypatch, rng, name):
    monkeypatch.setattr(table, "_LEAST_PRODUCTS", 1)
    _, weight, _, *options = sizes = ONEDNN[name]
    half = dt.bfloat16.numpy
    channels = weight[1] * sizes.groups
    g, w = (rng.standard_normal(shape).astype(half) for shape in (sizes.output, weight))
    bias = (100 * rng.standard_normal(channels)).astype(half)
    stride, padding, dilation, groups = options
    more = (0,) * len(stride)
    found = ops.transposed_convolution.definition.forward(
        g, w, bias, stride, padding, more, dilation, groups
    ).astype(np.float64)
    shape = (sizes.input[0], channels, *found.shape[2:])
    exact = ops._plain_spread(g.astype(np.float64), w.astype(np.float64), shape, *options)
    exact += bias.astype(np.float64).reshape(-1, *[1] * len(stride))
    assert (np.abs(found - exact) <= np.abs(exact) * 2.0**-8 + 1e-4).all()


@needs_vectors
@pytest.mark.parametrize("name", ["odd", "strided, even", "strided, odd"])
@pytest.mark.parametrize("dtype, far", [(np.float32, 1e-5), (dt.bfloat16.numpy, 0.04)], ids=["f32", "bf16"])
def test_winograd_adds_the_bias_of_a_transposed_convolution(monkeypatch, rng, name, dtype, far):
    monkeypatch.setattr(table, "_LEAST_PRODUCTS", 1)
    monkeypatch.setattr(table, "_LEAST_FOR_WINOGRAD", 1)
    monkeypatch.setattr(ops, "_spread", None)  # which has none
    sizes = WINOGRAD[name]
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in (sizes.output, sizes.weight))
    bias = rng.standard_normal(sizes.input[1]).astype(dtype)
    more = tuple((n + 2 - 3) % sizes.stride[0] for n in sizes.input[2:])
    options = (sizes.stride, sizes.padding)
    found = ops.transposed_convolution.definition.forward(x, w, bias, *options, more, sizes.dilation, 1)
    wide = [each.astype(np.float64) for each in (x, w)]
    exact = ops._plain_spread(*wide, sizes.input, *options, sizes.dilation, 1)
    exact += bias.astype(np.float64).reshape(-1, 1, 1)
    assert found.dtype == dtype and found.shape == sizes.input
    assert np.abs(found - exact).max() <= far * np.sqrt(np.square(exact).mean())


@needs_instructions
def test_columns_are_for_weights_that_are_large_beside_their_images():
    large = geometry((16, 256, 8, 8), 512, (5, 5), stride=2, padding=2)
    usual = geometry((16, 128, 32, 32), 256, (5, 5), stride=2, padding=2)
    half = dt.bfloat16.numpy
    assert isinstance(table.convolution_kernel(*large, np.empty(0, half)), columns.ByColumns)
    assert not isinstance(table.convolution_kernel(*usual, np.empty(0, half)), columns.ByColumns)
    assert not isinstance(table.convolution_kernel(*large, np.empty(0, np.float32)), columns.ByColumns)
    for other in (large._replace(groups=2), large._replace(dilation=(2, 2))):
        assert columns.columns_of(other) is None


@needs_vectors
@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_agrees_with_numpy(name):
    kernel = winograd_of(WINOGRAD[name])
    assert kernel is not None
    require_agreement(kernel, WINOGRAD[name])


@needs_vectors
@pytest.mark.ci
@pytest.mark.parametrize("name", ["odd", "more tiles than a block", "strided, odd"])
def test_winograd_in_vectors_of_eight_agrees_with_numpy(name):
    """As processors without AVX-512 have them; others can do them, too."""
    require_agreement(winograd.Winograd(WINOGRAD[name], 8, "float32"), WINOGRAD[name])


needs_pairs = pytest.mark.skipif(
    not loops.multiplies_bfloat16(), reason="no compiler, or a processor that does not multiply bfloat16"
)


@needs_pairs
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in blocks"])
@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_rounds_what_bfloat16_multiplies_and_sums_it_in_float32(monkeypatch, name, at_once):
    """The direct method's error is that of one rounding, 0.0017; transforms add two, each 1.7 times as large."""
    monkeypatch.setattr(winograd, "_AT_ONCE", 1000 if at_once else 0)
    sizes, half = WINOGRAD[name], dt.bfloat16.numpy
    kernel, oracle = winograd_of(sizes, "bfloat16"), plain(sizes)
    for direction, arrays in arguments(sizes).items():
        given = [each.astype(half) for each in arrays]
        exact = oracle[direction](*[each.astype(np.float64) for each in given])
        found = getattr(kernel, direction)(*given)
        assert found.shape == exact.shape and found.dtype == half
        apart = found.astype(np.float64) - exact
        scale = np.sqrt(np.square(exact).mean())
        assert np.sqrt(np.square(apart).mean()) <= 0.006 * scale, direction
        assert np.abs(apart).max() <= 0.04 * scale, direction


@needs_pairs
def test_winograd_is_taken_for_large_convolutions_of_bfloat16():
    large, small = (geometry((16, 64, n, n), 64, (3, 3), padding=1) for n in (32, 4))
    half = dt.bfloat16.numpy
    assert isinstance(table.convolution_kernel(*large, np.empty(0, half)), winograd.Winograd)
    assert not isinstance(table.convolution_kernel(*small, np.empty(0, half)), winograd.Winograd)


@needs_pairs
def test_winograd_of_bfloat16_gives_the_same_bits_with_other_numbers_of_threads_but_for_sums():
    sizes, half = WINOGRAD["more tiles than a block"], dt.bfloat16.numpy
    kernel = winograd_of(sizes, "bfloat16")
    given = {name: [each.astype(half) for each in arrays] for name, arrays in arguments(sizes).items()}
    before = get_num_threads()
    try:
        set_num_threads(1)
        alone = {name: getattr(kernel, name)(*arrays) for name, arrays in given.items()}
        set_num_threads(3)
        for name in ("forward", "input_gradient"):
            assert np.array_equal(getattr(kernel, name)(*given[name]), alone[name]), name
        shared = kernel.weight_gradient(*given["weight_gradient"])
        apart = np.abs(shared.astype(np.float64) - alone["weight_gradient"].astype(np.float64))
        assert apart.max() <= 0.01 * np.abs(alone["weight_gradient"].astype(np.float64)).max()
    finally:
        set_num_threads(before)


@pytest.mark.parametrize(
    "maker, sizes",
    [
        pytest.param(convolution_of, ONEDNN["2d"], marks=needs_onednn, id="onednn"),
        pytest.param(winograd_of, WINOGRAD["odd"], marks=needs_vectors, id="winograd"),
    ],
)
def test_the_same_call_gives_the_same_bits_wherever_the_arrays_lie(maker, sizes):
    kernel, given = maker(sizes), arguments(sizes)
    for name, arrays in given.items():
        first = getattr(kernel, name)(*arrays)
        for offset in (1, 3):
            moved = []
            for each in arrays:
                room = np.empty(each.size + offset, np.float32)[offset:]
                room[:] = each.reshape(-1)
                moved.append(room.reshape(each.shape))
            assert np.array_equal(first, getattr(kernel, name)(*moved)), name


@needs_onednn
def test_images_may_lie_in_either_order():
    sizes = ONEDNN["2d"]
    kernel, (x, w, bias) = convolution_of(sizes), arguments(sizes)["forward"]
    assert np.array_equal(kernel.forward(x, w, bias), kernel.forward(channels_last(x), w, bias))


def test_small_convolutions_and_wide_numbers_are_numpys():
    small, large = geometry((1, 1, 4, 4), 1, (3, 3)), geometry((8, 16, 32, 32), 16, (3, 3))
    assert table.convolution_kernel(*small, np.empty(0, np.float32)) is None
    assert table.convolution_kernel(*large, np.empty(0, np.float64)) is None


@needs_vectors
def test_winograd_leaves_what_it_cannot_do():
    for other in (
        geometry((2, 32, 8, 8), 32, (3, 3), stride=2),
        geometry((2, 32, 8, 8), 32, (3, 3), stride=3, padding=1),
        geometry((2, 32, 8, 8), 32, (3, 3), dilation=2),
        geometry((2, 32, 8, 8), 32, (3, 3), groups=2),
        geometry((2, 32, 8, 8), 32, (5, 5)),
        geometry((2, 31, 8, 8), 32, (3, 3)),
        geometry((2, 32, 8), 32, (3,)),
    ):
        assert winograd_of(other) is None


def test_without_onednn_numpy_computes():
    """A process of its own: the library is looked for once."""
    import os
    import subprocess
    import sys

    program = (
        "import distrt as torch\n"
        "from distrt.core.kernels.onednn.library import library\n"
        "assert library() is None\n"
        "x = torch.ones(2, 3, 40, 40, requires_grad=True)\n"
        "y = torch.nn.functional.conv2d(x, torch.ones(8, 3, 3, 3), padding=1)\n"
        "y.sum().backward()\n"
        "assert y.shape == (2, 8, 40, 40) and y[0, 0, 5, 5] == 27 and x.grad[0, 0, 5, 5] == 72\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "DISTRT_ONEDNN": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_vectors
def test_winograd_shares_its_tiles_out_among_threads():
    sizes = WINOGRAD["more tiles than a block"]
    kernel, given = winograd_of(sizes), arguments(sizes)
    before = get_num_threads()
    try:
        set_num_threads(1)
        alone = {name: getattr(kernel, name)(*arrays) for name, arrays in given.items()}
        set_num_threads(3)
        require_agreement(kernel, sizes)
        for name in ("forward", "input_gradient"):
            assert np.array_equal(getattr(kernel, name)(*given[name]), alone[name]), name
        first, second = (kernel.weight_gradient(*given["weight_gradient"]) for _ in range(2))
        assert np.array_equal(first, second)
    finally:
        set_num_threads(before)
