"""Distances and similarities of vectors."""

from __future__ import annotations

from distrt.core import ops

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]

cosine_similarity = ops.cosine_similarity
pairwise_distance = ops.pairwise_distance
pdist = ops.pdist
