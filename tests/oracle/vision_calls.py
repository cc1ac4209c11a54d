"""Calls of the functional transforms: name, arguments, keywords. Interpolation modes and dtypes are given by name."""

from __future__ import annotations

from typing import Any

Call = tuple[str, tuple[Any, ...], dict[str, Any]]

_MODES = ("NEAREST", "BILINEAR", "BICUBIC", "NEAREST_EXACT", "LANCZOS", "BOX", "HAMMING")
_PADDINGS = (2, [3], (1, 2), [1, 2, 3, 4], (-2, 3), [-1, -2, -3, 1], (1, 2, 3), "x")
_CORNERS = [[0, 0], [50, 0], [50, 36], [0, 36]]
_MOVED = [[3, 2], [45, 4], [48, 30], [2, 33]]


def _call(name: str, *arguments: Any, **keywords: Any) -> Call:
    return name, arguments, keywords


CALLS: list[Call] = [
    *(_call("resize", size, mode) for size in (16, [16], (20, 30), [64, 40], 100) for mode in _MODES),
    _call("resize", 30, "BILINEAR", max_size=35),
    _call("resize", 30, "BILINEAR", max_size=30),
    _call("resize", (20, 20), "BILINEAR", antialias=False),
    _call("resize", (20, 20), "BICUBIC", antialias=False),
    _call("resize", [20, 3, 4]),
    _call("resize", (20, 30), max_size=9),
    _call("resize", 20, 2),
    _call("resize", 20, "x"),
    _call("crop", 3, 4, 10, 12),
    _call("crop", -3, -5, 20, 30),
    _call("crop", 30, 40, 20, 30),
    _call("crop", 100, 100, 5, 5),
    *(_call("center_crop", size) for size in (16, (16,), (50, 60), [10, 100], (37, 51))),
    _call("resized_crop", 2, 3, 10, 11, [8, 9], "BILINEAR"),
    *(_call("five_crop", size) for size in (10, (7, 8), 1000, (1, 2, 3))),
    _call("ten_crop", (7, 8)),
    _call("ten_crop", 8, vertical_flip=True),
    *(
        _call("pad", widths, 0, mode)
        for widths in _PADDINGS
        for mode in ("constant", "edge", "reflect", "symmetric")
    ),
    *(_call("pad", 2, fill) for fill in (7, (1, 2, 3), "red", [5], (1, 2))),
    _call("pad", 3, 0, "bad"),
    _call("pad", 3, 0, 5),
    _call("hflip"),
    _call("vflip"),
    *(
        _call("rotate", angle, mode, expand)
        for angle in (0, 30, -45.5, 180, 200)
        for expand in (False, True)
        for mode in ("NEAREST", "BILINEAR")
    ),
    _call("rotate", 33, "BICUBIC"),
    _call("rotate", 33, "NEAREST", False, [3, 4]),
    _call("rotate", 33, "BILINEAR", True, None, 5),
    _call("rotate", 33, "BILINEAR", False, None, [1, 2, 3]),
    _call("rotate", 33, "NEAREST", False, None, [1, 2, 3]),
    _call("rotate", 33, "NEAREST", False, None, [1, 2]),
    _call("rotate", 33, "NEAREST", False, None, [9]),
    _call("rotate", "x"),
    _call("rotate", 3, center=4),
    *(_call("affine", 20, [3, -4], 1.2, [5, -7], mode) for mode in ("NEAREST", "BILINEAR")),
    *(_call("affine", -20.0, (3, 4), 0.7, 10, mode) for mode in ("NEAREST", "BILINEAR")),
    *(_call("affine", 0, [0, 0], 1, [0.0, 0.0], mode, 3) for mode in ("NEAREST", "BILINEAR")),
    *(_call("affine", 10, [1, 2], 1.0, [3], mode, [4, 5, 6], [2, 3]) for mode in ("NEAREST", "BILINEAR")),
    _call("affine", "a", [0, 0], 1, [0, 0]),
    _call("affine", 1, 3, 1, [0, 0]),
    _call("affine", 1, [3], 1, [0, 0]),
    _call("affine", 1, [3, 3], -1, [0, 0]),
    _call("affine", 1, [3, 3], 1, "a"),
    _call("affine", 1, [3, 3], 1, [1, 2, 3]),
    _call("affine", 1, [3, 3], 1, [1, 2], center=3),
    *(
        _call("perspective", _CORNERS, _MOVED, mode, fill)
        for mode in ("NEAREST", "BILINEAR")
        for fill in (None, 7, [1, 2, 3])
    ),
    _call("perspective", _CORNERS[:2], _MOVED[:2]),
    *(
        _call(f"adjust_{name}", factor)
        for name in ("brightness", "contrast", "saturation", "sharpness")
        for factor in (0, 0.5, 1, 1.7, -1)
    ),
    *(_call("adjust_hue", factor) for factor in (-0.5, -0.2, 0, 0.1, 0.5, 0.6)),
    *(_call("adjust_gamma", gamma, 1.1) for gamma in (0.5, 1, 2.2, -1)),
    *(_call(name, count) for name in ("rgb_to_grayscale", "to_grayscale") for count in (1, 3, 2)),
    *(_call("gaussian_blur", kernel) for kernel in (3, [3, 5], (1, 3), 4, "a", [3])),
    *(_call("gaussian_blur", 5, sigma) for sigma in (0.5, [0.3, 1.2], [2.0], -1, "a", (1.0, 2.0, 3.0))),
    _call("invert"),
    _call("autocontrast"),
    _call("equalize"),
    *(_call("posterize", bits) for bits in (1, 4, 8)),
    *(_call("solarize", threshold) for threshold in (0, 128, 0.5, 300, 256, 255)),
    _call("get_dimensions"),
    _call("get_image_size"),
    _call("get_image_num_channels"),
    _call("pil_to_tensor"),
    _call("to_tensor"),
    *(_call("to_pil_image", mode) for mode in (None, "RGB", "L", "HSV", "YCbCr", "F", "RGBA", "LA", "I")),
    *(
        _call("convert_image_dtype", dtype)
        for dtype in ("uint8", "int16", "int32", "int64", "float32", "float64", "float16", "int8")
    ),
    _call("normalize", [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
    _call("normalize", (0.5,), (0.5,)),
    _call("normalize", [0.1], [0.0]),
    _call("normalize", 0.5, 0.2),
    _call("erase", 1, 2, 3, 4, 0.0),
]

#: (name, kind of image): where torchvision fails, or gives something else for no reason that users could rely on.
DIFFERENT = {
    ("gaussian_blur", "I;16"): "torchvision's result cannot become an image again",
    ("gaussian_blur", "1"): "the same, and the message names another type",
    (
        "to_pil_image",
        "int16",
    ): "torchvision makes an image of half of the bytes for three channels of other dtypes",
}
