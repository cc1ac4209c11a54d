"""``Module``: parameters, buffers and submodules by name, and what follows from that."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from distrt.core import dtype as dt
from distrt.core.device import device as device_type
from distrt.core.device import require_available
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.parameter import Parameter

__all__ = ["Module"]


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class HookHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again."""

    _numbers = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self.id = next(self._numbers)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Takes the hook away; once is enough, twice does no harm."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Module:
    """The base of every layer and model: assign layers and parameters as attributes, and write ``forward``."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent: set[str]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        put = object.__setattr__
        put(self, "training", True)
        put(self, "_parameters", {})
        put(self, "_buffers", {})
        put(self, "_non_persistent", set())
        put(self, "_modules", {})
        put(self, "_forward_hooks", {})
        put(self, "_forward_pre_hooks", {})

    # -- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in registries:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._modules[name] = value
        elif name in registries.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (torch.nn.Parameter or None "
                    "expected)"
                )
            self._parameters[name] = None
        elif name in registries.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (torch.nn.Module or None "
                    "expected)"
                )
            self._modules[name] = None
        elif name in registries.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' object to buffer '{name}' (torch.Tensor or None required)"
                )
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, kept: str) -> None:
        """Lets a name move from one kind of attribute to another; within its kind it keeps its place."""
        for registry in ("_parameters", "_buffers", "_modules"):
            if registry != kept:
                self.__dict__.get(registry, {}).pop(name, None)
        self.__dict__.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(registry)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under ``name``; None reserves the name."""
        self._check_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (torch.nn.Parameter or None "
                "required)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state but not trained; ``persistent`` ones are part of the state_dict."""
        self._check_name(name, "buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (torch.Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent.discard(name)
        else:
            self._non_persistent.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a child under ``name``; None reserves the name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name(name, "module")
        self._modules[name] = module

    def _check_name(self, name: str, kind: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        own = {
            "parameter": "_parameters",
            "buffer": "_buffers",
            "module": "_modules",
        }[kind]
        if hasattr(self, name) and name not in getattr(self, own):
            raise KeyError(f"attribute '{name}' already exists")

    # -- calling

    def forward(self, *input: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass writes its own."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs ``forward`` between the hooks."""
        if not self._forward_hooks and not self._forward_pre_hooks:
            return self.forward(*args, **kwargs)
        for hook in tuple(self._forward_pre_hooks.values()):
            replaced = hook(self, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
        result = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            replaced = hook(self, args, result)
            result = result if replaced is None else replaced
        return result

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Calls ``hook(module, args)`` before forward; what it returns replaces the arguments."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Calls ``hook(module, args, output)`` after forward; what it returns replaces the output."""
        return HookHandle(self._forward_hooks, hook)

    # -- walking

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children, each once, with their names."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        return (child for _, child in self.named_children())

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        ):
            for name, value in getattr(module, registry).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters in order of registration, a shared one once, with dotted names."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters in order of registration, a shared one once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers in order of registration, with dotted names."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers in order of registration."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name."""
        module = self
        for part in target.split(".") if target else []:
            if part not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no attribute `{part}`")
            module = getattr(module, part)
        return module

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Calls ``fn`` on every module, children first; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- modes and conversion

    def train(self, mode: bool = True) -> Self:
        """Puts this module and all below it into training mode; returns self."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Puts this module and all below it into evaluation mode; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switches training of every parameter on or off; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or with ``set_to_none=False`` overwrites them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.detach_().zero_()

    def to(
        self, *target: Any, dtype: dt.dtype | None = None, device: Any = None, non_blocking: bool = False
    ) -> Self:
        """Moves parameters and buffers to a device, and the floating-point ones to a dtype, in place; returns self."""
        for each in target:
            if isinstance(each, dt.dtype):
                dtype = each
            elif isinstance(each, Tensor):
                dtype = each.dtype
            elif isinstance(each, str | int | device_type) and not isinstance(each, bool):
                device = each
        require_available(device)
        if dtype is not None and dtype.category < 2:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        return self if dtype is None else self._convert(dtype)

    def _convert(self, dtype: dt.dtype) -> Self:
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            if tensor.dtype.is_floating_point:
                tensor._array = tensor._array.astype(dtype.numpy, copy=False)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.to(dtype)
        return self

    def cpu(self) -> Self:
        """Moves everything to the CPU; returns self."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Self:
        """Moves everything to a GPU; returns self."""
        return self.to("cuda" if device is None else device)

    def double(self) -> Self:
        """Makes the floating-point parameters and buffers float64; returns self."""
        return self._convert(dt.float64)

    def float(self) -> Self:
        """Makes the floating-point parameters and buffers float32; returns self."""
        return self._convert(dt.float32)

    def half(self) -> Self:
        """Makes the floating-point parameters and buffers float16; returns self."""
        return self._convert(dt.float16)

    def bfloat16(self) -> Self:
        """Makes the floating-point parameters and buffers bfloat16; returns self."""
        return self._convert(dt.bfloat16)

    # -- state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Every parameter and persistent buffer by dotted name. The tensors are the live ones, outside the graph."""
        found: dict[str, Any] = OrderedDict() if destination is None else destination
        buffers = ((n, b) for n, b in self._buffers.items() if n not in self._non_persistent)
        for name, tensor in itertools.chain(self._parameters.items(), buffers):
            if tensor is not None:
                found[prefix + name] = tensor if keep_vars else tensor.detach()
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies values into the parameters and buffers.

        Args:
            state_dict: tensors by dotted name.
            strict: keys on one side only are an error.
            assign: take the given tensors themselves instead of copying their values.

        Raises:
            RuntimeError: listing every missing or unexpected key and every size that differs; then nothing was changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        live = self.state_dict(keep_vars=True)
        missing = [name for name in live if name not in state_dict]
        unexpected = [name for name in state_dict if name not in live]
        problems = []
        if strict and missing:
            problems.append(
                "Missing key(s) in state_dict: " + ", ".join(f'"{name}"' for name in missing) + ". "
            )
        if strict and unexpected:
            problems.append(
                "Unexpected key(s) in state_dict: " + ", ".join(f'"{name}"' for name in unexpected) + ". "
            )
        for name, tensor in live.items():
            given = state_dict.get(name)
            if given is not None and not isinstance(given, Tensor):
                problems.append(
                    f'While copying the parameter named "{name}", expected torch.Tensor or Tensor-like object from '
                    f"checkpoint but received {type(given)}"
                )
                continue
            if given is not None and tuple(given.shape) != tuple(tensor.shape):
                problems.append(
                    f"size mismatch for {name}: copying a param with shape torch.Size({list(given.shape)}) from "
                    "checkpoint, "
                    f"the shape in current model is {tensor.shape}."
                )
        if problems:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems)
            )
        with no_grad():
            for name, tensor in live.items():
                if name in state_dict:
                    self._load_one(tensor, state_dict[name], assign)
        return IncompatibleKeys(missing, unexpected)

    def _load_one(self, tensor: Tensor, given: Tensor, assign: bool) -> None:
        if assign:
            tensor._array = given._array
        else:
            tensor.copy_(given)

    # -- text

    def extra_repr(self) -> str:
        """What the module's line in the printed model says inside the parentheses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        own = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [
            f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()
        ]
        if len(own) == 1 and not children:
            return f"{self._get_name()}({own[0]})"
        lines = own + children
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"
