"""Gradients that are sparse, in data parallelism: they are in no bucket, and are added up at the end of a pass."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.comm.sparse_sums import sum_of_given, sum_of_sparse
from distrt.core.errors import UnsupportedError
from distrt.core.sparse.array import is_sparse
from distrt.core.sparse.coo import Coo
from distrt.core.tensor import Tensor, wrap
from distrt.nn.modules.module import Module
from distrt.nn.modules.sparse import Embedding, EmbeddingBag

__all__ = ["SparseGradients", "average_gradient", "refuse_sparse_layers", "sparse_parameters"]


def sparse_parameters(module: Module) -> list[Tensor]:
    """The parameters whose gradients are sparse, by their layers, as PyTorch finds them."""
    layers = (each for each in module.modules() if isinstance(each, Embedding | EmbeddingBag) and each.sparse)
    return list({id(layer.weight): layer.weight for layer in layers}.values())


def refuse_sparse_layers(module: Module, name: str, ignored: Container[int] = ()) -> None:
    """Raises UnsupportedError for a layer with sparse gradients, but for parameters of these ids."""
    if any(id(each) not in ignored for each in sparse_parameters(module)):
        raise UnsupportedError(
            f"{name}: layers with sparse=True are not there; use sparse=False, or a plain DistributedDataParallel"
        )


def average_gradient(group: ProcessGroup, parameter: Tensor) -> None:
    """Replaces a parameter's gradient, which may be sparse, by the average over the ranks."""
    gradient = parameter.grad
    assert gradient is not None
    if is_sparse(gradient._array):
        gradient._array[...] = sum_of_sparse(group, gradient._array, ReduceOp.AVG)
    else:
        group.all_reduce(gradient._array, ReduceOp.AVG)
    gradient._counter[0] += 1


class SparseGradients:
    """The parameters of a model whose gradients are sparse.

    Args:
        parameters: these.
        group: the ranks.
        begin: called when the first gradient of a pass has come, so that the end of the pass is seen.
    """

    def __init__(self, parameters: Iterable[Tensor], group: ProcessGroup, begin: Callable[[], None]) -> None:
        self.parameters, self._group = [each for each in parameters if each.requires_grad], group
        self._handles = [
            each.register_post_accumulate_grad_hook(lambda _: begin()) for each in self.parameters
        ]

    def close(self) -> None:
        """Let go of the parameters."""
        for handle in self._handles:
            handle.remove()

    def average(self, divisor: float | None) -> None:
        """After a pass: every rank gets the sum, divided by ``divisor`` (the number of ranks when not given).

        A rank whose pass did not reach a parameter adds nothing. Where no rank's did, there is no gradient.
        """
        for parameter in self.parameters:
            gradient: Any = parameter.grad
            is_given = gradient is not None
            array = _sparse(gradient, parameter) if is_given else _nothing(parameter)
            total = sum_of_given(self._group, array, is_given)
            if total is None:
                continue
            if not is_given:
                gradient = parameter.grad = wrap(array)
            gradient._array[...] = total.with_values(
                total.values / total.dtype.type(self._group.size() if divisor is None else divisor)
            )
            gradient._counter[0] += 1

    def shadow(self) -> None:
        """Take part in the pass of others, with nothing."""
        for parameter in self.parameters:
            sum_of_given(self._group, _nothing(parameter), False)


def _sparse(gradient: Tensor, parameter: Tensor) -> Coo:
    array = gradient._array
    if isinstance(array, Coo):
        return array
    raise UnsupportedError(
        f"DistributedDataParallel: a parameter of {list(parameter.shape)}, of a layer with sparse=True, has a dense "
        "gradient: it is used elsewhere, too; use sparse=False"
    )


def _nothing(parameter: Tensor) -> Coo:
    array = parameter._array
    values = np.empty((0, *array.shape[1:]), array.dtype)
    return Coo(np.empty((1, 0), np.int64), values, array.shape, True)
