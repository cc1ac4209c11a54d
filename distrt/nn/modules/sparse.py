"""Embedding layers: tables of trained rows, looked up by number."""

from __future__ import annotations

from typing import Any, Self

from distrt.core.creation import empty
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn import init
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both layers have: a matrix of one row for each number, drawn from N(0, 1)."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool
    weight: Parameter

    def _set_padding(self, padding_idx: int | None, complaint: str) -> None:
        rows = self.num_embeddings
        if padding_idx is not None and not -rows <= padding_idx < max(rows, 1):
            raise AssertionError(complaint)
        self.padding_idx = rows + padding_idx if padding_idx is not None and padding_idx < 0 else padding_idx

    def _set_weight(self, given: Tensor | None, requires_grad: bool, device: Any, dtype: Any) -> None:
        size = (self.num_embeddings, self.embedding_dim)
        if given is None:
            self.weight = Parameter(empty(size, device=device, dtype=dtype), requires_grad=requires_grad)
            self.reset_parameters()
        elif tuple(given.shape) != size:
            raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
        else:
            self.weight = Parameter(given, requires_grad=requires_grad)

    def reset_parameters(self) -> None:
        """Draws new rows from N(0, 1); the padding row is 0."""
        init.normal_(self.weight)
        self._fill_padding_idx_with_zero()

    def _fill_padding_idx_with_zero(self) -> None:
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def _lookup_text(self) -> str:
        """The options of looking up that are not the default, for ``extra_repr``."""
        text = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text

    @classmethod
    def _of_rows(cls, embeddings: Tensor, **options: Any) -> Self:
        if embeddings.ndim != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        make: Any = cls
        return make(*embeddings.shape, _weight=embeddings, **options)  # type: ignore[no-any-return]


class Embedding(_Table):
    """One trained row for each number. Shape: any -> (…, embedding_dim).

    Args:
        num_embeddings: how many rows there are.
        embedding_dim: how long they are.
        padding_idx: a row that starts as 0 and gets no gradient.
        max_norm: rows with a larger norm are scaled down to it, in place, whenever they are looked up.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often the input names it.
        sparse: the weight's gradient is a sparse tensor of the named rows, for SparseAdam, SGD or Adagrad.
        device: "cpu".
        dtype: of the rows.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self._set_padding(padding_idx, "Padding_idx must be within num_embeddings")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._set_weight(_weight, not _freeze, device, dtype)
        self.sparse = sparse

    def forward(self, input: Tensor) -> Tensor:
        """Shape: any -> (…, embedding_dim)."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Sizes and every option that is not the default."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        text += self._lookup_text()
        return text if self.sparse is False else text + ", sparse=True"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer of the given rows, whose memory it shares; ``freeze`` keeps them from being trained."""
        return cls._of_rows(
            embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """Sum, mean or maximum of one trained row for each number in a bag. Shape: (bags, n) -> (bags, embedding_dim).

    Or (n) with ``offsets``, which say where each bag starts.

    Args:
        num_embeddings: how many rows there are.
        embedding_dim: how long they are.
        max_norm: rows with a larger norm are scaled down to it, in place, whenever they are looked up.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide the gradient of each row by how often the input names it.
        mode: "sum", "mean" or "max".
        sparse: the weight's gradient is a sparse tensor of the named rows, for SparseAdam, SGD or Adagrad.
        include_last_offset: the last offset is not a start but the end of the last bag.
        padding_idx: a row that starts as 0 and counts in no bag.
        device: "cpu".
        dtype: of the rows.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._set_padding(padding_idx, "padding_idx must be within num_embeddings")
        self._set_weight(_weight, True, device, dtype)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """Shape: (bags, n), or (n) with ``offsets`` (bags) -> (bags, embedding_dim)."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Sizes, the mode, and every other option that is not the default."""
        text = f"{self.num_embeddings}, {self.embedding_dim}{self._lookup_text()}, mode={self.mode!r}"
        return text if self.padding_idx is None else text + f", padding_idx={self.padding_idx}"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A layer of the given rows, whose memory it shares; ``freeze`` keeps them from being trained."""
        made = cls._of_rows(
            embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        made.weight.requires_grad = not freeze
        return made
