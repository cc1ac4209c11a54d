"""``PrepareModuleInput``, ``PrepareModuleOutput``: how what goes in and comes out of a module is to lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.comm.mesh.device_mesh import DeviceMesh
from distrt.nn import Module
from distrt.parallel.distributed_tensors.placements import Placement
from distrt.parallel.tensor_parallel.style import ParallelStyle, lying

__all__ = ["PrepareModuleInput", "PrepareModuleInputOutput", "PrepareModuleOutput"]

Layouts = Placement | Sequence[Placement | None] | None


class PrepareModuleInput(ParallelStyle):
    """A module whose inputs are to lie in another way than they come.

    Args:
        input_layouts: how each positional input lies, where it is a plain tensor; None for one to be left alone.
        desired_input_layouts: how each is to lie.
        input_kwarg_layouts: how inputs that are given by name lie.
        desired_input_kwarg_layouts: how these are to lie.
        use_local_output: give the module this rank's parts as plain tensors, else ``DTensor`` s.

    Raises:
        AssertionError: the desired layouts are not those of the given ones.
    """

    def __init__(
        self,
        *,
        input_layouts: Layouts = None,
        desired_input_layouts: Layouts = None,
        input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None,
        use_local_output: bool = False,
    ) -> None:
        self.input_layouts, self.desired_input_layouts = (
            _several(input_layouts),
            _several(desired_input_layouts),
        )
        self.use_local_output = use_local_output
        if self.input_layouts is not None:
            if self.desired_input_layouts is None:
                raise AssertionError("desired module inputs should not be None!")
            _require_as_many("input_layouts", self.input_layouts, self.desired_input_layouts)
        self.input_kwarg_layouts = input_kwarg_layouts or {}
        self.desired_input_kwarg_layouts = desired_input_kwarg_layouts or {}
        if input_kwarg_layouts is not None:
            _require_as_many(
                "input_kwarg_layouts", self.input_kwarg_layouts, self.desired_input_kwarg_layouts
            )

    def _said(self) -> dict[str, Any]:
        names = "input_layouts desired_input_layouts input_kwarg_layouts desired_input_kwarg_layouts use_local_output"
        return {name: getattr(self, name) for name in names.split()}

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        def prepare(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
            found = inputs
            if self.input_layouts is not None:
                if len(inputs) != len(self.input_layouts):
                    raise ValueError("module inputs and input_layouts should have same length!")
                assert self.desired_input_layouts is not None
                pairs = zip(inputs, self.input_layouts, self.desired_input_layouts, strict=True)
                found = tuple(_laid(*each, device_mesh, self.use_local_output) for each in pairs)
            given, wanted = self.input_kwarg_layouts, self.desired_input_kwarg_layouts
            return found, {
                name: _laid(value, given.get(name), wanted.get(name), device_mesh, self.use_local_output)
                for name, value in named.items()
            }

        module.register_forward_pre_hook(prepare, with_kwargs=True)
        return module


class PrepareModuleOutput(ParallelStyle):
    """A module whose outputs are to lie in another way than they come.

    Args:
        output_layouts: how each output lies, where it is a plain tensor; None for one to be left alone.
        desired_output_layouts: how each is to lie.
        use_local_output: return this rank's parts as plain tensors, else ``DTensor`` s.

    Raises:
        AssertionError: the desired layouts are not those of the given ones.
    """

    def __init__(
        self, *, output_layouts: Layouts, desired_output_layouts: Layouts, use_local_output: bool = True
    ) -> None:
        self.output_layouts = _several(output_layouts) or ()
        self.desired_output_layouts = _several(desired_output_layouts) or ()
        self.use_local_output = use_local_output
        _require_as_many("output_layouts", self.output_layouts, self.desired_output_layouts)

    def _said(self) -> dict[str, Any]:
        names = ("output_layouts", "desired_output_layouts", "use_local_output")
        return {name: getattr(self, name) for name in names}

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        def finish(module: Module, inputs: Any, outputs: Any) -> Any:
            listed = outputs if isinstance(outputs, tuple) else (outputs,)
            if len(listed) != len(self.output_layouts):
                raise ValueError("module outputs and output_layouts should have same length!")
            groups = zip(listed, self.output_layouts, self.desired_output_layouts, strict=True)
            found = tuple(_laid(*each, device_mesh, self.use_local_output) for each in groups)
            return found[0] if len(found) == 1 else found

        module.register_forward_hook(finish)
        return module


class PrepareModuleInputOutput(ParallelStyle):
    """`PrepareModuleInput`, whose ``use_local_output`` is ``use_local_input`` here, and `PrepareModuleOutput`."""

    def __init__(
        self,
        *,
        input_layouts: Layouts = None,
        desired_input_layouts: Layouts = None,
        input_kwarg_layouts: dict[str, Placement] | None = None,
        desired_input_kwarg_layouts: dict[str, Placement] | None = None,
        use_local_input: bool = False,
        output_layouts: Layouts,
        desired_output_layouts: Layouts,
        use_local_output: bool = True,
    ) -> None:
        self.prepare_module_input = PrepareModuleInput(
            input_layouts=input_layouts,
            desired_input_layouts=desired_input_layouts,
            input_kwarg_layouts=input_kwarg_layouts,
            desired_input_kwarg_layouts=desired_input_kwarg_layouts,
            use_local_output=use_local_input,
        )
        self.prepare_module_output = PrepareModuleOutput(
            output_layouts=output_layouts,
            desired_output_layouts=desired_output_layouts,
            use_local_output=use_local_output,
        )

    def _said(self) -> dict[str, Any]:
        before = self.prepare_module_input._said()
        before["use_local_input"] = before.pop("use_local_output")
        return before | self.prepare_module_output._said()

    def _apply(self, module: Module, device_mesh: DeviceMesh) -> Module:
        self.prepare_module_input._apply(module, device_mesh)
        return self.prepare_module_output._apply(module, device_mesh)


def _several(layouts: Layouts) -> Sequence[Placement | None] | None:
    return (layouts,) if isinstance(layouts, Placement) else layouts


def _require_as_many(name: str, given: Any, wanted: Any) -> None:
    if len(given) != len(wanted):
        raise AssertionError(f"{name} and desired_{name} should have same length!")


def _laid(
    value: Any, given: Placement | None, wanted: Placement | None, mesh: DeviceMesh, is_local: bool
) -> Any:
    if given is None:
        return value
    found = lying(value, mesh, given)
    if wanted is not None and given != wanted:
        found = found.redistribute(placements=(wanted,))
    return found.to_local() if is_local else found


for _class in (PrepareModuleInput, PrepareModuleInputOutput, PrepareModuleOutput):
    _class.__module__ = "distrt.distributed.tensor.parallel"
