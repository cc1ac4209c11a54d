"""The numbers of affine and perspective maps. They map positions in the new image to positions in the old one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["rotated_size"]


def _get_inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    inverted: bool = True,
) -> list[float]:
    """The first two rows of the matrix, row by row, of a turn and shear by degrees, a scale and a shift.

    With T the shift, C the centre, R the rotation, S scale and shear: the map is T C R S C^-1, and its inverse
    C S^-1 R^-1 C^-1 T^-1 is what images are resampled with.
    """
    turn = math.radians(angle)
    sx, sy = (math.radians(each) for each in shear)
    cx, cy = center
    tx, ty = translate
    a = math.cos(turn - sy) / math.cos(sy)
    b = -math.cos(turn - sy) * math.tan(sx) / math.cos(sy) - math.sin(turn)
    c = math.sin(turn - sy) / math.cos(sy)
    d = -math.sin(turn - sy) * math.tan(sx) / math.cos(sy) + math.cos(turn)
    if inverted:
        matrix = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
        x, y, to_x, to_y = -cx - tx, -cy - ty, cx, cy
    else:
        matrix = [a * scale, b * scale, 0.0, c * scale, d * scale, 0.0]
        x, y, to_x, to_y = -cx, -cy, cx + tx, cy + ty
    matrix[2] += matrix[0] * x + matrix[1] * y + to_x
    matrix[5] += matrix[3] * x + matrix[4] * y + to_y
    return matrix


def _get_perspective_coeffs(
    startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]
) -> list[float]:
    """(a, ..., h) with which (x, y) of the new image lies at ((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (...)).

    Raises:
        ValueError: for another number of corners than four.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and {len(endpoints)} endpoints."
        )
    rows: list[list[float]] = []
    for (x, y), (old_x, old_y) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -old_x * x, -old_x * y])
        rows.append([0, 0, 0, x, y, 1, -old_y * x, -old_y * y])
    wanted = np.array(startpoints, np.float64).reshape(8)
    solved: Any = np.linalg.lstsq(np.array(rows, np.float64), wanted, rcond=None)[0]
    return [float(each) for each in solved.astype(np.float32)]


def rotated_size(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of what holds the whole image after the map, whose centre is the image's."""
    x, y = 0.5 * width, 0.5 * height
    corners = np.array([[-x, -y, 1], [-x, y, 1], [x, y, 1], [x, -y, 1]], np.float32)
    moved = corners @ np.array(matrix, np.float32).reshape(2, 3).T + np.array([x, y], np.float32)
    tolerance = np.float32(1e-4)  # sizes that are whole up to rounding do not grow by a pixel
    highest = np.ceil(np.trunc(moved.max(0) / tolerance) * tolerance)
    lowest = np.floor(np.trunc(moved.min(0) / tolerance) * tolerance)
    return int(highest[0] - lowest[0]), int(highest[1] - lowest[1])
