"""``Parameter`` and ``Buffer``: tensors that a module owns; and those whose shape is not known yet.

A parameter is trained, a buffer is state that is not. Assigning one as an attribute of a module registers it.
"""

from __future__ import annotations

from typing import Any, Self

from distrt.core.arrays import Array
from distrt.core.creation import empty
from distrt.core.errors import AutogradError, DtypeError
from distrt.core.overriding.dispatch import PLAIN, disabled
from distrt.core.tensor import Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type):
    """``isinstance(tensor, Parameter)`` holds for tensors of other classes as well that ``Parameter(...)`` made."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that becomes a module's parameter when it is assigned as an attribute.

    It shares the memory of ``data``, and requires grad unless told otherwise. Of a tensor of a subclass, it is
    another tensor of that subclass.
    """

    __torch_function__ = disabled

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """A leaf over the memory of ``data``; empty without it."""
        source: Any = empty(0) if data is None else data
        made: Any = source.detach()
        if requires_grad and made.dtype.category < 2:
            raise DtypeError("Only Tensors of floating point and complex dtype can require gradients")
        if type(source) in (Tensor, Parameter):
            return made.as_subclass(cls).requires_grad_(requires_grad)
        if type(made) is not type(source):
            raise AutogradError(
                f"Creating a Parameter from an instance of type {type(source).__name__} requires that detach() returns "
                f"an instance of the same type, but return type {type(made).__name__} was found instead. To use the "
                "type as a Parameter, please correct the detach() semantics defined by its __torch_dispatch__() "
                "implementation."
            )
        made.requires_grad_(requires_grad)
        made._is_param = True
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``__new__`` has filled it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A parameter with a copy of the values, and memory and gradient of its own: none."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]  # type: ignore[no-any-return]


PLAIN.add(Parameter)


class _BufferMeta(type):
    """``isinstance(tensor, Buffer)`` holds for the tensors that ``Buffer(...)`` made."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a module's buffer when it is assigned as an attribute.

    ``Buffer(data)`` shares the memory of ``data`` and has its class. With ``persistent=False`` it is no part of the
    state_dict.
    """

    __torch_function__ = disabled

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        """A leaf over the memory of ``data``; empty without it."""
        source = empty(0) if data is None else data
        made: Any = source.detach()
        if not isinstance(source, Parameter):
            made = made.as_subclass(type(source))
        made.requires_grad_(source.requires_grad)
        made.persistent, made._is_buffer = persistent, True
        return made


class UninitializedTensorMixin:
    """A tensor of a shape that is not known yet: it has a dtype and can be converted, and little else.

    ``materialize`` gives it a shape and makes it a usual tensor.
    """

    cls_to_become: type = Tensor

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Gives it memory, not initialised, of a shape; and another dtype, where one is given."""
        made = empty(shape, device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become
        self._array = made._array

    # Every operation on a tensor starts with its array, so that refusing it here refuses all.

    @property
    def _array(self) -> Array:
        raise ValueError(
            "Attempted to use an uninitialized parameter. This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{type(self).__name__}` objects. When using LazyModules Call "
            "`forward` with a dummy batch to initialize the parameters before calling torch functions"
        )

    @_array.setter
    def _array(self, value: Array) -> None:
        self.__dict__["_array"] = value

    @property
    def shape(self) -> Any:
        """Not there.

        Raises:
            RuntimeError: always.
        """
        raise AutogradError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    @property
    def data(self: Any) -> Any:
        """The same, outside the graph."""
        return self._like(self.dtype, requires_grad=False)

    @data.setter
    def data(self, value: Any) -> None:
        self._array = value.__dict__["_array"]

    @property
    def dtype(self) -> Any:
        """The element type that it will have."""
        return self._room().dtype

    @property
    def device(self) -> Any:
        """Where it will be."""
        return self._room().device

    def _room(self) -> Tensor:
        """The empty tensor that holds its dtype."""
        room = object.__new__(Tensor)
        room._array, room._counter = self.__dict__["_array"], [0]
        return room

    def _like(self: Any, dtype: Any, requires_grad: bool) -> Any:
        return type(self)(requires_grad, dtype=dtype)

    def share_memory_(self) -> Any:
        """Not possible.

        Raises:
            RuntimeError: always.
        """
        raise AutogradError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def copy_(self: Any, src: Tensor, non_blocking: bool = False) -> Any:
        """Nothing, where the other has no shape either.

        Raises:
            ValueError: for one that has.
        """
        return self if is_lazy(src) else self._array

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        return type(self), (self.requires_grad,)


def _on_room(name: str) -> Any:
    """The method of an uninitialised tensor that asks the empty one, or takes over the dtype that it converts to."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        room = self._room()
        found = getattr(room, name)(*args, **kwargs)
        if not isinstance(found, Tensor):
            return found
        return self if found is room else self._like(found.dtype, self.requires_grad)

    method.__name__ = name
    method.__doc__ = getattr(Tensor, name, method).__doc__
    return method


for _name in (
    "bfloat16 char cpu cuda double float get_device half int is_complex is_floating_point long short size to"
).split():
    setattr(UninitializedTensorMixin, _name, _on_room(_name))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter of a shape that is not known yet; ``materialize`` makes it a ``Parameter``."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        """One that will have this dtype."""
        return _without_shape(cls, requires_grad, device, dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Another one of the same dtype."""
        return memo.setdefault(id(self), self._like(self.dtype, self.requires_grad))


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer of a shape that is not known yet; ``materialize`` makes it a ``Tensor``."""

    __torch_function__ = disabled

    cls_to_become = Tensor
    persistent: bool

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        """One that will have this dtype."""
        made = _without_shape(cls, requires_grad, device, dtype)
        made.persistent, made._is_buffer = persistent, True
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``__new__`` has filled it."""

    def _like(self, dtype: Any, requires_grad: bool) -> Any:
        return type(self)(requires_grad, dtype=dtype, persistent=self.persistent)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Another one of the same dtype."""
        return memo.setdefault(id(self), self._like(self.dtype, self.requires_grad))


def _without_shape(cls: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    made: Any = object.__new__(cls)
    made._array, made._counter = empty(0, device=device, dtype=dtype)._array, [0]
    made.requires_grad_(requires_grad)
    return made


def is_lazy(param: Any) -> bool:
    """True for an uninitialised parameter or buffer."""
    return isinstance(param, UninitializedTensorMixin)
