"""``BlockMask``: which queries see which keys, as a function of positions, for ``flex_attention``.

The function is evaluated once, on all positions together; blocks of it that nobody sees are known by their number.
Source: https://docs.pytorch.org/docs/stable/nn.attention.flex_attention.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core import creation, ops
from distrt.core.dtypes import dtype as dt
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.functional.padding import pad

__all__ = ["BlockMask", "and_masks", "create_block_mask", "create_mask", "noop_mask", "or_masks", "positions"]

#: ``mask_mod(b, h, q_idx, kv_idx)``: true where a query sees a key.
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_BLOCK_SIZE = 128


class BlockMask:
    """Which queries see which keys.

    Args:
        mask_mod: says it of positions.
        dense: for every position. Shape: (B, H, Q, KV), where B and H may be 1.
        block_size: (queries, keys) of a block.

    Attributes:
        shape: (B, H, Q, KV).
        seq_lengths: (Q, KV).
        BLOCK_SIZE: (queries, keys) of a block.
    """

    def __init__(self, mask_mod: MaskMod, dense: Tensor, block_size: tuple[int, int]) -> None:
        self.mask_mod, self.BLOCK_SIZE = mask_mod, block_size
        self._dense = dense
        self.shape = tuple(dense.shape)
        self.seq_lengths = self.shape[2], self.shape[3]

    def to_dense(self) -> Tensor:
        """1 for each block of which anybody sees anything, else 0. Shape: (B, H, blocks of Q, blocks of KV)."""
        rows, columns = self.BLOCK_SIZE
        padding = (0, -self.shape[3] % columns, 0, -self.shape[2] % rows)
        padded = pad(self._dense.to(dt.int32), padding)
        sizes = (*self.shape[:2], padded.shape[2] // rows, rows, padded.shape[3] // columns, columns)
        return ops.amax(padded.reshape(sizes), (3, 5))  # type: ignore[no-any-return]

    def sparsity(self) -> float:
        """The blocks that nobody sees, in per cent."""
        blocks = self.to_dense()
        return 100.0 * (1.0 - blocks.sum().item() / blocks.numel())  # type: ignore[no-any-return]

    def numel(self) -> int:
        """B times H times Q times KV."""
        return self._dense.numel()

    def to(self, device: Any) -> BlockMask:
        """On another device."""
        return BlockMask(self.mask_mod, self._dense.to(device), self.BLOCK_SIZE)

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """The same function for other lengths."""
        batch, heads = self.shape[:2]
        dense = create_mask(self.mask_mod, batch, heads, new_q_len, new_kv_len, self._dense.device)
        return BlockMask(self.mask_mod, dense, self.BLOCK_SIZE)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,  # noqa: N803 - PyTorch's name
    H: int | None,  # noqa: N803 - PyTorch's name
    Q_LEN: int,  # noqa: N803 - PyTorch's name
    KV_LEN: int,  # noqa: N803 - PyTorch's name
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _BLOCK_SIZE,  # noqa: N803 - PyTorch's name
    _compile: bool = False,
    **settings: Any,
) -> BlockMask:
    """The mask of a function of positions.

    Args:
        mask_mod: called once with the numbers of batch entry, head, query and key; true where the query sees the key.
        B: batch entries; None where they are alike.
        H: heads; None where they are alike.
        Q_LEN: queries.
        KV_LEN: keys.
        device: where to make it.
        BLOCK_SIZE: queries and keys of a block, as `BlockMask.sparsity` counts them.
        _compile: accepted.
        settings: accepted: how PyTorch's kernels keep blocks.
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    return BlockMask(mask_mod, create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device), size)


def create_mask(
    mod_fn: MaskMod,
    B: int | None,  # noqa: N803 - PyTorch's name
    H: int | None,  # noqa: N803 - PyTorch's name
    Q_LEN: int,  # noqa: N803 - PyTorch's name
    KV_LEN: int,  # noqa: N803 - PyTorch's name
    device: Any = None,
) -> Tensor:
    """What the function says of every position, as bools. Shape: (B, H, Q_LEN, KV_LEN), with 1 for None."""
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    with no_grad():
        return mod_fn(*positions(sizes, device)).to(dt.bool_).expand(sizes).contiguous()


def positions(sizes: tuple[int, int, int, int], device: Any = None) -> list[Tensor]:
    """The numbers along each dim, which broadcast together."""
    shapes = [[-1 if dim == own else 1 for dim in range(4)] for own in range(4)]
    return [
        creation.arange(size, device=device).reshape(shape) for size, shape in zip(sizes, shapes, strict=True)
    ]


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Every query sees every key."""
    return creation.ones((), dtype=dt.bool_, device=batch.device)


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """Where all of them say so.

    Raises:
        RuntimeError: one is no function.
    """
    return _together(ops.logical_and, True, mask_mods)


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """Where one of them says so.

    Raises:
        RuntimeError: one is no function.
    """
    return _together(ops.logical_or, False, mask_mods)


def _together(operation: Callable[..., Any], start: bool, mask_mods: tuple[MaskMod, ...]) -> MaskMod:
    if not all(callable(each) for each in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def together(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        found = creation.full((), start, dtype=dt.bool_, device=b.device)
        for each in mask_mods:
            found = operation(found, each(b, h, q_idx, kv_idx))
        return found

    return together
