"""``ColwiseParallel``, ``RowwiseParallel``, ``SequenceParallel``: how a layer is cut, and computes with its part.

While a layer computes it holds this rank's parts as plain tensors, which stand in for its parameters; so layers know
nothing of ranks. What a layer's input and output need to hear from other ranks is said before and after.
Source: https://docs.pytorch.org/docs/stable/distributed.tensor.parallel.html
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from distrt import nn
from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core import ops
from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor
from distrt.parallel.distributed_tensors.distributing import distribute_module, distribute_tensor
from distrt.parallel.distributed_tensors.layout import Layout, layout_for
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard, parts
from distrt.parallel.distributed_tensors.redistribution import moved
from distrt.parallel.distributed_tensors.tensor import DTensor, distributed_like
from distrt.parallel.tensor_parallel.style import ParallelStyle, lying

__all__ = ["ColwiseParallel", "RowwiseParallel", "SequenceParallel"]

_SUMMANDS = (Partial(),)
_COPIES = (Replicate(),)


class _Layer(ParallelStyle):
    """A style of one layer: hooks that have it compute with stand-ins for its parameters."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        self._require_known(module)
        distribute_module(module, device_mesh, self._cut)

        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            first, vars(module)["_aside"] = self._prepare(module, inputs[0], device_mesh)
            for layer in module.modules():
                _stand_in(layer, self._stand_ins(layer))
            return (first, *inputs[1:])

        def leave(module: nn.Module, inputs: Any, output: Any) -> Any:
            for layer in module.modules():
                _take_back(layer)
            aside = vars(module).pop("_aside", None)
            return None if output is None else self._finish(module, output, aside, device_mesh)

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave, always_call=True)
        return module

    def _require_known(self, module: nn.Module) -> None:
        if not isinstance(module, nn.Linear | nn.Embedding):
            name = type(self).__name__
            raise NotImplementedError(f"{name} currently only support nn.Linear and nn.Embedding!")

    def _distribute(self, module: nn.Module, name: str, mesh: DeviceMesh, placement: Placement) -> None:
        parameter = module._parameters.get(name)
        if parameter is not None:
            made = distribute_tensor(parameter, mesh, [placement], src_data_rank=self.src_data_rank)
            module._parameters[name] = made

    def _stand_ins(self, layer: nn.Module) -> dict[str, Tensor | None]:
        """What a layer holds in the place of each parameter while it computes."""
        return {
            name: each.to_local() for name, each in layer._parameters.items() if isinstance(each, DTensor)
        }

    @abstractmethod
    def _cut(self, name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        """Replace the parameters by this rank's parts."""

    @abstractmethod
    def _prepare(self, module: nn.Module, value: Any, mesh: DeviceMesh) -> tuple[Tensor, Any]:
        """What the layer computes with, of what it is given; and what is put aside for `_finish`."""

    @abstractmethod
    def _finish(self, module: nn.Module, local: Tensor, aside: Any, mesh: DeviceMesh) -> Tensor:
        """What the layer returns, of what it has computed."""


def _stand_in(module: nn.Module, tensors: dict[str, Tensor | None]) -> None:
    vars(module)["_stood_in_for"] = {name: module._parameters[name] for name in tensors}
    module._parameters.update(tensors)


def _take_back(module: nn.Module) -> None:
    module._parameters.update(vars(module).pop("_stood_in_for", {}))


class _CutLayer(_Layer):
    """A layer whose weight is cut."""

    def __init__(
        self, input_layouts: Placement, output_layouts: Placement, use_local_output: bool = True
    ) -> None:
        self.input_layouts, self.output_layouts = (input_layouts,), (output_layouts,)
        self.use_local_output = use_local_output

    def _said(self) -> dict[str, Any]:
        names = ("input_layouts", "output_layouts", "use_local_output")
        return {name: getattr(self, name) for name in names}

    def _output(self, local: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        wanted = layout_for(type(self).__name__, layout.device_mesh, self.output_layouts, layout.shape)
        return moved(local, layout, wanted.placements), wanted


class ColwiseParallel(_CutLayer):
    """A ``Linear`` of whose outputs each rank computes some, or an ``Embedding`` of whose columns each rank has some.

    Every rank has the whole input. Its gradient is a summand on each rank, and is reduced.

    Args:
        input_layouts: how the input lies, where it is a plain tensor; replicated where not given.
        output_layouts: how the output is to lie; cut along the last dim, as it comes, where not given.
        use_local_output: return this rank's part as a plain tensor, else a ``DTensor``.
    """

    def __init__(
        self,
        *,
        input_layouts: Placement | None = None,
        output_layouts: Placement | None = None,
        use_local_output: bool = True,
    ) -> None:
        super().__init__(input_layouts or Replicate(), output_layouts or Shard(-1), use_local_output)

    def _cut(self, name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        dim = 1 if isinstance(module, nn.Embedding) else 0
        for each in list(module._parameters):
            self._distribute(module, each, mesh, Shard(dim))

    def _prepare(self, module: nn.Module, value: Any, mesh: DeviceMesh) -> tuple[Tensor, Any]:
        given = lying(value, mesh, self.input_layouts[0])
        return moved(given.to_local(), given._layout, _COPIES, _SUMMANDS), None

    def _finish(self, module: nn.Module, local: Tensor, aside: Any, mesh: DeviceMesh) -> Tensor:
        width = module.embedding_dim if isinstance(module, nn.Embedding) else module.out_features
        layout = Layout(mesh, (Shard(local.ndim - 1),), (*local.shape[:-1], width))
        found, wanted = self._output(local, layout)
        return found if self.use_local_output else distributed_like(found, wanted)


class RowwiseParallel(_CutLayer):
    """A ``Linear`` of whose inputs each rank has some, or an ``Embedding`` of whose rows each rank has some.

    Each rank computes a summand of the output. A bias is added when they are reduced.

    Args:
        input_layouts: how the input lies, where it is a plain tensor; cut along the last dim where not given.
        output_layouts: how the output is to lie; replicated where not given.
        use_local_output: return this rank's part as a plain tensor, else a ``DTensor``.
    """

    def __init__(
        self,
        *,
        input_layouts: Placement | None = None,
        output_layouts: Placement | None = None,
        use_local_output: bool = True,
    ) -> None:
        super().__init__(input_layouts or Shard(-1), output_layouts or Replicate(), use_local_output)

    def _require_known(self, module: nn.Module) -> None:
        super()._require_known(module)
        if isinstance(module, nn.Embedding) and not (module.padding_idx is None and module.max_norm is None):
            raise UnsupportedError(
                "RowwiseParallel: an Embedding with padding_idx or max_norm: use ColwiseParallel, which has all rows"
            )

    def _cut(self, name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        self._distribute(module, "weight", mesh, Shard(0 if isinstance(module, nn.Embedding) else 1))

    def _prepare(self, module: nn.Module, value: Any, mesh: DeviceMesh) -> tuple[Tensor, Any]:
        given = lying(value, mesh, self.input_layouts[0])
        local, layout = given.to_local(), given._layout
        if not isinstance(module, nn.Embedding):
            return moved(local, layout, (Shard(len(layout.shape) - 1),)), None
        rows = parts(module.num_embeddings, mesh.size())[mesh.get_local_rank()]
        indices = moved(local, layout, _COPIES)
        outside = (indices < rows.start) | (indices >= rows.stop)
        return ops.masked_fill(indices - rows.start, outside, 0), outside

    def _stand_ins(self, layer: nn.Module) -> dict[str, Tensor | None]:
        return {name: None if name == "bias" else each for name, each in super()._stand_ins(layer).items()}

    def _finish(self, module: nn.Module, local: Tensor, aside: Any, mesh: DeviceMesh) -> Tensor:
        if aside is not None:
            local = ops.masked_fill(local, aside.unsqueeze(-1), 0)
        found, wanted = self._output(local, Layout(mesh, _SUMMANDS, tuple(local.shape)))
        bias = module._parameters.get("bias")
        if bias is not None:
            found = found + _bias_for(bias, wanted)
        return found if self.use_local_output else distributed_like(found, wanted)


def _bias_for(bias: Any, layout: Layout) -> Tensor:
    """What a rank adds to an output that lies so; where its gradient is a summand, it is reduced."""
    placement, local = layout.placements[0], bias.to_local()
    if not isinstance(placement, Shard):
        return local  # type: ignore[no-any-return]
    if placement.dim == len(layout.shape) - 1:
        return moved(local, bias._layout, (Shard(0),))
    return moved(local, bias._layout, _COPIES, _SUMMANDS)


class SequenceParallel(_Layer):
    """A layer that works position by position (LayerNorm, RMSNorm, Dropout), of whose positions each rank has some.

    Every rank has its parameters; their gradients are summands, and are reduced.

    Args:
        sequence_dim: the dim that is cut.
        use_local_output: return this rank's part as a plain tensor, else a ``DTensor``.
    """

    def __init__(self, *, sequence_dim: int = 1, use_local_output: bool = False) -> None:
        self.sequence_sharding = (Shard(sequence_dim),)
        self.use_local_output = use_local_output

    def _said(self) -> dict[str, Any]:
        return {"sequence_dim": self.sequence_sharding[0].dim, "use_local_output": self.use_local_output}

    def _require_known(self, module: nn.Module) -> None:
        """Any."""

    def _cut(self, name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        """What every rank has stays: layers that it is for begin alike."""
        for each, parameter in module._parameters.items():
            if parameter is not None:
                made = distribute_tensor(parameter, mesh, _COPIES, src_data_rank=None)
                module._parameters[each] = made

    def _stand_ins(self, layer: nn.Module) -> dict[str, Tensor | None]:
        held = {name: each for name, each in layer._parameters.items() if isinstance(each, DTensor)}
        return {name: moved(each.to_local(), each._layout, _COPIES, _SUMMANDS) for name, each in held.items()}

    def _prepare(self, module: nn.Module, value: Any, mesh: DeviceMesh) -> tuple[Tensor, Any]:
        given = lying(value, mesh, self.sequence_sharding[0])
        layout = layout_for("SequenceParallel", mesh, self.sequence_sharding, given._layout.shape)
        return moved(given.to_local(), given._layout, layout.placements), layout

    def _finish(self, module: nn.Module, local: Tensor, aside: Any, mesh: DeviceMesh) -> Tensor:
        if self.use_local_output:
            return local
        shape = list(local.shape)
        shape[aside.dim] = aside.shape[aside.dim]  # the parts may differ in size
        return distributed_like(local, Layout(mesh, aside.placements, tuple(shape)))


for _class in (ColwiseParallel, RowwiseParallel, SequenceParallel):
    _class.__module__ = "distrt.distributed.tensor.parallel"
