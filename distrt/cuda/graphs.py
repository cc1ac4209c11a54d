"""CUDA graphs: what a program gives a GPU to do is captured once, and replayed as one.

Kernels read and write the same memory at each replay: new data are copied into the tensors that were captured. Random
numbers are others each time, and optimizers count their steps, at each replay.
Source: https://docs.pytorch.org/docs/2.13/generated/torch.cuda.CUDAGraph.html
"""

from __future__ import annotations

import functools
import gc
import traceback
from typing import Any, NamedTuple

import numpy as np

from distrt.autograd import grad
from distrt.core import gpu
from distrt.core.autograd.function import Function
from distrt.core.errors import CaptureError
from distrt.core.gpu.capturing import Capture, capturing, refuse
from distrt.core.kernels import on_gpu
from distrt.core.modes import no_grad
from distrt.core.random.draws import draw_seed
from distrt.core.tensor import Tensor, wrap
from distrt.cuda.devices import cupy, synchronize
from distrt.cuda.memory import empty_cache
from distrt.cuda.stream import Stream, StreamContext, current_stream
from distrt.nn.modules.module import Module

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "make_graphed_callables"]

_MODES = ("global", "thread_local", "relaxed")


class _Pool(NamedTuple):
    """Memory that only graphs take from."""

    blocks: Any


def graph_pool_handle() -> Any:
    """Memory for several graphs, which are replayed in the order in which they were captured.

    Raises:
        DeviceMissing: without a GPU.
    """
    return _Pool(cupy().cuda.MemoryPool())


class CUDAGraph:
    """A graph of kernels: empty until it has been captured, by ``graph`` as a rule.

    What was allocated while it was captured stays the graph's own as long as the graph lives.

    Raises:
        DeviceMissing: without a GPU.
    """

    def __init__(self, keep_graph: bool = False) -> None:
        cupy()
        self._capture: Capture | None = None
        self._pool: _Pool | None = None
        self._graph: Any = None
        self._key: Any = None
        self._under: Any = None

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Begins to capture what goes into the current stream, which must not be the default one.

        Args:
            pool: of ``graph_pool_handle``, or of another graph: memory to share.
            capture_error_mode: accepted for compatibility: allocating is allowed, as in PyTorch.

        Raises:
            RuntimeError: in the default stream, while another graph is captured, and for a graph that has been.
        """
        if capture_error_mode not in _MODES:
            raise RuntimeError(
                f"Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, got {capture_error_mode}"
            )
        if self._graph is not None:
            raise RuntimeError("This CUDAGraph instance already owns a captured graph; call reset() before")
        if capturing.now is not None:
            raise RuntimeError("a CUDA graph is being captured by this thread; end that one before")
        stream = cupy().cuda.get_current_stream()
        if not stream.ptr:
            raise RuntimeError(
                "CUDA graphs must be captured on a non-default stream. (However, after capture, it's ok to replay them "
                "on the default stream.)"
            )
        self._pool = graph_pool_handle() if pool is None else pool
        self._capture = Capture()
        self._key = np.zeros(1, np.uint64, like=cupy().empty(0))
        self._under = cupy().cuda.using_allocator(gpu.memory.counting(self._pool.blocks.malloc))
        self._under.__enter__()
        _stage_nothing()
        stream.begin_capture()
        capturing.now, on_gpu.draws.moving.by = self._capture, self._key

    def capture_end(self) -> None:
        """Ends the capture.

        Raises:
            RuntimeError: where none has begun, or something broke it off.
        """
        if self._capture is None or capturing.now is not self._capture:
            raise RuntimeError("this CUDAGraph is not being captured: capture_begin() comes before")
        capturing.now, on_gpu.draws.moving.by = None, None
        try:
            self._graph = cupy().cuda.get_current_stream().end_capture()
        finally:
            self._under.__exit__(None, None, None)

    def replay(self) -> None:
        """Puts all that was captured into the current stream again.

        Raises:
            RuntimeError: for a graph that has not been captured.
        """
        if self._graph is None or self._capture is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        self._key.fill(draw_seed(None))
        for bring in self._capture.before_replay:
            bring()
        self._graph.launch()

    def reset(self) -> None:
        """Forgets what was captured, and gives its memory back."""
        self._graph = self._capture = self._pool = None

    def pool(self) -> Any:
        """The graph's memory, for another graph to share.

        Raises:
            RuntimeError: for a graph that has not been captured.
        """
        if self._pool is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding successful capture.")
        return self._pool


@functools.cache
def _stage_nothing() -> None:
    """Lets copies from the host be refused while a graph is captured: their memory would be another's at replay."""
    found = cupy().cuda
    pool = found.PinnedMemoryPool() if hasattr(found, "PinnedMemoryPool") else None

    def allocate(size: int) -> Any:
        refuse("a copy from the CPU", "the memory that it comes from is another's when the graph is replayed")
        return found.alloc_pinned_memory(size) if pool is None else pool.malloc(size)

    found.set_pinned_memory_allocator(allocate)


