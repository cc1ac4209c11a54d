"""``torch.ops.NAMESPACE.NAME``: operations by PyTorch's internal names, for scripts that call or list them.

``aten`` leads to the public function, or method, of the name; other namespaces hold what users define
(``distrt/library.py``). A name that is PyTorch's own and has no function here can be named, in a policy or a table, and
not called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Self

from distrt.core.errors import UnsupportedError
from distrt.core.overriding.doors import Door

#: Names of PyTorch's own kernels, which policies of checkpointing and tables of counts mention.
_NAMED_ONLY = frozenset(
    "convolution convolution_backward _convolution native_layer_norm native_batch_norm _softmax _log_softmax "
    "native_group_norm max_pool2d_with_indices upsample_nearest2d _to_copy _unsafe_view _scaled_mm cudnn_convolution "
    "_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_backward "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_efficient_attention_backward "
    "_scaled_dot_product_cudnn_attention _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_flash_attention_for_cpu_backward _flash_attention_forward _efficient_attention_forward "
    "threshold_backward gelu_backward native_dropout".split()
)

_OVERLOADS = frozenset(
    "default Tensor Scalar Tensor_Tensor Tensor_Scalar Scalar_Tensor Tensor_mode Scalar_mode int dim dim_IntList dims "
    "self other out dim_max dim_min names correction ScalarSelf ScalarOther float str dtype".split()
)


class OpOverload:
    """One signature of an operation; calling it is calling the operation."""

    def __init__(self, packet: OpOverloadPacket, overload: str) -> None:
        self.overloadpacket, self._overloadname = packet, overload
        self.namespace = packet.namespace
        self.__name__ = f"{packet.__name__}.{overload}"
        self.__qualname__ = self.__name__
        self.__module__ = f"torch._ops.{packet.namespace}"
        self._schema: Any = None  # of an operation that users define
        self._door = Door(packet._function, self, is_operator=False, is_scanned=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation; classes and modes may take it over."""
        return self._door.open(args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: an operation is one."""
        return self

    def name(self) -> str:
        """As in ``aten::add.Tensor``."""
        packet = self.overloadpacket
        overload = "" if self._overloadname == "default" else f".{self._overloadname}"
        return f"{packet.namespace}::{packet.__name__}{overload}"

    def __str__(self) -> str:
        return f"{self.namespace}.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self.overloadpacket}', overload='{self._overloadname}')>"


class OpOverloadPacket:
    """An operation under one name, with all its signatures."""

    def __init__(self, namespace: str, name: str, function: Callable[..., Any]) -> None:
        self.namespace, self.__name__, self._function = namespace, name, function
        self._made: dict[str, OpOverload] = {}
        self._door = Door(function, self, is_operator=False, is_scanned=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation; classes and modes may take it over."""
        return self._door.open(args, kwargs)

    def __getattr__(self, overload: str) -> OpOverload:
        if overload not in _OVERLOADS:
            raise AttributeError(f"The underlying op of '{self}' has no overload name '{overload}'")
        return self._made.get(overload) or self._made.setdefault(overload, OpOverload(self, overload))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: an operation is one."""
        return self

    def overloads(self) -> list[str]:
        """The signatures that were asked for so far, and the first one."""
        return sorted({"default", *self._made})

    def __str__(self) -> str:
        return f"{self.namespace}.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self}')>"


class Namespace:
    """The operations of one namespace: those that were defined, and for ``aten`` the public functions."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        if name.startswith("__"):
            raise AttributeError(name)
        function = _public(name) if self._name == "aten" else None
        if function is None:
            raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")
        made = OpOverloadPacket(self._name, name, function)
        setattr(self, name, made)
        return made

    def __repr__(self) -> str:
        return f"<module 'torch.ops.{self._name}'>"


def _public(name: str) -> Callable[..., Any] | None:
    """The function, or else the method, that does what an operation of PyTorch's does."""
    home = importlib.import_module("distrt")
    for place in (home, home.nn.functional, home.Tensor):
        found = getattr(place, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    return _refusing(name) if name in _NAMED_ONLY else None


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(
            f"torch.ops.aten.{name} can be named, not called: use the function that does the same"
        )

    return refuse


#: Every namespace that was named.
namespaces: dict[str, Namespace] = {}


def namespace(name: str) -> Namespace:
    """The namespace of a name."""
    return namespaces.setdefault(name, Namespace(name))


aten: Any = namespace("aten")
