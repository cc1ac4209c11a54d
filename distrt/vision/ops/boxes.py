"""Boxes: areas, overlaps, conversions, non-maximum suppression. A box is (x1, y1, x2, y2) unless a format says else."""

from __future__ import annotations

import numpy as np

from distrt.core import ops
from distrt.core.creation import from_numpy, zeros
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes that are left when each box removes those of lower score that it overlaps by more than the threshold.

    Shape: boxes (N, 4), scores (N,) -> indices, int64, by falling score.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes should be a 2d tensor of shape (N, 4), got {tuple(boxes.shape)}")
    if scores.dim() != 1 or scores.shape[0] != boxes.shape[0]:
        raise ShapeError(
            f"boxes and scores should have same number of elements in dimension 0, got {boxes.shape[0]} and "
            f"{tuple(scores.shape)}"
        )
    corners = boxes.detach().cpu().float().numpy().astype(np.float32)
    order = np.argsort(-scores.detach().cpu().float().numpy(), kind="stable")
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):  # boxes without an area
            overlap = shared / (area[best] + area[rest] - shared)
        order = rest[~(overlap > iou_threshold)]
    return from_numpy(np.array(kept, np.int64)).to(boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """:func:`nms` within each class of ``idxs``."""
    if boxes.numel() == 0:
        return zeros(0, dtype=dt.int64, device=boxes.device)
    # Boxes of different classes are moved apart, so that they cannot overlap.
    offsets = idxs.to(boxes.dtype) * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of the boxes with no side shorter than ``min_size``."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return ops.where((width >= min_size) & (height >= min_size))[0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes cut at the borders of an image of (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return ops.stack((x, y), dim=boxes.dim()).reshape(boxes.shape)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another format: "xyxy", "xywh", or "cxcywh" (centre and size). Shape: (*, 4) -> (*, 4)."""
    allowed = ("xyxy", "xywh", "cxcywh")
    if in_fmt not in allowed or out_fmt not in allowed:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}; {allowed} expected"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    first, second = boxes[..., :2], boxes[..., 2:]
    if in_fmt == "xywh":
        second = first + second
    elif in_fmt == "cxcywh":
        first, second = first - 0.5 * second, first + 0.5 * second
    if out_fmt == "xywh":
        second = second - first
    elif out_fmt == "cxcywh":
        first, second = (first + second) / 2, second - first
    return ops.cat([first, second], dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Shape: (*, 4) -> (*)."""
    boxes = _wide(boxes)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _wide(boxes: Tensor) -> Tensor:
    """In a dtype in which areas do not overflow."""
    if boxes.is_floating_point():
        return boxes if boxes.dtype in (dt.float32, dt.float64) else boxes.float()
    return boxes if boxes.dtype in (dt.int32, dt.int64) else boxes.int()


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Shared area by joint area, of all pairs. Shape: (N, 4), (M, 4) -> (N, M)."""
    shared, joint = _shared_and_joint(boxes1, boxes2)
    return shared / joint


def _shared_and_joint(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    first, second = boxes1[:, None], boxes2[None]
    low = ops.maximum(first[..., :2], second[..., :2])
    high = ops.minimum(first[..., 2:], second[..., 2:])
    sides = _wide(high - low).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared, box_area(boxes1)[:, None] + box_area(boxes2) - shared


def _hull(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Width and height of the smallest box around each pair. Shape: (N, M, 2)."""
    first, second = boxes1[:, None], boxes2[None]
    low = ops.minimum(first[..., :2], second[..., :2])
    high = ops.maximum(first[..., 2:], second[..., 2:])
    return _wide(high - low).clamp(min=0)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the part of the hull that is in neither box (Rezatofighi et al., 2019). As :func:`box_iou`."""
    shared, joint = _shared_and_joint(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    hull = sides[..., 0] * sides[..., 1]
    return shared / joint - (hull - joint) / hull


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """IoU less the squared distance of the centres by the hull's diagonal (Zheng et al., 2019). As :func:`box_iou`."""
    return _distance_iou(boxes1, boxes2, eps)[0]


def _distance_iou(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    iou = box_iou(boxes1, boxes2)
    diagonal = (_hull(boxes1, boxes2) ** 2).sum(-1) + eps
    centres = (boxes1[:, None, :2] + boxes1[:, None, 2:] - boxes2[None, :, :2] - boxes2[None, :, 2:]) / 2
    return iou - (_wide(centres) ** 2).sum(-1) / diagonal, iou


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """:func:`distance_box_iou` less a term for different proportions (Zheng et al., 2020)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    distance, iou = _distance_iou(boxes1, boxes2, eps)
    angles = [
        ops.atan((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])) for boxes in (boxes1, boxes2)
    ]
    v = (4 / np.pi**2) * (angles[0][:, None] - angles[1][None]) ** 2
    alpha = (v / (1 - iou + v + eps)).detach()
    return distance - alpha * v


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest box around each mask. Shape: (N, H, W) -> (N, 4), float32."""
    boxes = np.zeros((masks.shape[0], 4), np.float32)
    for number, mask in enumerate(masks.detach().cpu().numpy()):
        y, x = np.where(mask != 0)
        boxes[number] = x.min(), y.min(), x.max(), y.max()
    return from_numpy(boxes).to(masks.device)