class graph:  # noqa: N801 - PyTorch's own spelling
    """A block that is captured: ``with cuda.graph(g): ...``.

    Args:
        cuda_graph: what it is captured into.
        pool: memory to share, see ``graph_pool_handle``.
        stream: where; one of its own if not given.
        capture_error_mode: see ``CUDAGraph.capture_begin``.
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        self.cuda_graph, self.pool, self.capture_error_mode = cuda_graph, pool, capture_error_mode
        self.capture_stream = Stream() if stream is None else stream
        self.stream_ctx = StreamContext(self.capture_stream)

    def __enter__(self) -> None:
        synchronize()
        gc.collect()
        empty_cache()
        self.stream_ctx.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.capture_error_mode)
        except BaseException:
            self.stream_ctx.__exit__()
            raise

    def __exit__(self, kind: Any, fault: BaseException | None, where: Any) -> None:
        try:
            self.cuda_graph.capture_end()
        except Exception as broken:
            if fault is None:
                raise CaptureError(f"the CUDA graph was not captured: {broken}") from broken
        finally:
            self.stream_ctx.__exit__()
        if fault is None:
            return
        self.cuda_graph.reset()  # half a graph is none
        if isinstance(fault, RuntimeError) and not isinstance(fault, CaptureError) and "aptur" in str(fault):
            raise CaptureError(f"{_culprit(where)} cannot be captured in a CUDA graph: {fault}") from fault


def _culprit(where: Any) -> str:
    """The operation that a user called, where an error came through."""
    for frame in traceback.extract_tb(where):
        if "/distrt/core/ops/" in frame.filename:
            return frame.name.strip("_")
    return "this"


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Modules or functions whose forward and backward passes are graphs.

    Each takes tensors of the shapes of its sample arguments, and gives the same memory at each call. Modules are
    changed, and given back.

    Args:
        callables: one, or a tuple of several that are called in this order.
        sample_args: a tuple of tensors, or one for each.
        num_warmup_iters: how often each is run before it is captured.
        allow_unused_input: whether an input without a gradient is no error.
        pool: memory to share.

    Raises:
        RuntimeError: for what is no tensor among the arguments, and under autocast with its cache.
    """
    is_single = not isinstance(callables, tuple)
    each, samples = ((callables,), (sample_args,)) if is_single else (callables, sample_args)
    shared = graph_pool_handle() if pool is None else pool
    made = [
        _graphed(one, args, num_warmup_iters, allow_unused_input, shared)
        for one, args in zip(each, samples, strict=True)
    ]
    return made[0] if is_single else tuple(made)


def _graphed(one: Any, sample: tuple[Tensor, ...], warmups: int, allow_unused: bool, pool: Any) -> Any:
    if not all(isinstance(each, Tensor) for each in sample):
        raise RuntimeError(
            "In the beta API, sample_args for each callable must contain only Tensors. Other types are not allowed."
        )
    parameters = tuple(one.parameters()) if isinstance(one, Module) else ()
    inputs = tuple(each.detach().requires_grad_(each.requires_grad) for each in sample)
    surface = (*inputs, *parameters)
    wanted = [each for each in surface if each.requires_grad]

    def passes() -> tuple[Any, tuple[Tensor, ...]]:
        found = one(*inputs)
        return found, (found,) if isinstance(found, Tensor) else tuple(found)

    side = Stream()
    side.wait_stream(current_stream())
    with StreamContext(side):
        for _ in range(warmups):
            _, outs = passes()
            if wanted:
                roots = [each for each in outs if each.requires_grad]
                grad(roots, wanted, [each.detach() for each in roots], allow_unused=allow_unused)
    current_stream().wait_stream(side)
    forward, backward = CUDAGraph(), CUDAGraph()
    with graph(forward, pool, side):
        result, outs = passes()
    roots = [each for each in outs if each.requires_grad]
    seeds = [wrap(np.zeros_like(each._array)) for each in roots]
    slopes: tuple[Tensor | None, ...] = ()
    if wanted and roots:
        with graph(backward, pool, side):
            slopes = grad(roots, wanted, seeds, allow_unused=allow_unused)
    by_leaf = iter(slopes)
    of_surface = [next(by_leaf, None) if each.requires_grad else None for each in surface]
    run = _replayed(forward, backward, inputs, outs, roots, seeds, of_surface)

    def call(*args: Tensor) -> Any:
        found = run.apply(*args, *parameters)
        return found[0] if isinstance(result, Tensor) else type(result)(found)

    if not isinstance(one, Module):
        return call
    original, was_training = one.forward, one.training

    def module_call(*args: Any) -> Any:
        return call(*args) if one.training == was_training else original(*args)

    one.forward = module_call  # type: ignore[method-assign]
    return one


def _replayed(
    ahead: CUDAGraph,
    back: CUDAGraph,
    inputs: tuple[Tensor, ...],
    outs: tuple[Tensor, ...],
    roots: list[Tensor],
    seeds: list[Tensor],
    slopes: list[Tensor | None],
) -> Any:
    """The function that copies its inputs to where they were captured, and replays."""

    class Replayed(Function):
        @staticmethod
        def forward(ctx: Any, *args: Tensor) -> tuple[Tensor, ...]:
            with no_grad():
                for place, given in zip(inputs, args, strict=False):
                    if place._array is not given._array:
                        place.copy_(given)
            ahead.replay()
            return tuple(each.detach() for each in outs)

        @staticmethod
        def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
            used = [g for g, out in zip(given, outs, strict=True) if out.requires_grad]
            with no_grad():
                for place, g in zip(seeds, used, strict=True):
                    place.copy_(g)
            back.replay()
            return tuple(None if each is None else each.detach() for each in slopes)

    return Replayed
