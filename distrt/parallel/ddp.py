"""``DistributedDataParallel``: averages gradients in buckets, while backward still runs.

The module that users wrap their model in. ``Reducer`` has the policy of the backward pass, ``Bucket`` the mechanism;
``NaiveDDP`` is the specification of both.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from distrt.amp import agree_on
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group, is_initialized
from distrt.core.errors import UnsupportedError
from distrt.core.modes import modes
from distrt.core.process.activity import FORWARD, doing
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.agreement import broadcast_from_rank_0, require_same_parameters
from distrt.parallel.bucket import CommHook, GradBucket
from distrt.parallel.buffers import BufferBroadcast, BufferHookLocation
from distrt.parallel.ddp_arguments import (
    bucket_caps,
    device_of,
    group_of,
    require_trained,
    sync_flags,
    warn_of_useless_search,
)
from distrt.parallel.ddp_join import UnevenInputs
from distrt.parallel.ddp_private import PrivateNames
from distrt.parallel.delayed import DelayedGradients, named_delayed
from distrt.parallel.hooks.checking import check_comm_hook
from distrt.parallel.join import Join, Joinable, counted
from distrt.parallel.mixed_precision import Casting, MixedPrecision
from distrt.parallel.optimizer_overlap import step_when_averaged
from distrt.parallel.overflow import OverflowAgreement
from distrt.parallel.reducer import Reducer
from distrt.parallel.sharding.option import (
    average_whole_buckets,
    bucket_class,
    may_recut,
    shared_update,
)
from distrt.parallel.sparse_gradients import refuse_sparse_layers, sparse_parameters
from distrt.parallel.structures import map_tensors
from distrt.parallel.virtual_shards import VirtualShards

#: The wrapper whose forward pass runs.
_innermost: ContextVar[DistributedDataParallel | None] = ContextVar("innermost wrapper", default=None)


class DistributedDataParallel(PrivateNames, Module, UnevenInputs):
    """Every rank holds the same model and computes on its own part of the batch; gradients are averaged.

    At construction the ranks compare the model's parameters and take over rank 0's values. From then on each gradient
    is a view into a bucket, and a bucket is averaged over the ranks as soon as its last gradient is there, in bucket
    order. After ``backward()`` every rank has the same gradients.

    With plain BatchNorm the result differs from one process on the whole batch by definition: each rank normalises with
    its own part's statistics. ``SyncBatchNorm`` does not.

    Args:
        module: the model.
        device_ids, output_device: of GPU modules only, as in PyTorch: inputs are moved to that GPU.
        dim: accepted for PyTorch's sake.
        forward_sync_buffers: give every rank rank 0's buffers before a forward pass that follows a synchronised one, as
            PyTorch does; so the first evaluation after training sees the same buffers on all ranks. Default: True.
        broadcast_buffers: the former name of that; False leaves each rank its buffers at construction, too.
        init_sync: compare and broadcast at construction.
        process_group: the ranks; all of the world when not given.
        device_mesh: a mesh of one dim, whose group it is, instead.
        bucket_cap_mb: size of a bucket in MiB. Default: 25, and 1 for the first.
        bucket_cap_mb_list: sizes of the first, second, ... bucket in MiB; the last one holds for all further ones.
        find_unused_parameters: a parameter without gradient counts as zero instead of being an error.
        static_graph: the same parameters are used in every pass; those that are not may be, too.
        delay_all_reduce_named_params: names and parameters whose gradients are averaged together, beside the buckets.
        param_to_hook_all_reduce: at the end of every backward pass that reaches this parameter.
        mixed_precision: dtypes to compute and to average in (PyTorch's ``_MixedPrecision``).
        reproducible: distrt's own: into how many virtual shards each global batch is cut, a power of two that the
            number of ranks divides. Parameters then have the same bits on any number of ranks (docs/reproducible.md).
        shard_optimizer: distrt's own: the ranks of a machine have one copy of the parameters and of the optimizer's
            state, of which each updates a slice. The optimizer is an ordinary one (docs/sharding.md).
        gradient_as_bucket_view, check_reduction, skip_all_reduce_unused_params, batched_grad_copy: accepted; gradients
            are always views. What a script still looks at when a parameter's gradient has been set to None (``.grad``
            itself, ``.grad.detach()``, ``.grad.numpy()``) stays as it is: the bucket moves.

    Raises:
        CollectiveMismatch: the models differ between ranks in more than their values.
        RuntimeError: no parameter needs a gradient, or one has no shape yet.
        ValueError: another device is named than the model's, or one for a model on the CPU.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: ProcessGroup | None = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        delay_all_reduce_named_params: Iterable[tuple[str, Tensor]] | None = None,
        param_to_hook_all_reduce: Tensor | None = None,
        mixed_precision: MixedPrecision | None = None,
        device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False,
        bucket_cap_mb_list: Sequence[float] | None = None,
        batched_grad_copy: bool = False,
        forward_sync_buffers: bool | None = None,
        *,
        reproducible: int | None = None,
        shard_optimizer: bool = False,
    ) -> None:
        super().__init__()
        Joinable.__init__(self)
        self._delayed_parameters = named_delayed(delay_all_reduce_named_params, param_to_hook_all_reduce)
        # In a list, so that it is no parameter of this module.
        self._delay_trigger = [param_to_hook_all_reduce]
        self.process_group = group_of(process_group, device_mesh)
        self._adopt(module, device_ids, output_device)
        self.dim = dim
        self.forward_sync_buffers, syncs_buffers = sync_flags(broadcast_buffers, forward_sync_buffers)
        if check_reduction:
            warn(
                "The `check_reduction` argument in `DistributedDataParallel` module is deprecated. "
                "Please avoid using it.",
                FutureWarning,
            )
        self.find_unused_parameters, self.static_graph = find_unused_parameters, static_graph
        if static_graph:
            warn_of_useless_search(find_unused_parameters)
        self.gradient_as_bucket_view, self.batched_grad_copy = gradient_as_bucket_view, batched_grad_copy
        self.skip_all_reduce_unused_params = skip_all_reduce_unused_params
        self.mixed_precision = mixed_precision
        self._set_caps(bucket_cap_mb, bucket_cap_mb_list)
        self._reset()
        if init_sync:
            require_same_parameters(module, self.process_group, self.parameters_to_ignore)
            broadcast_from_rank_0(module, self.process_group, self._kept_apart(syncs_buffers))
        self._casting = None if mixed_precision is None else Casting(mixed_precision, module)
        if reproducible is not None and mixed_precision is not None:
            raise ValueError("reproducible= and mixed_precision= cannot be combined: use autocast")
        self.reproducible, self.shard_optimizer = reproducible, shard_optimizer
        self._connect()

    def _adopt(self, module: Module, device_ids: Any, output_device: Any) -> None:
        """Take a module, if it can be one of several ranks'."""
        self.parameters_to_ignore = {
            *getattr(module, "_ddp_params_and_buffers_to_ignore", ()),
            *self._delayed_parameters,
        }
        self._module_parameters = [
            each for name, each in module.named_parameters() if name not in self.parameters_to_ignore
        ]
        require_trained(self._module_parameters, has_delayed=bool(self._delayed_parameters))
        self.device = device_of(self._module_parameters, device_ids, output_device)
        self.module = module
        index = self.device.index if device_ids else None
        self.device_ids, self.output_device = None if index is None else [index], index
        self.device_type, self.is_multi_device_module = self.device.type, False

    def _set_caps(self, bucket_cap_mb: float | None, sizes: Sequence[float] | None) -> None:
        self._caps = bucket_caps(bucket_cap_mb, sizes)
        self.bucket_bytes_cap = max(self._caps)
        self.bucket_bytes_cap_list = list(self._caps) if sizes else []
        self.bucket_bytes_cap_default = bucket_cap_mb is None and not sizes
        self.broadcast_bucket_size = 250 * 1024 * 1024  # PyTorch's; one broadcast takes all of a dtype here

    def _reset(self) -> None:
        """As before the first pass."""
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True  # PyTorch's name: the next forward pass broadcasts buffers
        self._divides_by_all = True
        self._has_begun = False
        self._hook_name: str | None = None
        self._comm_hooks: list[tuple[Any, object]] = []

    def _connect(self) -> None:
        """Make what communicates: a collective."""
        sparse = self._sparse_parameters()
        apart = {id(each) for each in sparse}
        named = [
            (name, parameter)
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad
            and name not in self.parameters_to_ignore
            and id(parameter) not in apart
        ]
        self.reducer = Reducer(
            named,
            self.process_group,
            self._caps,
            allows_unused=self.find_unused_parameters or self.static_graph,
            is_rebuilt=(self.static_graph or not self.find_unused_parameters) and may_recut(self),
            bucket_class=bucket_class(self),
        )
        self.reducer.lease.end_with(self)
        if sparse:
            self.reducer.add_sparse(sparse)
        self._buffer_broadcast: BufferBroadcast | None = None
        self._delayed: DelayedGradients | None = None
        delayed = list(self._delayed_parameters.values())
        (trigger,) = self._delay_trigger
        if trigger is not None and delayed:
            self._delayed = DelayedGradients(delayed, trigger, self.process_group)
            self.reducer.lease.when_over(self._delayed.close)
        self._shards: VirtualShards | None = None
        if self.reproducible is not None:
            self._shards = VirtualShards(self.module, self.process_group, self.reproducible)
            self.reducer.after_pass.append(self._shards.end_pass)
        if self._casting is not None:
            self._set_hook(self._casting.hook(self.process_group), "_reducer_allreduce_and_upcast_hook")
        self._update = shared_update(self)
        averaged = [*(parameter for _, parameter in named), *sparse, *delayed]
        agree_on(averaged, OverflowAgreement(self, self.process_group))

    def _sparse_parameters(self) -> list[Any]:
        """Those whose gradients are sparse, which go into no bucket."""
        found = sparse_parameters(self.module)
        if found and (self.reproducible is not None or self.shard_optimizer or self._casting is not None):
            refuse_sparse_layers(self.module, "reproducible=, shard_optimizer= and mixed_precision=")
        ignored = {
            id(each) for name, each in self.module.named_parameters() if name in self.parameters_to_ignore
        }
        return [each for each in found if each.requires_grad and id(each) not in ignored]

    def _kept_apart(self, syncs_buffers: bool) -> set[str]:
        """What each rank keeps its own values of."""
        buffers = () if syncs_buffers else (name for name, _ in self.module.named_buffers())
        return self.parameters_to_ignore.union(buffers)

    @property
    def named_module_buffers(self) -> dict[str, Any]:
        """The buffers that are given from rank 0 to all."""
        return {
            name: each for name, each in self.module.named_buffers() if name not in self.parameters_to_ignore
        }

    @property
    def modules_buffers(self) -> list[Any]:
        """Those, without names."""
        return list(self.named_module_buffers.values())

    @property
    def broadcast_buffers(self) -> bool:
        """The former name of ``forward_sync_buffers``."""
        return self.forward_sync_buffers

    @broadcast_buffers.setter
    def broadcast_buffers(self, value: bool) -> None:
        self.forward_sync_buffers = value

    # -- one iteration

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model. Its next backward pass averages gradients, unless inside ``no_sync()``."""
        with doing(FORWARD):
            return self._forward(args, kwargs)

    def _forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._begin_pass()
        outer = _innermost.set(self)
        try:
            if self.device_ids is not None:
                args, kwargs = map_tensors(lambda each: each.to(self.device), (args, kwargs))
            if self._shards is not None:
                outputs = self._shards(args, kwargs)
            elif self._casting is None:
                outputs = self.module(*args, **kwargs)
            else:
                args, kwargs = self._casting.inputs(args, kwargs)
                with self._casting.parameters(self.module):
                    outputs = self.module(*args, **kwargs)
        finally:
            _innermost.reset(outer)
        if self._syncs_after:
            self._sync_buffers(has_input=True)
        if self._delayed is not None:
            self._delayed.clear()
        return outputs

    def _begin_pass(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            step_when_averaged(self, self._module_parameters)
        outer = _innermost.get()
        is_training, is_averaging = bool(modes.grad), self.require_backward_grad_sync
        if outer is not None and outer.reducer.averages(self.reducer):
            is_averaging = False  # two would write to one gradient at a time
        present = Join.notify_join_context(self)
        if is_training:
            if is_averaging:
                counts = None if present is None or self._divides_by_all else counted(present)
                self.reducer.prepare(present, counts)
            else:
                self.reducer.disarm()
            self.reducer.rebuild()
        self._syncs_after = self.will_sync_module_buffers()
        if self._syncs_after and not self._has_hook_after():
            self._syncs_after = False
            self._sync_buffers(has_input=True)
        if self._join_config.enable:
            self._tell_whether_to_average(is_training and is_averaging)
        self.require_forward_param_sync = is_training and is_averaging

    @property
    def training_step(self) -> int:
        """With ``reproducible``, how many steps have been made; to be set where a run goes on from a checkpoint."""
        return 0 if self._shards is None else self._shards.step

    @training_step.setter
    def training_step(self, step: int) -> None:
        if self._shards is None:
            raise RuntimeError("training_step is counted with reproducible= only")
        self._shards.step = step

    def _require_not_reproducible(self, what: str, instead: str) -> None:
        if self._shards is not None:
            raise UnsupportedError(
                f"{what} would sum gradients in another order than reproducible={self.reproducible} promises: {instead}"
            )

    def will_sync_module_buffers(self) -> bool:
        """Whether the next forward pass begins with rank 0's buffers."""
        return (
            self.require_forward_param_sync
            and self.forward_sync_buffers
            and self._shards is None  # which keep them alike
            and next(iter(self.module.buffers()), None) is not None
        )

    def _has_hook_after(self) -> bool:
        """Whether it is a hook, and after the forward pass, that brings buffers together."""
        hook = getattr(self, "buffer_hook", None)
        return hook is not None and hook.buffer_comm_hook_location is BufferHookLocation.POST_FORWARD

    def _sync_buffers(self, has_input: bool) -> None:
        src = self._common_rank(has_input) if self._join_config.enable else 0
        if hasattr(self, "buffer_hook"):
            hook, state, _ = self.buffer_hook
            self.reducer.awaited += hook(state, self.named_module_buffers) or ()
            return
        buffers = self.modules_buffers  # anew each time: a script may have assigned others
        if self._buffer_broadcast is None or not self._buffer_broadcast.fits(buffers):
            self._buffer_broadcast = BufferBroadcast(buffers, self.process_group)
        self._buffer_broadcast.run(buffers, src)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Inside, backward passes only add to the local gradients; the next pass outside averages the sums."""
        self._require_not_reproducible("no_sync()", "give the whole batch to one pass")
        outer = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = outer

    # -- communication hooks

    def register_comm_hook(self, state: object, hook: Callable[[Any, GradBucket], Any]) -> None:
        """Have ``hook(state, bucket)`` average each bucket instead of an all-reduce.

        Args:
            state: handed to the hook.
            hook: gets a ``GradBucket`` and returns a ``Future`` of the averaged tensor.

        Raises:
            TypeError: ``hook`` is not callable.
            ValueError: its annotations are others than ``GradBucket`` and ``Future[Tensor]``.
            RuntimeError: there is a hook already.
        """
        check_comm_hook(hook)
        self._comm_hooks.append((hook, state))
        self._set_hook(functools.partial(hook, state), getattr(hook, "__qualname__", type(hook).__qualname__))

    def _set_hook(self, hook: CommHook, name: str) -> None:
        self._require_not_reproducible("a communication hook", "leave the average to DistributedDataParallel")
        if self.reducer.hook is not None:
            raise RuntimeError("register_comm_hook or register_builtin_comm_hook can only be called once.")
        average_whole_buckets(self)
        self.reducer.hook, self._hook_name = hook, name

    # -- copies

    def __getstate__(self) -> dict[str, Any]:
        if not is_initialized() or self.process_group is not default_group():
            raise RuntimeError(
                "DDP Pickling/Unpickling are only supported when using DDP with the default process group. That is, "
                "when you have called init_process_group and have not passed process_group argument to DDP constructor"
            )
        state = {**self.__dict__, "_made_steps": self.training_step}
        for name in ("process_group", "reducer", "_buffer_broadcast", "_delayed", "_shards", "_update"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Join the default group; all ranks do so together."""
        self.process_group = default_group()
        super().__setstate__(state)
        self.require_forward_param_sync = self.require_backward_grad_sync = True
        self._has_begun = False
        self._connect()
        if self._shards is not None:
            self._shards.step = state["_made_steps"]
