"""Dropout: zeroing elements or channels at random, in training."""

from __future__ import annotations

from distrt.core import ops
from distrt.core.definitions.in_place_functions import (
    alpha_dropout_,
    dropout_,
    feature_alpha_dropout_,
    feature_dropout_,
)
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def _require_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes each element with probability ``p`` and scales the others by ``1 / (1 - p)``.

    Raises:
        ValueError: for a probability outside 0 to 1.
    """
    _require_probability(p)
    return dropout_(input, p, training) if inplace else ops.dropout(input, p, training)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """In training, sets elements to selu's lowest value with probability ``p``; mean 0 and variance 1 stay.

    Raises:
        ValueError: for a probability outside 0 to 1.
    """
    _require_probability(p)
    return (alpha_dropout_ if inplace else ops.alpha_dropout)(input, p, training)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """As ``alpha_dropout``, of whole channels (dim 1).

    Raises:
        ValueError: for a probability outside 0 to 1.
    """
    _require_probability(p)
    return (feature_alpha_dropout_ if inplace else ops.feature_alpha_dropout)(input, p, training)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels with probability ``p``. Shape: (N, C, L) or (C, L).

    Raises:
        ValueError: for a probability outside 0 to 1.
        RuntimeError: for another number of dims.
    """
    _require_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_channels(input, p, training, inplace, input.ndim == 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels with probability ``p``. Shape: (N, C, H, W), and (N, C, L) with a warning.

    Raises:
        ValueError: for a probability outside 0 to 1.
    """
    _require_probability(p)
    if input.ndim not in (3, 4):
        _warn_of_dims("dropout2d", input.ndim, 2, "3D or 4D")
    if input.ndim == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a "
            "future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain "
            "the 1D channel-wise dropout behavior, please switch to using dropout1d instead.",
            UserWarning,
        )
    return _drop_channels(input, p, training, inplace, True)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels with probability ``p``. Shape: (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: for a probability outside 0 to 1.
    """
    _require_probability(p)
    if input.ndim not in (4, 5):
        _warn_of_dims("dropout3d", input.ndim, 3, "4D or 5D")
    return _drop_channels(input, p, training, inplace, input.ndim == 5)


def _warn_of_dims(name: str, ndim: int, spatial: int, expected: str) -> None:
    warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a future "
        "release. To retain the behavior and silence this warning, please use dropout instead. Note that "
        f"{name} exists to provide channel-wise dropout on inputs with {spatial} spatial dimensions, a channel "
        f"dimension, and an optional batch dimension (i.e. {expected} inputs).",
        UserWarning,
    )


def _drop_channels(input: Tensor, p: float, training: bool, inplace: bool, is_batched: bool) -> Tensor:
    """The channels are dim 1, or dim 0 of an input without a batch."""
    if inplace:
        feature_dropout_(input if is_batched else input.unsqueeze(0), p, training)
        return input
    if is_batched:
        return ops.feature_dropout(input, p, training)  # type: ignore[no-any-return]
    return ops.squeeze(ops.feature_dropout(ops.unsqueeze(input, 0), p, training), 0)  # type: ignore[no-any-return]
