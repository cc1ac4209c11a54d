"""Distances and similarities of vectors."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.definitions.wording import worded

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]

cosine_similarity = worded(ops.cosine_similarity)
pairwise_distance = worded(ops.pairwise_distance)
pdist = worded(ops.pdist)
