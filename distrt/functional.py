"""Facade: ``torch.functional``, the functions that PyTorch writes in Python. All are at ``distrt``, too."""

from typing import Any

_NAMES = (
    "atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors cartesian_prod cdist "
    "chain_matmul einsum istft lu meshgrid norm pca_lowrank split stft svd_lowrank tensordot unique "
    "unique_consecutive unravel_index "
).split()

__all__ = sorted(_NAMES)  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name == "F":
        import distrt.nn.functional

        return distrt.nn.functional
    if name in __all__ or name == "Tensor":
        import distrt

        return getattr(distrt, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
