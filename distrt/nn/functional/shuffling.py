"""Moving channels: into pixels and back, and among each other."""

from __future__ import annotations

from distrt.core import ops

__all__ = ["channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]

channel_shuffle = ops.channel_shuffle
native_channel_shuffle = ops.native_channel_shuffle
pixel_shuffle = ops.pixel_shuffle
pixel_unshuffle = ops.pixel_unshuffle
