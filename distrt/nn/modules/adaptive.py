"""A softmax over very many classes of which few are frequent."""

from __future__ import annotations

import itertools
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.nn.modules.container import ModuleList, Sequential
from distrt.nn.modules.linear import Linear
from distrt.nn.modules.module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """A log-softmax in which the less frequent classes share clusters, each of a smaller size than the last.

    Classes are in the order of their frequency. The head scores the classes below ``cutoffs[0]`` and the clusters;
    cluster ``i`` scores those from ``cutoffs[i]`` on, through ``in_features // div_value ** (i + 1)`` features.
    Source: Grave et al. 2017, "Efficient softmax approximation for GPUs".
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        _check_cutoffs(cutoffs, n_classes)
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for cluster, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            hidden = int(in_features // (div_value ** (cluster + 1)))
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, device=device, dtype=dtype),
                    Linear(hidden, high - low, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draws new weights for the head and all clusters."""
        self.head.reset_parameters()
        for projection, scores in self.tail:
            projection.reset_parameters()
            scores.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """The log probability of each target, and the mean loss. Shape: (N, in_features) and (N); or without N."""
        _check_shapes(input_, target_)
        is_batched = target_.ndim > 0
        input = input_ if is_batched else ops.unsqueeze(input_, 0)
        target = target_ if is_batched else ops.unsqueeze(target_, 0)
        if not bool(ops.all(ops.logical_and(ops.ge(target, 0), ops.lt(target, self.n_classes)))):
            raise ShapeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        output = input.new_zeros(target.shape[0])
        in_head = target
        for cluster, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            members = ops.logical_and(ops.ge(target, low), ops.lt(target, high))
            rows = ops.reshape(ops.nonzero(members), (-1,))
            if not rows.numel():
                continue
            in_head = ops.masked_fill(in_head, members, self.shortlist_size + cluster)
            logs = F.log_softmax(self.tail[cluster](ops.index_select(input, 0, rows)), dim=1)
            place = ops.unsqueeze(ops.masked_select(target, members) - low, 1)
            output = ops.index_copy(output, 0, rows, ops.squeeze(ops.gather(logs, 1, place), 1))
        head = F.log_softmax(self.head(input), dim=1)
        output = output + ops.squeeze(ops.gather(head, 1, ops.unsqueeze(in_head, 1)), 1)
        loss = (-output).mean()
        return _ASMoutput(output if is_batched else ops.squeeze(output, 0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log probabilities of all classes. Shape: (N, in_features) -> (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for cluster, scores in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + cluster].unsqueeze(1)
            parts.append(F.log_softmax(scores(input), dim=1) + of_cluster)
        return ops.cat(parts, 1)  # type: ignore[no-any-return]

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each sample; clusters are asked only where the head chooses one.

        Shape: (N, in_features) -> (N).
        """
        head_output = self.head(input)
        output: Tensor = ops.argmax(head_output, dim=1)
        outside = ops.ge(output, self.shortlist_size)
        if bool(ops.any(outside)):
            logs = self._get_full_log_prob(input[outside], head_output[outside])
            output[outside] = ops.argmax(logs, dim=1)
        return output


def _check_cutoffs(cutoffs: list[int], n_classes: int) -> None:
    if not cutoffs:
        raise ValueError("cutoffs should be a sequence of length larger than 0")
    if (
        cutoffs != sorted(set(cutoffs))
        or min(cutoffs) <= 0
        or max(cutoffs) > n_classes - 1
        or any(int(each) != each for each in cutoffs)
    ):
        raise ValueError(
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value "
            "is between 1 and n_classes-1"
        )


def _check_shapes(input: Tensor, target: Tensor) -> None:
    if target.ndim > 1:
        raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
    if target.ndim and input.shape[0] != target.shape[0]:
        raise ShapeError("Input and target should have the same size in the batch dimension.")
    if input.ndim != target.ndim + 1:
        raise ShapeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with size "
            f"{input.size()}"
        )
