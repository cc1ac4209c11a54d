"""``Conversion``: parameters and buffers in another dtype, on another device or in another memory format, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from distrt.core.creation import empty_like
from distrt.core.device import device as device_type
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import NoDataError
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.core.tensors.formats import memory_format as format_type
from distrt.core.tensors.swapping import swap_tensors
from distrt.nn.modules.walking import Walking
from distrt.nn.parameter import Parameter

_FORMS = """\
 * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, *, \
torch.memory_format memory_format = None)
 * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)
 * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)
"""


class _Ways:
    """How converted parameters come into modules; ``torch.__future__`` sets it.

    Attributes:
        overwrites: the module gets new parameters.
        swaps: a parameter changes places with the converted one.
    """

    overwrites = False
    swaps = False


ways = _Ways()


def _converted(parameter: Parameter, fn: Callable[[Any], Any]) -> Parameter:
    """What stands for a parameter after its conversion, where that is not its own memory replaced."""
    gradient, made = parameter.grad, Parameter(fn(parameter), parameter.requires_grad)
    if gradient is not None:
        made.grad = fn(gradient)
    if not ways.swaps:
        return made
    if gradient is not None and made.grad is not None and made.grad is not gradient:
        converted = made.grad
        made._grad = gradient  # the gradient stays the same object, too
        swap_tensors(gradient, converted)
    swap_tensors(parameter, made)
    return parameter


class Conversion(Walking):
    """What changes all tensors of a module; a parameter stays the same object."""

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Replaces what every parameter, gradient and buffer holds by what ``fn`` makes of it; returns self."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            with no_grad():
                if ways.swaps or ways.overwrites:
                    self._parameters[name] = _converted(parameter, fn)
                    continue
                parameter.data = fn(parameter)
                if parameter.grad is not None:
                    parameter.grad.data = fn(parameter.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves parameters and buffers to a device, and the floating-point and complex ones to a dtype.

        ``to(device, dtype)``, ``to(dtype)``, ``to(tensor)``, each followed by ``non_blocking``; and
        ``to(memory_format=torch.channels_last)``, which arranges those with four or five dims.

        Returns:
            This module.

        Raises:
            TypeError: for a dtype of integers.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        if dtype is not None and dtype.is_complex:
            warn(
                "Complex modules are a new feature under active development whose design may change, and some "
                "modules might not work as expected when using complex tensors as parameters or buffers. Please file "
                "an issue at https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a complex "
                "module does not work as expected."
            )

        def convert(tensor: Any) -> Any:
            wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, wanted, non_blocking, memory_format=memory_format)
            try:
                return tensor.to(device, wanted, non_blocking)
            except NoDataError as error:
                raise NoDataError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module "
                    "from meta to a different device."
                ) from None

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Gives parameters and buffers new memory, not initialised, on a device; returns self."""
        place = require_available(device)
        return self._apply(lambda tensor: empty_like(tensor, device=device and place), recurse=recurse)

    def cpu(self) -> Self:
        """Moves everything to the CPU; returns self."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Moves everything to a GPU; returns self."""
        place = require_available("cuda" if device is None else device)
        return self._apply(lambda tensor: tensor.cuda(place))

    def ipu(self, device: Any = None) -> Self:
        """Moves everything to an IPU, which is never there.

        Raises:
            DeviceError: always.
        """
        return self.to("ipu")

    def xpu(self, device: Any = None) -> Self:
        """Moves everything to an XPU, which is never there.

        Raises:
            DeviceError: always.
        """
        return self.to("xpu")

    def mtia(self, device: Any = None) -> Self:
        """Moves everything to an MTIA device, which is never there.

        Raises:
            DeviceError: always.
        """
        return self.to("mtia")

    def type(self, dst_type: Any) -> Self:
        """Makes all parameters and buffers, integers as well, that type; returns self."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self) -> Self:
        """Makes the floating-point parameters and buffers float32; returns self."""
        return self._apply(_cast("float"))

    def double(self) -> Self:
        """Makes the floating-point parameters and buffers float64; returns self."""
        return self._apply(_cast("double"))

    def half(self) -> Self:
        """Makes the floating-point parameters and buffers float16; returns self."""
        return self._apply(_cast("half"))

    def bfloat16(self) -> Self:
        """Makes the floating-point parameters and buffers bfloat16; returns self."""
        return self._apply(_cast("bfloat16"))

    def share_memory(self) -> Self:
        """Moves everything to memory that child processes share; returns self."""
        return self._apply(lambda tensor: tensor.share_memory_())


def _cast(method: str) -> Callable[[Any], Any]:
    return lambda tensor: getattr(tensor, method)() if tensor.is_floating_point() else tensor


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """The device, the dtype, non_blocking and the memory format that the arguments of ``to`` ask for."""
    form = _form(args, kwargs)
    if form is None or len(args) > len(form):
        raise _no_form(args, kwargs)
    given = dict(zip(form, args, strict=False))
    memory_format = kwargs.get("memory_format")
    named = {name: value for name, value in kwargs.items() if name != "memory_format"}
    if set(named) - set(form) or set(named) & set(given):
        raise _no_form(args, kwargs)
    given |= named
    if not isinstance(memory_format, format_type | None) or not all(
        _fits(name, value) for name, value in given.items()
    ):
        raise _no_form(args, kwargs)
    if given.get("copy"):
        raise RuntimeError(".to() does not accept copy argument")
    like = given.get("tensor")
    device, dtype = given.get("device"), given.get("dtype")
    if like is not None:
        device, dtype = like.device, like.dtype
    if device is not None:
        require_available(device)
    if dtype is not None:
        dtype = dt.known(dt.to_numpy(dtype))
    return device, dtype, bool(given.get("non_blocking")), memory_format


def _form(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...] | None:
    """The names of the positional arguments, which the first one tells."""
    rest = ("non_blocking", "copy")
    if "tensor" in kwargs or (args and isinstance(args[0], Tensor)):
        return ("tensor", *rest)
    if args and _is_dtype(args[0]):
        return ("dtype", *rest)
    return ("device", "dtype", *rest)


def _fits(name: str, value: Any) -> bool:
    if name == "tensor":
        return isinstance(value, Tensor)
    if name == "dtype":
        return value is None or _is_dtype(value)
    if name == "device":
        return value is None or (isinstance(value, str | int | device_type) and not isinstance(value, bool))
    return isinstance(value, bool)


def _is_dtype(value: Any) -> bool:
    return isinstance(value, dt.dtype) or value in (float, int, bool, complex)


def _no_form(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError:
    kinds = [_kind(each) for each in args] + [f"{name}={_kind(each)}" for name, each in kwargs.items()]
    got = ", ".join(kinds) + (", " if kwargs else "")
    return TypeError(
        f"to() received an invalid combination of arguments - got ({got}), but expected one of:\n{_FORMS}"
    )


def _kind(value: Any) -> str:
    prefix = "torch." if isinstance(value, dt.dtype | device_type | format_type) else ""
    return prefix + type(value).__name__
