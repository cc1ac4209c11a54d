"""``Tensor``: an array, its place in the graph, and its gradient.

The arithmetic lives in ``core/ops``; ``core/tensors/methods.py`` binds it to this class.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from distrt.core.arrays import Array
from distrt.core.arrays import address_of as address_of
from distrt.core.arrays import memory_of as memory_of
from distrt.core.autograd.node import RUNS_LAST, AccumulateGrad, Edge, RemovableHandle
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError, DeviceError, DtypeError, ShapeError
from distrt.core.layouts import PlainArray, is_channels_last
from distrt.core.modes import modes
from distrt.core.overriding.dispatch import Overridable
from distrt.core.process.users_code import warn
from distrt.core.storage.copying import Copying
from distrt.core.storage.memory import keep_freed_memory
from distrt.core.tensors.attributes import Attributes
from distrt.core.tensors.bound import Bound
from distrt.core.tensors.construct import constructed
from distrt.core.tensors.interchange import Interchange
from distrt.core.tensors.python_values import PythonValues
from distrt.core.tensors.versions import Counter

keep_freed_memory()


class Tensor(Attributes, PythonValues, Copying, Interchange, Overridable, Bound):
    """A multi-dimensional array that can remember how it was computed.

    ``Tensor(data)`` makes a float32 tensor of nested lists, ``Tensor(2, 3)`` an uninitialised one of that size;
    ``distrt.tensor(data)`` is the usual way, and infers the dtype.
    """

    # Defaults live on the class, so that making a tensor sets two attributes only.
    _edge: Edge | None = None  # what made it: a leaf that requires grad has its accumulator here
    _leaf_edge: Edge | None = None  # its accumulator, kept while the leaf is frozen
    _base: Tensor | None = None  # the tensor that this one is a view of
    _one_of_several: tuple[str, int] | None = (
        None  # where it is one of the views that split and its kin return
    )
    _made_without_grad = False  # a view that was made while grad mode was off, or a view of such a one
    _grad: Tensor | None = None
    _grad_slot: Array | None = None  # where a bucket wants the gradient to be
    _updater: Any = None  # what updates it together with other ranks (distrt.optim.updating)
    _inner: Array | None = None  # the elements in an order of the kernels' own, which nobody has seen yet
    _array: Array = PlainArray()
    _counter: Counter  # number of in-place changes, shared with views

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Room for a tensor, which ``__init__`` fills; one of a subclass, whose ``__init__`` may be any, is filled."""
        if cls is Tensor:
            return object.__new__(cls)
        if len(args) == 1 and isinstance(args[0], Tensor) and not kwargs:
            return args[0].as_subclass(cls)
        made = object.__new__(cls)
        Tensor.__init__(made, *args, **kwargs)
        return made

    def __init__(self, *data: Any, **options: Any) -> None:
        if "_counter" in self.__dict__:
            return
        self._array = constructed(dt.default.floating, data, options)
        self._counter = [0]

    # -- its place in the graph

    @property
    def requires_grad(self) -> bool:
        """True where operations on this tensor are recorded."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise RuntimeError(f"requires_grad must be a bool, got {wanted!r}")
        if wanted and self.is_leaf and self.dtype.category < 2:
            raise DtypeError("only Tensors of floating point and complex dtype can require gradients")
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switches recording on or off for a leaf; returns self.

        Raises:
            DtypeError: for an integer or bool tensor.
            AutogradError: for a tensor that an operation made.
        """
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        if not self.is_leaf:
            if requires_grad:
                return self
            raise AutogradError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and self.dtype.category < 2:
            raise DtypeError(
                f"only Tensors of floating point dtype can require gradients; this one is {self.dtype}"
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
        if self._grad is None and self._edge is not None and not self.is_leaf and not self.retains_grad:
            warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't be populated during autograd.backward(). If you indeed want the .grad field to be populated "
                "for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor."
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value is self:
                raise AutogradError("can't assign Variable as its own grad")
            if value._array.shape != self._array.shape:
                raise ShapeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                    f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are the same size"
                )
            if value._array.dtype != self._array.dtype:
                raise DtypeError(
                    f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor of dtype '{self.dtype}'. "
                    "The gradient must match the tensor's dtype: convert it with .to(dtype)"
                )
            if value._array.__class__ is not self._array.__class__ and value.device != self.device:
                raise DeviceError(
                    f"attempting to assign a gradient with device type '{value.device.type}' to a tensor with device "
                    f"type '{self.device.type}'. Please ensure that the gradient and the tensor are on the same device"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """The same memory, outside the graph and outside the check on in-place changes."""
        return wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._edge is not None and value.dtype.category < 2:
            raise DtypeError(
                "data set to a tensor that requires gradients must be floating point or complex dtype"
            )
        self._array, self._inner = value._array, None

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
        if self._base is not None:
            raise AutogradError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
                "detach_() cannot be called on these gradients. To fix this error, please refer to the "
                "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
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
                tensor._grad = gradient.clone() if tensor._grad is None else tensor._grad + gradient

        node.hooks_of(number)[RUNS_LAST] = keep

    def _is_view(self) -> bool:
        return self._base is not None

    def _alike(self, array: Array) -> Tensor:
        """A tensor of this very array, for what is made after this one; subclasses may tell more than values."""
        return wrap(array)

    def _whole(self) -> Tensor:
        """This tensor; a subclass may have a part of it only."""
        return self

    def _as_gradient(self, gradient: Tensor) -> Tensor:
        """What a pass has found for this tensor; subclasses may tell more than values."""
        return gradient

    def _as_root(self, gradient: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Where a pass starts that is asked to start here, with this gradient; subclasses may have another place."""
        return self, gradient

    @property
    def retains_grad(self) -> bool:
        """True for a tensor that is no leaf and keeps its gradient."""
        if self.is_leaf:
            return False
        node, number = self._edge  # type: ignore[misc]
        return RUNS_LAST in (node.hooks or {}).get(number, {})

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls ``hook(gradient)`` when this tensor's gradient is known; what it returns replaces the gradient."""
        if self._edge is None:
            raise AutogradError("cannot register a hook on a tensor that doesn't require gradient")
        node, number = self._edge
        return RemovableHandle(node.hooks_of(number), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Calls ``hook(tensor)`` each time a backward pass has added to this leaf's ``.grad``."""
        if self._edge is None:
            raise AutogradError("cannot register a hook on a tensor that doesn't require gradient")
        if not isinstance(self._edge[0], AccumulateGrad):
            raise AutogradError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return RemovableHandle(self._edge[0].post_hooks, hook)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        from distrt.core.tensors.printing import text_of

        return text_of(self, tensor_contents)

    __hash__ = object.__hash__


def wrap(array: Array, edge: Edge | None = None) -> Tensor:
    """A tensor of this very array."""
    tensor: Tensor = object.__new__(Tensor)
    tensor._array = array
    tensor._counter = [0]
    tensor._edge = edge
    return tensor


def wrap_unseen(array: Array, edge: Edge | None = None) -> Tensor:
    """A tensor of this array, which may lie with its channels last without that being the tensor's own order."""
    if not is_channels_last(array):
        return wrap(array, edge)
    tensor: Tensor = object.__new__(Tensor)
    tensor._inner = array
    tensor._counter = [0]
    tensor._edge = edge
    return tensor
