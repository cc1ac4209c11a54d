"""Parametrizations: a parameter that is computed from others whenever it is read.

``register_parametrization(layer, "weight", module)`` moves ``layer.weight`` to
``layer.parametrizations.weight.original`` and gives the layer's class a property ``weight`` that calls the module on
it. The class is one of its own from then on, ``ParametrizedLinear``, made for this layer alone.
"""

from __future__ import annotations

import contextlib
import copy
import copyreg
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.modules.container import ModuleDict, ModuleList
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

#: Inside ``cached()``, what was computed already, by module and name.
_CACHE: ContextVar[dict[tuple[int, str], Tensor] | None] = ContextVar("distrt_parametrizations", default=None)


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed once, when it is first read."""
    if _CACHE.get() is not None:
        yield
        return
    token = _CACHE.set({})
    try:
        yield
    finally:
        _CACHE.reset(token)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other, and what they are applied to.

    That is ``original``, or ``original0``, ``original1``, … where the ``right_inverse`` of the first returns several
    tensors. Made by :func:`register_parametrization`.

    Args:
        modules: the parametrizations.
        original: the tensor as it was.
        unsafe: they may change its shape and dtype, and are not tried out.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        found = self._start(original)
        self.is_tensor = isinstance(found, Tensor)
        self.ntensors = 1 if self.is_tensor else len(found)
        if self.is_tensor:
            if found.dtype != dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {dtype}\nright_inverse(original).dtype: {found.dtype}"
                )
            original.data = found
            _register(self, "original", original)
        else:
            for number, each in enumerate(found):
                self._register_one_of_several(number, each, original)
        if not unsafe:
            computed = self()
            _require_tensor(computed)
            _require_same(
                "Registering a parametrization may not change the {0} of the tensor, unless `unsafe` flag is enabled.",
                "unparametrized {0}",
                "parametrized {0}",
                (dtype, shape),
                computed,
            )

    def _start(self, original: Tensor) -> Any:
        """What the right inverses make of the tensor, the last one first; those without one leave it as it is."""
        found: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with contextlib.suppress(NotImplementedError):
                        found = module.right_inverse(found)
        if not isinstance(found, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(found).__name__}"
            )
        return found

    def _register_one_of_several(self, number: int, given: Any, original: Tensor) -> None:
        if not isinstance(given, Tensor):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got element {number} of the sequence with type {type(given).__name__}."
            )
        if isinstance(original, Parameter):
            given = Parameter(given, original.requires_grad)
        given.requires_grad_(original.requires_grad)
        _register(self, f"original{number}", given)

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the parametrized tensor becomes ``value``.

        Raises:
            RuntimeError: where a parametrization has no ``right_inverse``.
            ValueError: where one returns something else than before.
        """
        found: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                found = module.right_inverse(found)
        if self.is_tensor:
            self._set_original(found)
        else:
            self._set_originals(found)

    def _set_original(self, found: Any) -> None:
        if not isinstance(found, Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(found).__name__}")
        if found.dtype != self.original.dtype:
            raise ValueError(
                f"The tensor returned by `right_inverse` has dtype {found.dtype} while `original` has dtype "
                f"{self.original.dtype}"
            )
        self.original.data = found

    def _set_originals(self, found: Any) -> None:
        if not isinstance(found, Sequence):
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors. Got {type(found).__name__}."
            )
        if len(found) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                f"length {len(found)}."
            )
        for number, each in enumerate(found):
            if not isinstance(each, Tensor):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors or reference-type opaques. Got element "
                    f"{number} of type {type(each).__name__}."
                )
            original = getattr(self, f"original{number}")
            if each.dtype != original.dtype:
                raise ValueError(
                    f"Tensor {number} returned by `right_inverse` has dtype {each.dtype} while `original{number}` has "
                    f"dtype {original.dtype}"
                )
            original.data = each

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        first, *others = self
        if self.is_tensor:
            found = first(self.original)
        else:
            found = first(*[getattr(self, f"original{number}") for number in range(self.ntensors)])
        for module in others:
            found = module(found)
        return found  # type: ignore[no-any-return]


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _require_tensor(value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")


def _require_same(said: str, before: str, after: str, expected: tuple[Any, Any], found: Tensor) -> None:
    """Holds dtype and shape of a tensor against those expected; ``{0}`` in the texts is which of them differs."""
    for what, old, new in zip(("dtype", "shape"), expected, (found.dtype, found.shape), strict=True):
        if old != new:
            raise ValueError(f"{said}\n{before}: {old}\n{after}: {new}".replace("{0}", what))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Lets a parameter or buffer of a module be computed by ``parametrization`` from now on; returns the module.

    Several are applied in the order of their registration. A method ``right_inverse`` of the parametrization says
    what the original has to be for a given value: it is called on the tensor as it is now, and when the tensor is
    assigned to. It may return several tensors, which are all trained then.

    Args:
        module: whose tensor it is.
        tensor_name: its name.
        parametrization: a module that maps a tensor to a tensor.
        unsafe: it may change the tensor's shape and dtype, and is not tried out.

    Raises:
        ValueError: for a name that the module does not have, or a parametrization that changes shape or dtype.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _try_out(module, tensor_name, parametrization)
        several = module.parametrizations[tensor_name]
        several.append(parametrization)
        several.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        made = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.__class__ = _class_of_its_own(type(module))
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _computed(tensor_name))
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _try_out(module: Module, name: str, parametrization: Module) -> None:
    """Holds what a further parametrization makes of the tensor against it."""
    now = getattr(module, name)
    computed = parametrization(now)
    _require_tensor(computed)
    expected = (now.dtype, now.shape)
    said = "Registering a parametrization may not change the {0} of the tensor, unless the `unsafe` flag is enabled."
    _require_same(said, f"module.{name}.{{0}}", f"parametrization(module.{name}).{{0}}", expected, computed)
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        inverted = parametrization.right_inverse(computed)
    except NotImplementedError:
        return
    if not isinstance(inverted, Tensor):
        raise ValueError(
            f"parametrization.right_inverse must return a tensor. Got: {type(inverted).__name__}"
        )
    said = (
        f"The tensor returned by parametrization.right_inverse must have the same {{0}} as module.{name}, unless the "
        "`unsafe` flag is enabled."
    )
    _require_same(said, f"module.{name}.{{0}}", "returned {0}", expected, inverted)


