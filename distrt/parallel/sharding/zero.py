"""``ZeroRedundancyOptimizer``: any optimizer, each rank keeping the state of a part of the parameters.

Behaviour, partition, names and errors are PyTorch's.
Source: https://docs.pytorch.org/docs/2.13/distributed.optim.html; Rajbhandari et al. 2019, "ZeRO", stage 1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.device import device
from distrt.core.tensor import Tensor
from distrt.optim.optimizer import Optimizer
from distrt.parallel.join import Join, Joinable, JoinHook
from distrt.parallel.sharding.arguments import listed_params, require_known_class, require_one_dense_type
from distrt.parallel.sharding.consolidation import gathered_states, merged, part_of
from distrt.parallel.sharding.partition import Partition
from distrt.parallel.sharding.publication import BucketViews, InPlace, Publication

__all__ = ["ZeroRedundancyOptimizer"]

_log = logging.getLogger("distrt.distributed.optim.zero_redundancy_optimizer")

StateDict = dict[str, Any]
Groups = list[dict[str, Any]]


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """Spreads an optimizer's state over the ranks: each one updates its part of the parameters, and shows it to all.

    Every parameter belongs to one rank; the ranks' parts are of about the same size. So the state takes 1/size of the
    memory on each, and the parameters are what the optimizer itself would have made of them, to the bit. Gradients
    must be the same on all ranks, as ``DistributedDataParallel`` makes them.

    Args:
        params: tensors, or dicts with "params" and the group's own options.
        optimizer_class: the class of the optimizer.
        process_group: the ranks; all of the world where None.
        parameters_as_bucket_view: let parameters be views of few buffers, in memory that the ranks of a machine share,
            so that none is packed or sent alone. Else they stay where they are.
        overlap_with_ddp: a communication hook steps in backward (`hook_with_zero_step`), and ``step`` does nothing.
        defaults: the optimizer's options.

    Attributes:
        optim: this rank's own optimizer, on its part of the parameters.
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: Callable[..., Optimizer],
        process_group: ProcessGroup | None = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        given = listed_params(params)
        self._all_params: list[Tensor] = [
            param for each in given for param in (each["params"] if isinstance(each, dict) else [each])
        ]
        require_one_dense_type(self._all_params)
        require_known_class(optimizer_class, overlap_with_ddp)
        self.initialized = False
        Optimizer.__init__(self, given, defaults)
        Joinable.__init__(self)
        self.process_group = process_group if process_group is not None else default_group()
        self.world_size = self.process_group.size()
        self.rank = self.process_group.rank()
        self.global_rank = self.process_group.ranks[self.rank]
        self.parameters_as_bucket_view = parameters_as_bucket_view
        self._overlap_with_ddp = overlap_with_ddp
        self._default_device = self._all_params[0].device
        self._optim_defaults, self._optim_constructor = defaults, optimizer_class
        self._all_state_dicts: list[StateDict] = []  # of all ranks, where they were consolidated
        self._is_trainable_mask = self._trainable()
        self._publication: Publication = InPlace([], self.process_group)
        if overlap_with_ddp:
            if parameters_as_bucket_view:
                _log.warning(
                    "`parameters_as_bucket_view=True` will be ignored since `overlap_with_ddp=True`; instead, a "
                    "different bucketing strategy will be used"
                )
        else:
            self._begin(Partition(self.param_groups, self.world_size))
            self._publication = self._published()
        self.initialized = True

    def _begin(self, partition: Partition) -> None:
        """Make this rank's own optimizer."""
        self._partition = partition
        self.optim = self._optim_constructor(partition.by_rank[self.rank], **self._optim_defaults)
        # Schedules look here for what the optimizer can do: OneCycleLR for its momentum.
        self.defaults = {**self._optim_defaults, **getattr(self.optim, "defaults", {})}
        _copy_options(self.optim.param_groups, self.param_groups)

    def _begin_overlap(self, shards: list[list[Tensor]]) -> None:
        """With ``overlap_with_ddp``, when it is known who updates what."""
        if len(self.param_groups) != 1:
            raise RuntimeError("Specifying `params_per_rank` only supports a single parameter group")
        self._begin(Partition(self.param_groups, self.world_size, shards))

    def _require_begun(self) -> None:
        if not hasattr(self, "optim"):
            raise RuntimeError(
                "This method should not be called until this ZeroRedundancyOptimizer instance has been fully "
                "initialized"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with options of their own; those that are there stay where they are. All ranks call."""
        if self.initialized and self._overlap_with_ddp:
            raise RuntimeError(
                "ZeroRedundancyOptimizer with `overlap_with_ddp=True` only supports a single parameter group"
            )
        super().add_param_group(param_group)
        if not self.initialized:
            return
        self._partition = Partition(self.param_groups, self.world_size)
        self.optim.add_param_group(self._partition.by_rank[self.rank][-1])
        _copy_options(self.optim.param_groups, self.param_groups)
        self._all_params = list(self._partition.parameters)
        self._is_trainable_mask = self._trainable()
        self._publish_anew()

    # -- the step

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Updates this rank's part of the parameters and gives it to all; a collective.

        Args:
            closure: computes the loss anew; returned is what the optimizer returns.
            kwargs: for the optimizer.
        """
        if self._overlap_with_ddp:
            _log.warning("`step()` should not be included in the training loop when `overlap_with_ddp=True`")
            return None
        loss = self._local_step(closure=closure, **kwargs)
        self._sync_params()
        return loss

    def _local_step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """The step of this rank's own optimizer."""
        Join.notify_join_context(self)
        mask = self._trainable()
        if mask != self._is_trainable_mask:
            if self._overlap_with_ddp:
                raise RuntimeError(
                    "ZeroRedundancyOptimizer with `overlap_with_ddp=True` does not support changing parameter "
                    "trainability at run time"
                )
            _log.warning(
                "ZeroRedundancyOptimizer detected that the trainable parameters changed; "
                "rebuilding the parameter buckets if enabled"
            )
            self._is_trainable_mask = mask
            self._publish_anew()
        _copy_options(self.param_groups, self.optim.param_groups)
        if closure is not None:
            kwargs["closure"] = closure
        loss = self.optim.step(**kwargs)
        _copy_options(self.optim.param_groups, self.param_groups)
        return loss

    def _sync_params(self) -> None:
        """Give every rank all parameters."""
        self._publication.publish()

    def _trainable(self) -> list[bool]:
        return [param.requires_grad for param in self._all_params]

    def _published(self) -> Publication:
        kind = BucketViews if self.parameters_as_bucket_view else InPlace
        return kind(self._partition.shards(), self.process_group)

    def _publish_anew(self) -> None:
        self._publication.close()
        self._publication = self._published()

    # -- state

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gathers the state of all ranks on rank ``to``, which can then call `state_dict`. All ranks call."""
        self._require_begun()
        _copy_options(self.param_groups, self.optim.param_groups)
        self._all_state_dicts = gathered_states(self.optim.state_dict(), self.process_group, to)

    def state_dict(self) -> StateDict:
        """The whole state as it was when it was last consolidated on this rank: as an ordinary optimizer's.

        Raises:
            RuntimeError: it was not.
        """
        self._require_begun()
        if not self._all_state_dicts:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. "
                f"Please call `consolidate_state_dict(to={self.rank})` on "
                "all ranks beforehand if you meant to save the global state."
            )
        state_dict = super().state_dict()
        state = {**state_dict["state"], **merged(self._partition, self._all_state_dicts)}
        state_dict["state"] = dict(sorted(state.items()))
        return state_dict

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over options, and the state of this rank's part, of a whole state; any number of ranks has saved it.

        Raises:
            IndexError: for state of more parameters than there are.
            ValueError: where groups or their sizes differ.
        """
        self._require_begun()
        own = {}
        for number, value in state_dict["state"].items():
            param = self._partition.parameters[number]
            own[number] = value if self._partition.rank_of[param] == self.rank else None
        super().load_state_dict({**state_dict, "state": own})
        self.optim.load_state_dict(part_of(state_dict, self._partition, self.rank))
        for param, value in self.optim.state.items():
            self.state[param] = value
        _copy_options(self.param_groups, self.optim.param_groups)

    # -- uneven inputs

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """What a rank without input does: a step in each iteration, with the gradients that it has then."""
        return _ZeroJoinHook(self)

    @property
    def join_device(self) -> device:
        """Where the parameters are."""
        return self._default_device

    @property
    def join_process_group(self) -> ProcessGroup:
        """The ranks."""
        return self.process_group

    # -- PyTorch's private names that scripts and tests use

    def _partition_parameters(self) -> list[Groups]:
        return self._partition.by_rank

    @property
    def _param_to_rank(self) -> dict[Tensor, int]:
        return self._partition.rank_of

    @property
    def _param_to_index(self) -> dict[Tensor, int]:
        return self._partition.number_of

    @property
    def _index_to_param(self) -> list[Tensor]:
        return self._partition.parameters

    @property
    def _buckets(self) -> list[list[Tensor]]:
        return self._publication.buckets


class _ZeroJoinHook(JoinHook):
    def __init__(self, zero: ZeroRedundancyOptimizer) -> None:
        self.zero = zero

    def main_hook(self) -> None:
        """Update and show this rank's part, without telling the others that it begins an iteration."""
        config = self.zero._join_config
        self.zero._join_config = config.construct_disabled_join_config()
        try:
            self.zero.step()
        finally:
            self.zero._join_config = config


def _copy_options(source: Groups, target: Groups) -> None:
    """Sets the options of ``target``'s groups as ``source``'s are: a schedule changes the ones, a step the others."""
    if len(source) != len(target):
        raise AssertionError("Mismatch between number of source and destination parameter groups")
    for one, other in zip(source, target, strict=True):
        for name, value in one.items():
            if name != "params":
                other[name] = value
