"""``DivergenceGuard``: says at once when the ranks' parameters, which data parallelism keeps equal, no longer are.

A rank whose parameters differ trains on without a sign: its gradients are averaged into everybody's. What lets
parameters drift apart: a step that one rank skipped, an optimizer whose settings differ, a random number in an update,
a bit that flipped.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.arrays import Array
from distrt.core.errors import DistributedError
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module

__all__ = ["DivergenceGuard", "fingerprint"]


class DivergenceGuard:
    """Compares the bits of a model's parameters over the ranks, before every so many forward passes in training.

    Each rank sends a hash of 8 bytes for each parameter. All ranks must call the model equally often.

    Args:
        model: what is called; wrapped in ``DistributedDataParallel`` or not.
        every: how many forward passes in training lie between two comparisons; the first one is after so many.
        group: the ranks; all of the world when not given.

    Raises:
        ValueError: ``every`` is less than 1.
    """

    def __init__(self, model: Module, every: int = 100, group: ProcessGroup | None = None) -> None:
        if every < 1:
            raise ValueError(f"every: expected at least 1, got {every}")
        self.every = every
        self.passes = 0
        self._model = model
        self._group = default_group() if group is None else group
        self._hook = model.register_forward_pre_hook(self._before_pass)

    def check(self) -> None:
        """Compare now; a collective.

        Raises:
            DistributedError: on every rank, with the first parameter that differs and the ranks where it does.
        """
        if self._group.size() == 1:
            return
        ignored = getattr(self._wrapped(), "_ddp_params_and_buffers_to_ignore", ())
        named = {
            name: tensor
            for name, tensor in self._model.named_parameters()
            if name.removeprefix("module.") not in ignored
        }
        mine = np.array([fingerprint(tensor._array) for tensor in named.values()], np.uint64).view(np.int64)
        everyone = np.empty((self._group.size(), mine.size), np.int64)
        self._group.all_gather(everyone, mine)
        differing = np.flatnonzero((everyone != everyone[0]).any(axis=0))
        if differing.size:
            name, tensor = list(named.items())[differing[0]]
            raise DistributedError(self._complaint(name, tensor, everyone[:, differing[0]], len(differing)))

    def remove(self) -> None:
        """Stop comparing by itself; ``check`` still does."""
        self._hook.remove()

    def _before_pass(self, module: Module, inputs: Any) -> None:
        if module is not self._model or not module.training:  # a copy of the model has the hook, too
            return
        if self.passes and self.passes % self.every == 0:
            self.check()
        self.passes += 1

    def _wrapped(self) -> Any:
        return getattr(self._model, "module", self._model)

    def _complaint(self, name: str, tensor: Tensor, hashes: Array, count: int) -> str:
        """What differs where; those in the minority are named, or all sides where there is none."""
        sides = [
            [rank for rank, each in enumerate(hashes) if each == value]
            for value, _ in Counter(hashes.tolist()).most_common()
        ]
        if len(sides[0]) > len(sides[1]):
            few = sorted({*range(hashes.size)} - {*sides[0]})
            where = f"on {_ranks(few)} from that on {_ranks(sides[0])}"
        else:
            where = f"between {' and '.join(map(_ranks, sides))}"
        others = f", and so do {count - 1} more" if count > 1 else ""
        return (
            f"rank {self._group.rank()}: after {self.passes} forward passes the ranks' parameters are not the same: "
            f"{name} {tuple(tensor.shape)} {tensor.dtype} differs {where}{others}. Every rank must make the same "
            "optimizer steps with the same averaged gradients"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DivergenceGuard:
        """Itself: a copied model is not compared, and its hook must not copy the ranks' connections."""
        return self


def _ranks(ranks: list[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


_WORDS = 16384  # of a block, 128 KiB: it stays in the second cache, and is long enough for NumPy's calls not to count
_KEYS = np.random.Generator(np.random.Philox(2013)).integers(0, 2**64, _WORDS, np.uint64)
_ODD = [np.uint64(each) for each in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F)]  # xxHash's first two primes
_SHIFTS = [np.uint64(32), np.uint64(29)]


def fingerprint(array: Array) -> int:
    """A 64-bit hash of an array's bits, in the order of its elements; any change within 8 bytes changes it.

    Each word is mixed with a key for its place by steps that can be undone (xor, shifts, odd factors, as MurmurHash
    ends), so that one changed word never goes unnoticed; the mixed words of a block are added up, so that a block is
    one vector for NumPy; the blocks are chained.
    """
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = data.size // 8 * 8
    words = data[:whole].view(np.uint64)
    result = data.size
    scratch, shifted = np.empty(_WORDS, np.uint64), np.empty(_WORDS, np.uint64)
    for start in range(0, words.size, _WORDS):
        result = _chained(result, words[start : start + _WORDS], scratch, shifted)
    if whole < data.size:
        rest = np.zeros(8, np.uint8)
        rest[: data.size - whole] = data[whole:]
        result = _chained(result, rest.view(np.uint64), scratch, shifted)
    return result


def _chained(before: int, words: Array, scratch: Array, shifted: Array) -> int:
    mixed, shifted = scratch[: words.size], shifted[: words.size]
    np.bitwise_xor(words, _KEYS[: words.size], out=mixed)
    # A factor carries changes to higher bits only, a shift to lower ones.
    for shift, factor in zip(_SHIFTS, _ODD, strict=True):
        np.right_shift(mixed, shift, out=shifted)
        np.bitwise_xor(mixed, shifted, out=mixed)
        np.multiply(mixed, factor, out=mixed)
    total = int(np.add.reduce(mixed))
    turned = (before << 31 | before >> 33) & (2**64 - 1)
    return (turned * int(_ODD[0]) + total) & (2**64 - 1)
