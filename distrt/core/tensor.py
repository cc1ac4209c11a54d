"""``Tensor``: an array, its place in the graph, and its gradient.

The arithmetic lives in ``core/ops``; ``core/methods.py`` binds it to this class.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.autograd.node import RUNS_LAST, AccumulateGrad, Edge, RemovableHandle
from distrt.core.device import CPU, device
from distrt.core.errors import AutogradError, DtypeError, ShapeError
from distrt.core.modes import modes
from distrt.core.size import Size
from distrt.core.versions import INFERENCE, Counter


class Tensor:
    """A multi-dimensional array that can remember how it was computed.

    ``Tensor(data)`` makes a float32 tensor of nested lists, ``Tensor(2, 3)`` an uninitialised one of that size;
    ``distrt.tensor(data)`` is the usual way, and infers the dtype.
    """

    # Defaults live on the class, so that making a tensor sets two attributes only.
    _edge: Edge | None = None  # what made it: a leaf that requires grad has its accumulator here
    _leaf_edge: Edge | None = None  # its accumulator, kept while the leaf is frozen
    _base: Tensor | None = None  # the tensor that this one is a view of
    _grad: Tensor | None = None
    _grad_slot: Array | None = None  # where a bucket wants the gradient to be
    _array: Array
    _counter: Counter  # number of in-place changes, shared with views

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Makes room for a tensor; ``__init__`` fills it."""
        return object.__new__(cls)

    def __init__(self, *data: Any) -> None:
        if len(data) == 1 and not isinstance(data[0], int):
            given = data[0]._array if isinstance(data[0], Tensor) else data[0]
            self._array = np.array(given, dt.float32.numpy)
        else:
            self._array = np.empty(data, dt.float32.numpy)
        self._counter = [0]

    # -- what it is

    @property
    def shape(self) -> Size:
        """The size of each dim."""
        return Size(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The sizes, or the size of one dim."""
        return Size(self._array.shape) if dim is None else Size(self._array.shape)[dim]

    @property
    def dtype(self) -> dt.dtype:
        """The element type."""
        return dt.of(self._array)

    @property
    def device(self) -> device:
        """Where the memory is."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return int(self._array.ndim)

    def dim(self) -> int:
        """The number of dims."""
        return int(self._array.ndim)

    def numel(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    nelement = numel

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self._array.itemsize)

    def stride(self, dim: int | None = None) -> Any:
        """The step from one element to the next along each dim, in elements."""
        itemsize = self._array.itemsize or 1
        strides = tuple(step // itemsize for step in self._array.strides)
        return strides if dim is None else strides[dim]

    def is_contiguous(self) -> bool:
        """True where the elements stand in memory in row-major order."""
        return bool(self._array.flags.c_contiguous)

    def storage_offset(self) -> int:
        """Elements between the start of the memory that this tensor lies in and its first element."""
        return (self.data_ptr() - address_of(memory_of(self._array))) // (self._array.itemsize or 1)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return address_of(self._array)

    def is_floating_point(self) -> bool:
        """True for float16, bfloat16, float32 and float64."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """True for complex64 and complex128."""
        return self.dtype.is_complex

    @property
    def is_cuda(self) -> bool:
        """True for a tensor on a GPU."""
        return False

    def is_inference(self) -> bool:
        """True for a tensor that was made under ``inference_mode``."""
        return self._counter is INFERENCE

    @property
    def _version(self) -> int:
        if self._counter is INFERENCE:
            raise AutogradError("Inference tensors do not track version counter.")
        return int(self._counter[0])

    # -- its place in the graph

    @property
    def requires_grad(self) -> bool:
        """True where operations on this tensor are recorded."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switches recording on or off for a leaf; returns self.

        Raises:
            DtypeError: for an integer or bool tensor.
            AutogradError: for a tensor that an operation made.
        """
        if not self.is_leaf:
            if requires_grad:
                return self
            raise AutogradError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                "in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and self.dtype.category < 2:
            raise DtypeError(
                f"only Tensors of floating point and complex dtype can require gradients; this one is {self.dtype}"
            )
        if requires_grad and self.is_inference() and not modes.inference:
            raise AutogradError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
            )
        if requires_grad and self._edge is None:
            if self._leaf_edge is None:
                self._leaf_edge = (AccumulateGrad(self), 0)
            self._edge = self._leaf_edge  # the same one after a freeze: its hooks are kept
        elif not requires_grad:
            self._edge = None
        return self

    @property
    def is_leaf(self) -> bool:
        """True for a tensor that no recorded operation made."""
        return self._edge is None or type(self._edge[0]) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        """The node of the operation that made this tensor; None for a leaf."""
        return None if self.is_leaf else self._edge[0]  # type: ignore[index]

    @property
    def output_nr(self) -> int:
        """Which output of its operation this tensor is."""
        return 0 if self._edge is None else self._edge[1]

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up; None before the first."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got {type(value).__name__}"
                )
            if value._array.shape != self._array.shape:
                raise ShapeError(
                    f"assigned grad has data of a different size: {list(value.shape)} for a tensor of "
                    f"{list(self.shape)}"
                )
            if value._array.dtype != self._array.dtype:
                raise DtypeError(
                    f"assigned grad has data of a different type: {value.dtype} for a tensor of {self.dtype}"
                )
        self._grad = value

    @property
    def data(self) -> Tensor:
        """The same memory, outside the graph and outside the check on in-place changes."""
        return wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        self._array = value._array

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Adds the gradient of this tensor with respect to every leaf to the leaf's ``.grad``.

        Args:
            gradient: what this tensor's own gradient is; 1 for a tensor of one element when not given.
            retain_graph: keep the graph for another pass. Default: the value of ``create_graph``.
            create_graph: record the pass itself, so that the gradients can be differentiated.
            inputs: the leaves to add to; all when not given.
        """
        from distrt.core.autograd import roots

        roots.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        outside = wrap(self._array)
        outside._counter = self._counter
        return outside

    def detach_(self) -> Tensor:
        """Takes this tensor itself out of the graph.

        Raises:
            AutogradError: for a view, whose place in the graph follows its base's.
        """
        if self._base is not None and self._edge is not None:
            raise AutogradError("Can't detach views in-place. Use detach() instead.")
        self._edge = None
        return self

    def retain_grad(self) -> None:
        """Keeps the gradient of a tensor that is no leaf in its ``.grad``."""
        if self._edge is None:
            raise AutogradError("can't retain_grad on Tensor that has requires_grad=False")
        node, number = self._edge
        if isinstance(node, AccumulateGrad):
            return
        itself = weakref.ref(self)

        def keep(gradient: Tensor) -> None:
            tensor = itself()
            if tensor is not None:
                tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient

        node.hooks_of(number)[RUNS_LAST] = keep

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls ``hook(gradient)`` when this tensor's gradient is known; what it returns replaces the gradient."""
        if self._edge is None:
            raise AutogradError("cannot register a hook on a tensor that doesn't require gradient")
        node, number = self._edge
        return RemovableHandle(node.hooks_of(number), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Calls ``hook(tensor)`` each time a backward pass has added to this leaf's ``.grad``."""
        if self._edge is None or not isinstance(self._edge[0], AccumulateGrad):
            raise AutogradError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return RemovableHandle(self._edge[0].post_hooks, hook)

    # -- out of distrt

    def numpy(self, *, force: bool = False) -> Array:
        """The NumPy array of the same memory.

        Raises:
            AutogradError: for a tensor that requires grad, unless ``force``.
        """
        if self.requires_grad and not force:
            raise AutogradError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype, copy=copy)

    def item(self) -> Any:
        """The one element, as a Python number."""
        if self._array.size != 1:
            raise ShapeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists, or as one number for a 0-d tensor."""
        return self._array.tolist()

    def _only(self) -> Any:
        if self._array.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars; this one has {self._array.size}"
            )
        return self._array.item()

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def __complex__(self) -> complex:
        return complex(self._only())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise ShapeError(
                "Boolean value of Tensor with "
                + ("no values" if self._array.size == 0 else "more than one value")
                + f" is ambiguous; its shape is {list(self.shape)}"
            )
        return bool(self._array.item())

    def __index__(self) -> int:
        if self._array.size != 1 or self.dtype.category > 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Any:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[number] for number in range(len(self._array))])

    def __contains__(self, element: Any) -> bool:
        given = element._array if isinstance(element, Tensor) else element
        return bool((self._array == given).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.ndim == 0 else str(self)

    def __repr__(self) -> str:
        from distrt.core.printing import text_of

        return text_of(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise AutogradError("only leaf tensors can be pickled or deep-copied: use .detach() first")
        return _rebuild, (type(self), self._array, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        if not self.is_leaf:
            raise AutogradError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment."
            )
        copied = _rebuild(type(self), self._array.copy(), self.requires_grad)
        if self._grad is not None:
            copied._grad = wrap(self._grad._array.copy())
        memo[id(self)] = copied
        return copied

    __hash__ = object.__hash__

    if TYPE_CHECKING:  # bound by core/methods.py

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...


def wrap(array: Array, edge: Edge | None = None) -> Tensor:
    """A tensor of this very array."""
    tensor: Tensor = object.__new__(Tensor)
    tensor._array = array
    tensor._counter = [0]
    tensor._edge = edge
    return tensor


def memory_of(array: Array) -> Array:
    """The array whose memory this one lies in: itself, or what it is a view of in the end."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def address_of(array: Array) -> int:
    """The address of the first element."""
    return int(array.__array_interface__["data"][0])


def _rebuild(cls: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    tensor: Tensor = object.__new__(cls)
    tensor._array = array
    tensor._counter = [0]
    return tensor.requires_grad_(requires_grad)
