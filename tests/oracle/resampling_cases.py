"""Rows of the table of operation cases: interpolation in every mode, and sampling at any positions."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import HALVES, In, row

BYTES = (*HALVES, "uint8")
IMAGES = [In((2, 3, 4, 5)), In((2, 3, 5, 4), "normal", "strided"), In((0, 2, 3, 4))]
OTHERS = [In((2, 3, 5)), In((1, 2, 2, 3, 4)), In((4, 3, 2), "normal", "transposed")]


def resized(*options: dict[str, Any]) -> Any:
    """Interpolates with each of the options."""
    return lambda t, x: tuple(t.nn.functional.interpolate(x, **each) for each in options)


SIZES: tuple[dict[str, Any], ...] = ({"size": 7}, {"size": 3}, {"scale_factor": 2}, {"scale_factor": 0.7})

for name, mode in (("resample", "nearest"), ("nearest-exact", "nearest-exact")):
    given = [{**each, "mode": mode} for each in (*SIZES, {"scale_factor": 1.5})]
    row(name, resized(*given), [*IMAGES, *OTHERS], dtypes=BYTES, covers="resample")
row("area", resized(*({**each, "mode": "area"} for each in SIZES)), [*IMAGES, *OTHERS], covers="resample")

for mode, inputs, dtypes in (
    ("linear", [OTHERS[0], OTHERS[2]], HALVES),
    ("bilinear", IMAGES, HALVES),
    ("bicubic", IMAGES, HALVES),
    ("trilinear", OTHERS[1:2], HALVES),
):
    for align in (False, True):
        for number, each in enumerate((*SIZES, {"scale_factor": 1.3, "recompute_scale_factor": True})):
            row(
                f"{mode}, aligned {align}, {number}",
                resized({**each, "mode": mode, "align_corners": align}),
                inputs,
                dtypes=dtypes,
                covers="resample",
            )
for mode in ("bilinear", "bicubic", "lanczos"):
    given = [{"size": (9, 3)}, {"size": (2, 8)}, {"scale_factor": (0.4, 1.7)}, {"scale_factor": 0.6}]
    row(
        f"{mode}, antialias",
        resized(*({**each, "mode": mode, "antialias": True} for each in given)),
        [In((2, 3, 7, 6)), In((2, 1, 7, 6), "normal", "strided")],
        covers="resample",
    )
for mode in ("bilinear", "bicubic"):
    given = [
        {"size": size, "mode": mode, "antialias": antialias, "align_corners": align}
        for size in ((9, 3), (2, 8), (7, 7))
        for antialias in (False, True)
        for align in (False, True)
    ]
    row(f"{mode} of bytes", resized(*given), [In((2, 3, 7, 6))], dtypes=("uint8",), covers="resample")


def sampled(mode: str, padding: str, align: bool) -> Any:
    """Samples with the options."""
    return lambda t, x, grid: t.nn.functional.grid_sample(x, grid, mode, padding, align)


for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        for align in (False, True):
            volumes = [] if mode == "bicubic" else [(In((2, 2, 3, 2, 4)), In((2, 2, 1, 3, 3)))]
            row(
                f"grid_sample, {mode}, {padding}, aligned {align}",
                sampled(mode, padding, align),
                [
                    (In((2, 3, 4, 5)), In((2, 3, 2, 2))),
                    (In((2, 3, 4, 5), grad=False), In((2, 3, 2, 2), "normal", "strided")),
                    (In((1, 2, 1, 1)), In((1, 2, 2, 2))),
                    (In((0, 2, 3, 3)), In((0, 2, 2, 2))),
                    *volumes,
                ],
                smooth=mode != "nearest",
                order=1,  # PyTorch has no second derivatives here
                covers="gather",
            )
for align in (False, True):
    row(
        f"affine_grid, aligned {align}",
        lambda t, theta, a=align: t.nn.functional.affine_grid(theta, (2, 1, 4, 3), a),
        [In((2, 2, 3)), In((2, 2, 3), "normal", "strided")],
        covers="matmul",
    )
    row(
        f"affine_grid of volumes, aligned {align}",
        lambda t, theta, a=align: t.nn.functional.affine_grid(theta, t.Size((2, 1, 4, 3, 2)), a),
        [In((2, 3, 4))],
        covers="matmul",
    )
