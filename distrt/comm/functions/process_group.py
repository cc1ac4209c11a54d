"""`ProcessGroup` as scripts hold it: the group of arrays, with the methods that PyTorch's groups have.

PyTorch's methods take lists of tensors, and always return a ``Work``: ``group.allreduce([tensor]).wait()``. Some of
them are called like methods on arrays, which the layers below call; those take either. Roots are ranks of the group.
Each method is the function of this room for its group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from distrt.comm.functions import all_to_all as exchanges
from distrt.comm.functions import blocks, collectives, point_to_point
from distrt.comm.functions.backend import BackendConfig, BackendType
from distrt.comm.functions.coalescing import Joined
from distrt.comm.functions.overloads import bind, only, op_of, row, sure, timed, timeout_of
from distrt.comm.process_group import ProcessGroup as ArrayGroup
from distrt.comm.work import Work
from distrt.core.arrays import is_array
from distrt.core.device import device as Device
from distrt.core.errors import DistributedError, NoKernelError
from distrt.core.tensor import Tensor

__all__ = ["GroupOptions", "ProcessGroup"]


class GroupOptions:
    """What ``group.options`` gives."""

    def __init__(self, group: ProcessGroup) -> None:
        self.backend = group.backend
        self.global_ranks_in_group = list(group.ranks)
        self.group_name = group.group_name
        self._timeout = timedelta(seconds=group.timeout_s)


class ProcessGroup(ArrayGroup):
    """Ranks that communicate; `init_process_group` and `new_group` make it."""

    BackendType = BackendType

    _store: Any = None  # the script's, if it gave one
    _open_store: Callable[[], Any] | None = None  # else what connects to the one where the ranks have met

    # Collectives on all ranks' tensors.

    def allreduce(self, *args: Any, **kwargs: Any) -> Work:
        """``allreduce([tensor], opts)`` or ``allreduce(tensor, op, timeout)``: see `distrt.distributed.all_reduce`."""
        forms = (
            "tensors:Tensors, opts:Options?",
            "tensors:Tensors, op:ReduceOp?, timeout:timedelta?",
            "tensor:Tensor, op:ReduceOp?, timeout:timedelta?",
        )
        given = bind("allreduce", forms, args, kwargs)
        tensor = given["tensor"] if "tensor" in given else only("allreduce", given["tensors"])
        return timed(collectives.all_reduce(tensor, op_of(given), self, async_op=True), given)

    def allreduce_coalesced(self, *args: Any, **kwargs: Any) -> Work:
        """``allreduce_coalesced(tensors, opts)``: `allreduce` of several."""
        given = bind("allreduce_coalesced", ("tensors:Tensors, opts:Options?",), args, kwargs)
        tensors = given["tensors"]
        return self._all(
            [collectives.all_reduce(each, op_of(given), self, async_op=True) for each in tensors],
            given,
            tensors,
        )

    def reduce(self, *args: Any, **kwargs: Any) -> Work:
        """``reduce([tensor], opts)`` or ``reduce(tensor, root, op, timeout)``: see `distrt.distributed.reduce`."""
        if _has_array(args, kwargs):
            return super().reduce(*args, **kwargs)
        forms = (
            "tensors:Tensors, opts:Options?",
            "tensor:Tensor, root:int, op:ReduceOp?, timeout:timedelta?",
        )
        given = bind("reduce", forms, args, kwargs)
        tensor = given["tensor"] if "tensor" in given else only("reduce", given["tensors"])
        root = self._root("reduce", given)
        work = collectives.reduce(tensor, None, op_of(given), self, async_op=True, group_dst=root)
        return timed(work, given)

    def broadcast(self, *args: Any, **kwargs: Any) -> Work:
        """``broadcast([tensor], opts)`` or ``broadcast(tensor, root, timeout)``: see `distrt.distributed.broadcast`."""
        if _has_array(args, kwargs):
            return super().broadcast(*args, **kwargs)
        forms = ("tensors:Tensors, opts:Options?", "tensor:Tensor, root:int, timeout:timedelta?")
        given = bind("broadcast", forms, args, kwargs)
        tensor = given["tensor"] if "tensor" in given else only("broadcast", given["tensors"])
        root = self._root("broadcast", given)
        return timed(collectives.broadcast(tensor, None, self, async_op=True, group_src=root), given)

    def gather(self, *args: Any, **kwargs: Any) -> Work:
        """``gather([outputs], [tensor], opts)`` or ``gather(outputs, tensor, root, timeout)``.

        Without outputs on ranks that do not gather; see `distrt.distributed.gather`.
        """
        if _has_array(args, kwargs):
            return super().gather(*args, **kwargs)
        forms = (
            "output_tensors:lists of Tensors, input_tensors:Tensors, opts:Options?",
            "output_tensors:Tensors, input_tensor:Tensor, root:int, timeout:timedelta?",
        )
        given = bind("gather", forms, args, kwargs)
        outputs, tensor = given["output_tensors"], given.get("input_tensor")
        if tensor is None:
            tensor, outputs = only("gather", given["input_tensors"]), row("gather", outputs)
        root = self._root("gather", given)
        work = collectives.gather(tensor, list(outputs), group=self, async_op=True, group_dst=root)
        return timed(work, given)

    def scatter(self, *args: Any, **kwargs: Any) -> Work:
        """``scatter([tensor], [inputs], opts)`` or ``scatter(tensor, inputs, root, timeout)``.

        Without inputs on ranks that do not scatter; see `distrt.distributed.scatter`.
        """
        if _has_array(args, kwargs):
            return super().scatter(*args, **kwargs)
        forms = (
            "output_tensors:Tensors, input_tensors:lists of Tensors, opts:Options?",
            "output_tensor:Tensor, input_tensors:Tensors, root:int, timeout:timedelta?",
        )
        given = bind("scatter", forms, args, kwargs)
        tensor, inputs = given.get("output_tensor"), given["input_tensors"]
        if tensor is None:
            tensor, inputs = only("scatter", given["output_tensors"]), row("scatter", inputs)
        root = self._root("scatter", given)
        work = collectives.scatter(tensor, list(inputs), group=self, async_op=True, group_src=root)
        return timed(work, given)

    # Blocks.

    def allgather(self, *args: Any, **kwargs: Any) -> Work:
        """``allgather([outputs], [tensor], opts)`` or ``allgather(outputs, tensor, timeout)``: see `all_gather`."""
        forms = (
            "output_tensors:lists of Tensors, input_tensors:Tensors, opts:Options?",
            "output_tensors:Tensors, input_tensor:Tensor, timeout:timedelta?",
        )
        given = bind("allgather", forms, args, kwargs)
        outputs, tensor = given["output_tensors"], given.get("input_tensor")
        if tensor is None:
            tensor, outputs = only("allgather", given["input_tensors"]), row("allgather", outputs)
        return timed(blocks.all_gather(list(outputs), tensor, self, async_op=True), given)

    def all_gather_single(self, *args: Any, **kwargs: Any) -> Work:
        """``all_gather_single(output, input, opts)``: see `distrt.distributed.all_gather_single`."""
        given = bind("all_gather_single", ("output:Tensor, input:Tensor, opts:Options?",), args, kwargs)
        return timed(blocks.all_gather_single(given["output"], given["input"], self, async_op=True), given)

    _allgather_base = all_gather_single

    def all_gather_single_coalesced(self, *args: Any, **kwargs: Any) -> Work:
        """``all_gather_single_coalesced(outputs, inputs, opts)``: `all_gather_single` of several."""
        form = "outputs:Tensors, inputs:Tensors, opts:Options?"
        given = bind("all_gather_single_coalesced", (form,), args, kwargs)
        pairs = zip(given["outputs"], given["inputs"], strict=True)
        works = [blocks.all_gather_single(output, each, self, async_op=True) for output, each in pairs]
        return self._all(works, given, given["outputs"])

    allgather_into_tensor_coalesced = all_gather_single_coalesced

    def allgather_coalesced(self, *args: Any, **kwargs: Any) -> Work:
        """``allgather_coalesced(output_lists, inputs, opts)``: each rank has a list of outputs like ``inputs``."""
        form = "output_lists:lists of Tensors, input_list:Tensors, opts:Options?"
        given = bind("allgather_coalesced", (form,), args, kwargs)
        columns = zip(*given["output_lists"], strict=True)
        pairs = zip(columns, given["input_list"], strict=True)
        works = [blocks.all_gather(list(outputs), each, self, async_op=True) for outputs, each in pairs]
        return self._all(works, given, [each for outputs in given["output_lists"] for each in outputs])

    def reduce_scatter(self, *args: Any, **kwargs: Any) -> Work:
        """``reduce_scatter([output], [inputs], opts)`` or ``reduce_scatter(output, inputs, op, timeout)``."""
        if _has_array(args, kwargs):
            return super().reduce_scatter(*args, **kwargs)
        forms = (
            "output_tensors:Tensors, input_tensors:lists of Tensors, opts:Options?",
            "output:Tensor, input:Tensors, op:ReduceOp?, timeout:timedelta?",
        )
        given = bind("reduce_scatter", forms, args, kwargs)
        if "output" in given:
            output, inputs = given["output"], given["input"]
        else:
            output = only("reduce_scatter", given["output_tensors"])
            inputs = row("reduce_scatter", given["input_tensors"])
        return timed(blocks.reduce_scatter(output, list(inputs), op_of(given), self, async_op=True), given)

    def reduce_scatter_single(self, *args: Any, **kwargs: Any) -> Work:
        """``reduce_scatter_single(output, input, opts)``: see `distrt.distributed.reduce_scatter_single`."""
        form = "outputTensor:Tensor, inputTensor:Tensor, opts:Options?"
        given = bind("reduce_scatter_single", (form,), args, kwargs)
        output, whole = given["outputTensor"], given["inputTensor"]
        return timed(blocks.reduce_scatter_single(output, whole, op_of(given), self, async_op=True), given)

    _reduce_scatter_base = reduce_scatter_single

    def reduce_scatter_single_coalesced(self, *args: Any, **kwargs: Any) -> Work:
        """``reduce_scatter_single_coalesced(outputs, inputs, opts)``: `reduce_scatter_single` of several."""
        form = "outputs:Tensors, inputs:Tensors, opts:Options?"
        given = bind("reduce_scatter_single_coalesced", (form,), args, kwargs)
        pairs = zip(given["outputs"], given["inputs"], strict=True)
        works = [
            blocks.reduce_scatter_single(output, each, op_of(given), self, async_op=True)
            for output, each in pairs
        ]
        return self._all(works, given, given["outputs"])

    reduce_scatter_tensor_coalesced = reduce_scatter_single_coalesced

    def alltoall(self, *args: Any, **kwargs: Any) -> Work:
        """``alltoall(outputs, inputs, opts)``: see `distrt.distributed.all_to_all`."""
        forms = (
            "output_tensors:Tensors, input_tensors:Tensors, opts:Options?",
            "output_tensors:Tensors, input_tensors:Tensors, timeout:timedelta?",
        )
        given = bind("alltoall", forms, args, kwargs)
        outputs, inputs = list(given["output_tensors"]), list(given["input_tensors"])
        return timed(exchanges.all_to_all(outputs, inputs, self, async_op=True), given)

    def all_to_all_single(self, *args: Any, **kwargs: Any) -> Work:
        """``all_to_all_single(output, input, output_split_sizes, input_split_sizes, opts)``."""
        form = "output:Tensor, input:Tensor, output_split_sizes:ints, input_split_sizes:ints"
        forms = (f"{form}, opts:Options?", f"{form}, timeout:timedelta?")
        given = bind("all_to_all_single", forms, args, kwargs)
        sizes = given["output_split_sizes"], given["input_split_sizes"]
        work = exchanges.all_to_all_single(given["output"], given["input"], *sizes, self, async_op=True)
        return timed(work, given)

    alltoall_base = all_to_all_single

    # Messages between two ranks, and waiting for all.

    def send(self, *args: Any, **kwargs: Any) -> Work:
        """``send([tensor], dstRank, tag)``: see `distrt.distributed.isend`."""
        if _has_array(args, kwargs):
            return super().send(*args, **kwargs)
        given = bind("send", ("tensors:Tensors, dstRank:int, tag:int",), args, kwargs)
        tensor, rank = only("send", given["tensors"]), given["dstRank"]
        return sure(point_to_point.isend(tensor, group=self, tag=given["tag"], group_dst=rank))

    def recv(self, *args: Any, **kwargs: Any) -> Work:
        """``recv([tensor], srcRank, tag)``: see `distrt.distributed.irecv`."""
        if _has_array(args, kwargs):
            return super().recv(*args, **kwargs)
        given = bind("recv", ("tensors:Tensors, srcRank:int, tag:int",), args, kwargs)
        tensor, rank = only("recv", given["tensors"]), given["srcRank"]
        return sure(point_to_point.irecv(tensor, group=self, tag=given["tag"], group_src=rank))

    def recv_anysource(self, tensors: Sequence[Tensor], tag: int) -> Work:
        """`recv` from whoever sends first; the work's ``source_rank()`` says who."""
        given = bind("recv_anysource", ("tensors:Tensors, tag:int",), (tensors, tag), {})
        return sure(
            point_to_point.irecv(only("recv_anysource", given["tensors"]), group=self, tag=given["tag"])
        )

    def barrier(self, *args: Any, **kwargs: Any) -> Work:
        """``barrier(opts)`` or ``barrier(timeout)``. Without arguments it returns when every rank has come."""
        if (not args and not kwargs) or "async_op" in kwargs or (args and isinstance(args[0], bool)):
            return super().barrier(*args, **kwargs)
        given = bind("barrier", ("opts:Options?", "timeout:timedelta?"), args, kwargs)
        work = super().barrier(async_op=True)
        work._result = []
        return timed(work, given)

    def monitored_barrier(self, timeout: timedelta | None = None, wait_all_ranks: bool = False) -> None:
        """See `distrt.distributed.monitored_barrier`."""
        from distrt.comm.functions.monitored import monitored_barrier  # rare

        monitored_barrier(self, timeout, wait_all_ranks)

    # The group itself.

    @property
    def options(self) -> GroupOptions:
        """The time-out and the names."""
        return GroupOptions(self)

    @property
    def supports_splitting(self) -> bool:
        """True: see `distrt.distributed.split_group`."""
        return True

    @property
    def supports_shrinking(self) -> bool:
        """True: see `distrt.distributed.shrink_group`."""
        return True

    @property
    def _device_types(self) -> list[Device]:
        return [Device(kind) for kind in BackendConfig(self.backend_asked).device_backend_map]

    def _get_backend(self, device: Device | str) -> ProcessGroup:
        """What serves a kind of device, which is the group itself.

        Raises:
            DistributedError: nothing does.
        """
        kind = Device(device).type if isinstance(device, str) else device.type
        if kind not in {each.type for each in self._device_types}:
            raise DistributedError(f"No backend type associated with device type {kind}")
        return self

    def _get_backend_name(self) -> str:
        return self.backend

    def _get_sequence_number_for_group(self) -> int:
        return self.sequence

    def _set_group_name(self, name: str) -> None:
        self.group_name = name

    def _set_group_desc(self, desc: str) -> None:
        self.group_desc = desc

    def get_group_store(self) -> Any:
        """The store that the script gave for the group.

        Raises:
            UnsupportedError: it gave none.
        """
        from distrt.comm.functions.plugins import get_group_store  # which knows groups of this class

        return get_group_store(self)

    def set_timeout(self, timeout: timedelta) -> None:
        """How long all later operations may wait."""
        if not isinstance(timeout, timedelta):
            raise TypeError(f"set_timeout(): timeout: expected a timedelta, got {type(timeout).__name__}")
        if timeout <= timedelta():
            raise DistributedError(f"set_timeout(): timeout must be positive, got {timeout}")
        self.timeout_s = self._engine.timeout_s = timeout.total_seconds()
        if self.gpu_lane is not None:
            self.gpu_lane.set_timeout(self.timeout_s)

    _set_default_timeout = set_timeout

    def abort(self) -> None:
        """Leave the group at once; ranks that wait for this one are told."""
        if self.gpu_lane is not None:
            self.gpu_lane.abort()
        self.close()

    def shutdown(self) -> None:
        """Leave the group."""
        self.close()

    def split_group(
        self,
        ranks: Sequence[int],
        timeout: timedelta | None = None,
        opts: Any = None,
        group_name: str | None = None,
        group_desc: str | None = None,
        device_types: Any = None,
    ) -> ArrayGroup | None:
        """The group of these of its ranks; None on the others. Names come from distrt; see `split_group`."""
        from distrt.comm.functions.subgroups import split_group  # it makes groups of this class

        return split_group(self, [list(ranks)], timeout, opts, group_desc)

    # Arguments.

    def _root(self, name: str, given: dict[str, Any]) -> int:
        root = int(given["root"] if "root" in given else getattr(given.get("opts"), "rootRank", 0))
        self._checks.rank(name, "root", root, role="root")
        return root

    @staticmethod
    def _all(works: Sequence[Work | None], given: dict[str, Any], tensors: Sequence[Tensor]) -> Work:
        if not works:
            raise NoKernelError("There were no tensor arguments to this function")
        work = Joined([sure(each) for each in works], timeout_of(given))
        work._result = list(tensors)
        return work


def _has_array(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call is one on arrays; `gather` has its own in the second place."""
    return "array" in kwargs or any(is_array(each) for each in args[:2])
