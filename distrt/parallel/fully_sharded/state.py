"""``ModuleState``: the hooks that make a sharded module gather its parameters, and what users set about it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.core.autograd.engine import is_running
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DistributedError
from distrt.core.modes import modes
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.fully_sharded.passes import Passes
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.unit import Unit
from distrt.parallel.structures import map_tensors, tensors_in
from distrt.utils.repeating import repeated_in

__all__ = ["ModuleState", "state_of", "states_of"]

_NAME = "_fsdp_state"


class ModuleState:
    """What one call of ``fully_shard`` has made of its modules.

    Args:
        modules: one, or several that are gathered together.
        unit: their parameters; None where they have none of their own.
        mesh: the ranks.
        policy: dtypes.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        unit: Unit | None,
        mesh: DeviceMesh,
        policy: MixedPrecisionPolicy,
    ) -> None:
        self._modules = [weakref.ref(module) for module in modules]
        self.unit, self.mesh, self.policy = unit, mesh, policy
        self.is_automatic = True  # a root keeps its parameters between forward and backward
        self.passes: Passes | None = None  # of the root, once it is known
        self.is_root: bool | None = None
        self.prefetched_in_forward: list[ModuleState] = []
        self.prefetched_in_backward: list[ModuleState] = []
        self._to_run: set[int] = set()
        for module in modules:
            module.__dict__[_NAME] = self
            module.register_state_dict_pre_hook(self._show_parts)
            module.register_load_state_dict_pre_hook(self._show_parts)

    @property
    def modules(self) -> list[Module]:
        """Its modules."""
        return [module for reference in self._modules if (module := reference()) is not None]

    def _show_parts(self, *_: Any) -> None:
        """States have parts, also where a root has kept its whole parameters for backward."""
        if self.unit is not None:
            self.unit.give_back()

    # -- the root

    def find_root(self) -> Passes:
        """The passes that it takes part in; the first module that computes is the root of all below it.

        Raises:
            RuntimeError: a module below it has computed before, by itself.
            ValueError: a parameter belongs to two units.
        """
        if self.passes is not None:
            return self.passes
        if len(self._modules) > 1:
            raise RuntimeError(f"FSDP requires a single root module but got {tuple(self.modules)}")
        states = _states_below(self.modules[0])
        for name, state in states:
            if state is not self and state.is_root is not None:
                raise RuntimeError(
                    f"FSDP state has already been lazily initialized for {name}\nFSDP requires running forward "
                    "through the root module first"
                )
        units = [state.unit for _, state in states if state.unit is not None]
        _require_apart((name, state.unit) for name, state in states if state.unit is not None)
        if self.is_automatic and self.unit is not None:
            self.unit.reshards_after_forward = False  # backward needs it first
        passes = Passes(units, self.mesh.get_group(self.mesh.ndim - 1))
        for _, state in states:
            state.passes, state.is_root = passes, state is self
        return passes

    # -- forward

    def call(self, module: Module, run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call ``run``, a module or a method of it, with whole parameters; where it raises, they are parts again."""
        try:
            with repeated_in(self.made_whole):
                args, kwargs = self._before_forward(module, args, kwargs)
                return self._after_forward(module, args, run(*args, **kwargs))
        except Exception:
            self.fail()
            raise

    @contextmanager
    def made_whole(self) -> Iterator[None]:
        """For a part of the module that backward repeats, which looks for parameters where the module has them."""
        if self.unit is not None and not self.unit.is_whole:
            passes = self.find_root()
            passes.begin_backward()
            passes.use(self.unit)
        yield

    def hook(self, module: Module) -> None:
        """Have calls of a module do that, in PyTorch's order among its hooks: see `FSDPModule.__call__`."""
        module.register_forward_pre_hook(self._before_forward, prepend=True, with_kwargs=True)
        module.register_forward_hook(self._after_forward)

    def _before_forward(self, module: Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Gather the parameters that the module needs."""
        passes = self.find_root()
        if is_running():
            passes.begin_backward()  # computed anew: the outputs of before may not be part of the graph
        elif not passes.is_forward:
            passes.begin_forward(None if self.is_root else self._units_below())
            passes.root = self
            if passes.device is not None:
                args, kwargs = map_tensors(passes.bring, args), map_tensors(passes.bring, kwargs)
        if not self._to_run and len(self._modules) > 1:
            self._to_run = {id(each) for each in self.modules}
        if self.unit is not None:
            passes.use(self.unit)
            for other in self.prefetched_in_forward:
                if other.unit is not None:
                    passes.launch(other.unit)
            if modes.grad and not self.unit.is_trained and not is_running():
                for each in tensors_in((args, kwargs)):
                    self._hook_input(each)
        if self.policy.cast_forward_inputs and self.policy.param_dtype is not None:
            args = map_tensors(_caster(self.policy.param_dtype), args)
            kwargs = map_tensors(_caster(self.policy.param_dtype), kwargs)
        return args, kwargs

    def _after_forward(self, module: Module, args: Any, output: Any) -> Any:
        """Give back what is not needed before backward, which is told when it comes."""
        passes = self.find_root()
        self._to_run.discard(id(module))
        if self.unit is not None and not self._to_run:
            passes.after_use(self.unit, modes.grad)
        if modes.grad and self._is_told_of_backward(passes):
            for each in tensors_in(output):
                self._hook(each)
        if passes.root is self and not self._to_run:
            passes.end_forward(modes.grad)
            passes.root = None
        return (
            output
            if self.policy.output_dtype is None
            else map_tensors(_caster(self.policy.output_dtype), output)
        )

    def _is_told_of_backward(self, passes: Passes) -> bool:
        """Whether something has to be done when backward comes to the outputs."""
        unit = self.unit
        if unit is None or not (unit.is_expected and unit.is_together) or passes.root is self:
            return True
        return bool(self.prefetched_in_backward)

    def _units_below(self) -> list[Unit]:
        states = [state for module in self.modules for state in states_of(module)]
        return [state.unit for state in states if state.unit is not None]

    def _hook_input(self, tensor: Tensor) -> None:
        if tensor._edge is not None and self.unit is not None:
            self.unit.awaited_inputs += 1
            tensor.register_hook(self._after_input)

    def _after_input(self, gradient: Tensor) -> None:
        if self.unit is not None:
            self.find_root().after_inputs(self.unit)

    def _hook(self, tensor: Tensor) -> None:
        passes, edge = self.find_root(), tensor._edge
        if edge is None or (edge is passes.hooked and self.unit is None and not self.prefetched_in_backward):
            return  # an inner module, whose output it is too, says when backward comes
        passes.hooked = edge
        tensor.register_hook(self._before_backward)

    def _before_backward(self, gradient: Tensor) -> None:
        passes = self.find_root()
        passes.begin_backward()
        if self.unit is not None:
            passes.before_backward(self.unit)
        for other in self.prefetched_in_backward:
            if other.unit is not None:
                passes.launch(other.unit)

    def fail(self) -> None:
        """A module's forward has raised: the parameters become parts again."""
        self._to_run = set()
        passes = self.passes
        if passes is None or is_running():
            return
        if passes.root is self:
            passes.root = None
            try:
                passes.end_forward(records=False)
            except DistributedError:
                passes.abandon()
        elif self.unit is not None:
            with suppress(DistributedError):
                passes.after_use(self.unit, records=True)

    def reset(self) -> None:
        """Forget about a pass that was broken off.

        Raises:
            RuntimeError: it is not the root.
        """
        if self.is_root is False:
            raise RuntimeError("reset_iter_state must be called on the root FSDP module")
        if self.passes is not None:
            self.passes.root = None
            self.passes.abandon()


def state_of(module: Any) -> ModuleState | None:
    """What ``fully_shard`` has made of the module itself."""
    found: ModuleState | None = module.__dict__.get(_NAME)
    return found


def states_of(module: Module) -> list[ModuleState]:
    """Those of a module and of all below it, each once."""
    return [state for _, state in _states_below(module)]


def _states_below(module: Module) -> list[tuple[str, ModuleState]]:
    found: dict[ModuleState, str] = {}
    for name, each in module.named_modules():
        state = state_of(each)
        if state is not None:
            found.setdefault(state, name)
    return [(name, state) for state, name in found.items()]


def _require_apart(units: Iterable[tuple[str, Unit]]) -> None:
    seen: set[int] = set()
    for prefix, unit in units:
        for each in unit.parameters:
            if id(each.whole) in seen:
                name = f"{prefix}.{each.name}" if prefix else each.name
                raise ValueError(
                    f"Parameter '{name}' is shared with a parameter already managed by another FSDP group. For "
                    "shared/tied parameters, use fully_shard([module_a, module_b]) to place them in the same FSDP "
                    "group."
                )
            seen.add(id(each.whole))


def _caster(wanted: dt.dtype) -> Callable[[Tensor], Tensor]:
    return lambda tensor: (
        tensor.to(wanted) if tensor.is_floating_point() and tensor.dtype is not wanted else tensor
    )
