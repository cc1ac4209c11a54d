"""Names of ``DistributedDataParallel`` that PyTorch does not document, and that libraries use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from distrt.comm.process_group import ProcessGroup
from distrt.core.device import device
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.buffers import BufferHook, BufferHookLocation
from distrt.parallel.data_parallel.scatter_gather import gather, scatter_kwargs
from distrt.parallel.ddp_arguments import warn_of_useless_search
from distrt.parallel.ddp_logging import logging_data
from distrt.parallel.hooks.builtin import BuiltinCommHookType, builtin_hook
from distrt.parallel.optimizer_overlap import overlapped
from distrt.parallel.sharding.option import refuse_steps_in_backward
from distrt.parallel.structures import map_tensors

if TYPE_CHECKING:
    from distrt.parallel.reducer import Reducer

__all__ = ["PrivateNames"]


class PrivateNames:
    """A part of ``DistributedDataParallel``."""

    process_group: ProcessGroup
    reducer: Reducer
    static_graph: bool
    find_unused_parameters: bool
    buffer_hook: BufferHook
    dim: int
    device_type: str
    use_side_stream_for_tensor_copies = True  # of GPUs: inputs are on the CPU already
    _use_python_reducer = False
    _sample_rate = 100
    _hook_name: str | None
    _set_hook: Callable[..., None]
    register_comm_hook: Callable[..., None]

    def _register_builtin_comm_hook(self, comm_hook_type: BuiltinCommHookType) -> None:
        """Have one of the hooks that need no state average each bucket."""
        hook = builtin_hook(comm_hook_type)
        self._set_hook(functools.partial(hook, self.process_group), str(comm_hook_type))

    def _register_buffer_comm_hook(
        self,
        state: Any,
        hook: Callable[[Any, dict[str, Tensor]], Any],
        comm_hook_location: BufferHookLocation = BufferHookLocation.POST_FORWARD,
    ) -> None:
        """Have ``hook(state, buffers by name)`` bring the buffers together instead of a broadcast from rank 0.

        Args:
            state: handed to the hook.
            hook: may return a list of futures, which the next averaged backward pass waits for.
            comm_hook_location: before or after the forward pass.

        Raises:
            AssertionError: ``hook`` is not callable.
        """
        if not callable(hook):
            raise AssertionError(f"hook must be callable, got {type(hook).__name__}")
        self.buffer_hook = BufferHook(hook, state, comm_hook_location)

    def _register_fused_optim(
        self, optim: type[Any], *args: Any, optim_params: Iterable[Tensor] | None = None, **kwargs: Any
    ) -> None:
        """Have an optimizer update each parameter as soon as its bucket is averaged; in the place of a hook.

        Args:
            optim: the optimizer's class.
            args, kwargs: its arguments, but for the parameters.
            optim_params: the parameters; all where None.

        Raises:
            ValueError: PyTorch has no functional counterpart of the class.
        """
        model: Any = self
        refuse_steps_in_backward(model)
        self.register_comm_hook(self.process_group, overlapped(optim, optim_params, args, kwargs))

    def _set_static_graph(self) -> None:
        if self.static_graph:
            warn("You've set static_graph to be True, no need to set it again.")
            return
        if self.reducer.iteration >= 0:
            raise RuntimeError(
                "set_static_graph() should be called before training loop starts and after DistributedDataParallel is "
                f"constructed: {self.reducer.iteration + 1} passes have been averaged"
            )
        self.static_graph = self.reducer.allows_unused = True
        warn_of_useless_search(self.find_unused_parameters)

    # -- kept for older scripts

    def scatter(self, inputs: Any, kwargs: Any, device_ids: Sequence[Any]) -> Any:
        """Positional and keyword arguments cut into one part for each GPU (`scatter_kwargs`)."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def to_kwargs(self, inputs: Any, kwargs: Any, device_id: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The arguments on the device with this number, each in a tuple."""
        place = device(self.device_type, device_id)
        moved = [
            (map_tensors(lambda tensor: tensor.to(place), each),) if each else () for each in (inputs, kwargs)
        ]
        if len(moved[0]) < len(moved[1]):
            moved[0] = ((),)
        elif len(moved[1]) < len(moved[0]):
            moved[1] = ({},)
        return moved[0], moved[1]

    def gather(self, outputs: Any, output_device: Any) -> Any:
        """Outputs of several GPUs put together on one."""
        return gather(outputs, output_device, dim=self.dim)

    @staticmethod
    def _set_params_and_buffers_to_ignore_for_model(
        module: Module, params_and_buffers_to_ignore: Sequence[str]
    ) -> None:
        """Leave these parameters and buffers of ``module``, which will be wrapped, to each rank."""
        module._ddp_params_and_buffers_to_ignore = params_and_buffers_to_ignore
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name in params_and_buffers_to_ignore:
                vars(tensor)["_ddp_ignored"] = True

    @staticmethod
    def _get_data_parallel_params(module: Module, named_params: bool = False) -> Iterator[Any]:
        for each in module.named_parameters() if named_params else module.parameters():
            if not hasattr(each, "_ddp_ignored"):
                yield each

    @property
    def _distributed_rank(self) -> int:
        return self.process_group.rank()

    @property
    def _has_rebuilt_buckets(self) -> bool:
        return self.reducer.is_rebuilt

    def _check_reducer_finalized(self) -> None:
        self.reducer.require_finished()

    def _remove_autograd_hooks(self) -> None:
        self.reducer.close()

    def _set_ddp_runtime_logging_sample_rate(self, sample_rate: int) -> None:
        if sample_rate < 1:
            raise ValueError("DDP runtime logging sample rate should be equal or greater than 1")
        self._sample_rate = sample_rate

    def _get_ddp_logging_data(self) -> dict[str, Any]:
        model: Any = self
        return logging_data(model, self._hook_name, self._sample_rate)