def _class_of_its_own(kind: type[Module]) -> type[Module]:
    """A class for one module, which gets the properties that compute its parametrized tensors."""
    methods: dict[str, Any] = {"__getstate__": _refuse_to_pickle}
    if not hasattr(kind, "__deepcopy__"):
        methods["__deepcopy__"] = _deepcopy  # the usual one would ask __getstate__
    return type(f"Parametrized{kind.__name__}", (kind,), methods)


def _refuse_to_pickle(self: Module) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    copied = type(self).__new__(type(self))
    memo[id(self)] = copied
    copied.__dict__ = copy.deepcopy(self.__dict__, memo)
    for slot in copyreg._slotnames(type(self)):  # type: ignore[attr-defined]
        if hasattr(self, slot):
            setattr(copied, slot, copy.deepcopy(getattr(self, slot), memo))
    return copied


def _computed(name: str) -> property:
    """The property in a parametrized tensor's place: computed when it is read, its originals set when assigned to."""

    def get(self: Module) -> Tensor:
        known = _CACHE.get()
        if known is None:
            return self.parametrizations[name]()  # type: ignore[no-any-return]
        key = (id(self), name)
        if key not in known:
            known[key] = self.parametrizations[name]()
        return known[key]

    def put(self: Module, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a parametrization, of the tensor with this name where one is given."""
    several = getattr(module, "parametrizations", None)
    if not isinstance(several, ModuleDict):
        return False
    return len(several) > 0 if tensor_name is None else tensor_name in several


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes the tensor an ordinary one again; returns the module, whose class is its old one with the last of them.

    Args:
        module: whose tensor it is.
        tensor_name: its name.
        leave_parametrized: keep the value that it has now; otherwise the original comes back.

    Raises:
        ValueError: for a tensor that is not parametrized, or an original that is several tensors.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    several = module.parametrizations[tensor_name]
    if several.is_tensor:
        restored = several.original
        if leave_parametrized:
            with no_grad():
                restored.data = getattr(module, tensor_name)
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        restored = Parameter(value) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, restored)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class, or what it was before the first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives ``to_module`` the parametrizations of another, and their originals; returns it.

    Args:
        from_module: whose they are.
        to_module: gets them; tensors that it does not have are made.
        tensor_name: the only tensor to treat; all parametrized ones without it.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in from_module.parametrizations if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        source = from_module.parametrizations[name]
        for each in source:
            register_parametrization(to_module, name, each)
        originals = ["original"] if source.is_tensor else [f"original{n}" for n in range(source.ntensors)]
        for original in originals:
            setattr(to_module.parametrizations[name], original, getattr(source, original))
    return to_module
