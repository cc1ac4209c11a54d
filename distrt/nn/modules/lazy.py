"""``LazyModuleMixin``: for modules that learn input sizes from the first input, and are the usual ones from then on."""

from __future__ import annotations

import itertools
from typing import Any

from distrt.core.modes import no_grad
from distrt.nn.modules.module import Module
from distrt.nn.modules.state import own_state
from distrt.nn.parameter import is_lazy


class LazyModuleMixin(Module):
    """The base to put first: ``class LazyThing(LazyModuleMixin, Thing)``.

    Parameters and buffers of unknown size are ``UninitializedParameter`` and ``UninitializedBuffer``. The first call
    gives the input to ``initialize_parameters``; then the object becomes one of ``cls_to_become``. Loading a
    state_dict that has sizes fills them as well.
    """

    cls_to_become: type[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Gives every uninitialised parameter and buffer its size, from the arguments of the first call."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """True while there are parameters or buffers without a size."""
        return any(map(is_lazy, itertools.chain(self._parameters.values(), self._buffers.values())))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, each in own_state(self):
            destination[prefix + name] = each if keep_vars or is_lazy(each) else each.detach()

    def _lazy_load_hook(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Before loading: what is not initialised gets the size of what is loaded."""
        for name, each in itertools.chain(self._parameters.items(), self._buffers.items()):
            given = state_dict.get(prefix + name)
            if given is not None and is_lazy(each) and not is_lazy(given):
                with no_grad():
                    each.materialize(given.shape)  # type: ignore[union-attr]

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        """Before the first forward."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
