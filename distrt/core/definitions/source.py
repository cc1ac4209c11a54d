"""Writes the source of an operation's call function from its definition; ``op_backward.py`` has the other half.

Called by ``core/op.py`` at an operation's first call. ``print(NAME.definition.source())`` shows the result.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from distrt.core.definitions.backward import kept_source
from distrt.core.tensors.names import NUMPY_NAMES

if TYPE_CHECKING:
    from distrt.core.op import Definition


class Writer:
    """Writes the call function of one definition."""

    def __init__(self, definition: Definition) -> None:
        self.op = definition
        self.lines: list[str] = []

    def call(self, strict: bool = False) -> str:
        """The function that users and rules call; the strict form refuses arguments without any tensor among them."""
        op = self.op
        self.lines = [f"def call({self._signature()}):"]
        self._rename()
        self._unwrap(strict)
        self._convert()
        self._run()
        self._wrap()
        if op.differentiable or (op.sequence and op.sequence in op.rules):
            self._record()
        if not op.view:
            self._put(1, "if modes.inference:")
            for result in self._results():
                self._put(2, f"{result}._counter = INFERENCE")
        returned = f"Outputs(({', '.join(self._results())}))" if op.output_names else "result"
        if op.takes_out:
            self._put(1, "if out is not None:")
            self._put(2, f"return write_out({op.name!r}, {returned}, out)")
        self._put(1, f"return {returned}")
        self._see_strangers(strict)
        return "\n".join(self.lines)

    def _see_strangers(self, strict: bool) -> None:
        """Makes a failed call again, where it was the first with a class that takes functions over."""
        head, *body = self.lines
        given = ", ".join(self.op.parameters)
        sight = "is_first_sight" if strict else "is_first_sight_of_method"
        self.lines = [head, "    try:", *(f"    {line}" for line in body)]
        self._put(1, "except Exception:")
        self._put(2, f"if not {sight}(({given},)):")
        self._put(3, "raise")
        values = ", ".join(f"{name!r}: {name}" for name in self.op.parameters)
        self._put(1, f"return definition.again({{{values}}}, {not strict})")

    def _put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def _signature(self) -> str:
        parts = []
        keyword_only = False
        for name, parameter in self.op.parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
                keyword_only = True
                parts.append("*")
            default = "" if parameter.default is parameter.empty else f"=default_{name}"
            parts.append(name + (default or ("=MISSING" if name in self._renamable() else "")))
        extra = [f"{NUMPY_NAMES[name]}=None" for name in self._renamable()]
        extra += ["out=None"] if self.op.takes_out else []
        if extra:
            parts += extra if keyword_only else ["*", *extra]
        return ", ".join(parts)

    def _renamable(self) -> list[str]:
        """The parameters that may be given by NumPy's keyword, too."""
        found = []
        for position, name in enumerate(self.op.parameters):
            later = list(self.op.parameters.values())[position + 1 :]
            may_be_left_out = all(
                each.default is not each.empty or each.kind is each.KEYWORD_ONLY for each in later
            )
            if name in NUMPY_NAMES and may_be_left_out:
                found.append(name)
        return found

    def _rename(self) -> None:
        for name in self._renamable():
            self._put(1, f"if {NUMPY_NAMES[name]} is not None:")
            self._put(2, f"{name} = {NUMPY_NAMES[name]}")
            if self.op.parameters[name].default is inspect.Parameter.empty:
                self._put(1, f"if {name} is MISSING:")
                self._put(2, f"raise no_argument({self.op.name!r}, {name!r})")

    def _arguments(self, prefix: str) -> str:
        """The forward function's argument list, arrays by their unwrapped names."""
        op = self.op
        arrays = {*op.tensors, *op.steering, op.sequence}
        parts = []
        for name, parameter in op.parameters.items():
            value = f"{prefix}{name}" if name in arrays else name
            parts.append(f"{name}={value}" if parameter.kind is parameter.KEYWORD_ONLY else value)
        return ", ".join(parts)

    def _unwrap(self, strict: bool) -> None:
        op = self.op
        for name in op.tensors + op.steering:
            self._put(1, f"t_{name} = isinstance({name}, Tensor)")
        if op.sequence:
            self._put(1, f"require_sequence({op.name!r}, {op.sequence!r}, {op.sequence})")
            self._put(1, f"t_{op.sequence} = any([isinstance(each, Tensor) for each in {op.sequence}])")
        flags = [f"t_{name}" for name in [*op.tensors, *op.steering, *([op.sequence] if op.sequence else [])]]
        self._put(1, f"if not ({' or '.join(flags)}):  # on arrays: a derivative rule, or the optimizer")
        first = (op.tensors or op.steering or [op.sequence or ""])[0]
        if strict and op.takes_numbers:
            self._put(2, f"input, other = require_numbers({op.name!r}, input, other)")
        elif strict:  # an empty list has an error of its own
            only = f"if len({first}): " if op.sequence else ""
            self._put(2, f"{only}raise no_tensor({op.name!r}, {first!r}, {first})")
        elif first and not op.sequence and "Scalar" not in str(op.parameters[first].annotation):
            self._put(2, f"if {first}.__class__ is not ndarray:")
            self._put(3, f"require_array({op.name!r}, {first!r}, {first})")
        plain = f"forward({self._arguments('')})"
        if not strict or op.sequence:
            self._put(2, "if used.gpu:")
            given = f"gpu.calls.run({op.name!r}, forward, {self._arguments('')})"
            self._put(3, f"return {given + '[0]' if op.aux and not op.output_names else given}")
            if op.takes_out:
                self._put(2, "if out is not None:")
                self._put(3, f"raise require_tensor_beside_out({op.name!r})")
            self._put(2, f"return {plain + '[0]' if op.aux and not op.output_names else plain}")
        self._autocast()
        for name, parameter in op.parameters.items():
            if name not in (*op.tensors, *op.steering) and str(parameter.annotation) in (
                "Scalar",
                "Scalar | None",
            ):
                self._put(
                    1,
                    f"if {name}.__class__ is not int and isinstance({name}, Tensor) and {name}._array.ndim == 0:",
                )
                self._put(2, f"{name} = number_in({op.name!r}, {name!r}, {name})")
            elif str(parameter.annotation) == "bool":
                self._put(1, f"if {name} is not False and {name} is not True:")
                self._put(2, f"{name} = bool_in({op.name!r}, {name!r}, {name})")
        if op.layouts:
            self._unwrap_as_it_lies()
            return
        for name in op.tensors + op.steering:
            self._put(1, f"a_{name} = {name}._array if t_{name} else {name}")
        if op.sequence:
            unwrapped = f"[each._array if isinstance(each, Tensor) else each for each in {op.sequence}]"
            self._put(1, f"a_{op.sequence} = given_{op.sequence} = {unwrapped}")

    def _unwrap_as_it_lies(self) -> None:
        """For operations that take any order in memory; ``inside`` says that the result's is not to be seen either."""
        op = self.op
        if op.sequence:
            own = f"*[each for each in {op.sequence} if isinstance(each, Tensor)]"
            hidden = f"any([isinstance(each, Tensor) and each._inner is not None for each in {op.sequence}])"
        else:
            own = ", ".join(op.tensors)
            hidden = " or ".join(f"(t_{name} and {name}._inner is not None)" for name in op.tensors)
        several = op.sequence or len(op.tensors) > 1
        self._put(1, f"inside = ({hidden}){f' and are_inside({own})' if several else ''}")
        for name in op.tensors:
            lying = f"({name}._array if {name}._inner is None else {name}._inner)"
            self._put(1, f"a_{name} = o_{name} = {lying} if t_{name} else {name}")
        for name in op.steering:
            self._put(1, f"a_{name} = {name}._array if t_{name} else {name}")
        if op.sequence:
            lying = "(each._array if each._inner is None else each._inner)"
            unwrapped = f"[{lying} if isinstance(each, Tensor) else each for each in {op.sequence}]"
            self._put(1, f"a_{op.sequence} = given_{op.sequence} = {unwrapped}")
        if op.layouts == "chooses":
            self._put(1, f"inside = inside or not is_seen({own})")

    def _autocast(self) -> None:
        """Inside a mixed-precision block, casts what its class says; with ``out=``, takes everything as it comes."""
        op = self.op
        if op.autocast == "none":
            return
        self._put(
            1, f"if used.autocast and modes.autocast is not None{' and out is None' if op.takes_out else ''}:"
        )
        cast = {"lower": "lowered", "full": "raised", "widest": "widened"}[op.autocast]
        names = [*op.tensors, *op.steering]
        if op.autocast == "widest":
            if op.sequence:
                self._put(2, f"{op.sequence} = widened(*{op.sequence})")
            else:
                self._put(2, f"{', '.join(names)}, = widened({', '.join(names)})")
            return
        for name in names:
            self._put(2, f"{name} = {cast}({name})")
        if op.sequence:
            self._put(2, f"{op.sequence} = [{cast}(each) for each in {op.sequence}]")

    def _convert(self) -> None:
        op = self.op
        if op.dtype_rule == "keep":
            return
        if op.sequence:
            self._put(1, f"a_{op.sequence} = list(convert_dtypes(*a_{op.sequence}))")
            return
        required = [name for name in op.tensors if "None" not in str(op.parameters[name].annotation)]
        arrays = [f"a_{name}" for name in required]
        joined = ", ".join(arrays)
        assignment = f"{joined}{',' if len(arrays) == 1 else ''} = convert_dtypes({joined})"
        if len(arrays) == 1:
            if op.dtype_rule == "float":
                self._put(1, f"if {arrays[0]}.dtype is not F32 and {arrays[0]}.dtype is not F64:")
                self._put(2, assignment)
            return
        numbers = [name for name in required if "Scalar" in str(op.parameters[name].annotation)]
        known = f"({arrays[0]}.dtype is F32 or {arrays[0]}.dtype is F64)"
        same = " and ".join(f"{arrays[0]}.dtype is {other}.dtype" for other in arrays[1:])
        if op.dtype_rule == "float":
            same += f" and {known}"
        flags = " and ".join(f"t_{name}" for name in required)
        if len(arrays) == 2 and required[1] in numbers:
            weak = f"t_{required[0]} and {known} and ({arrays[1]}.__class__ is float or {arrays[1]}.__class__ is int)"
            self._put(1, f"if not ({same} if {flags} else {weak}):")
        else:
            self._put(1, f"if not ({flags} and {same}):")
        for name in required:
            if name not in numbers:
                self._put(2, f"require_array({op.name!r}, {name!r}, a_{name})")
        self._put(2, assignment)
        optional = [name for name in op.tensors if name not in required]
        for name in optional:
            self._put(1, f"if {name} is not None and a_{name}.dtype is not {arrays[0]}.dtype:")
            self._put(2, f"{arrays[0]}, a_{name} = convert_dtypes({arrays[0]}, a_{name})")

    def _results(self) -> list[str]:
        return [f"result_{name}" for name in self.op.output_names] or ["result"]

    def _outs(self) -> list[str]:
        return [f"made_{name}" for name in self.op.output_names] or ["made"]

    def _run(self) -> None:
        op = self.op
        targets = ", ".join(self._outs() + [f"aux_{name}" for name in op.aux])
        self._put(1, "try:")
        self._put(2, "if used.gpu:")
        self._put(3, f"{targets} = gpu.calls.run({op.name!r}, forward, {self._arguments('a_')})")
        self._put(2, "else:")
        self._put(3, f"{targets} = forward({self._arguments('a_')})")
        self._put(1, "except FAULTS as fault:")
        self._put(2, "if fault.__class__ is LayoutFault:")
        given = ", ".join(f"{name}={name}" for name in op.parameters)
        out = ", out=out" if op.takes_out else ""
        self._put(3, f"return sparse_form({op.name!r}, fault{out}, {given})")
        shown = ", ".join(
            f"a_{n}" if n in (*op.tensors, *op.steering, op.sequence) else n for n in op.parameters
        )
        self._put(2, f"raise explain(fault, {op.name!r}, ({shown},)) from fault")
        for out in self._outs():
            self._put(1, f"if {out}.__class__ is not ndarray:")
            self._put(2, f"{out} = as_array({out})  # NumPy returns scalars for 0-d results")

    def _wrap(self) -> None:
        op = self.op
        for result, out in zip(self._results(), self._outs(), strict=True):
            self._put(1, f"{result} = new(Tensor)")
            if op.layouts:
                self._put(1, "if inside:")
                self._put(2, f"settle({result}, {out})")
                self._put(1, "else:")
                self._put(2, f"{result}._array = {out}")
            else:
                self._put(1, f"{result}._array = {out}")
            if op.view:
                first = op.tensors[0]
                self._put(1, f"{result}._counter = counter = {first}._counter")
                self._put(1, f"{result}._base = {first} if {first}._base is None else {first}._base")
                self._put(1, f"counter.append(ref({result}))  # a recorded change of the base must reach it")
                self._put(1, "if len(counter) >= 32:")
                self._put(2, "forget_dead_views(counter)")
            else:
                self._put(1, f"{result}._counter = [0]")

    # -- recording

    def _record(self) -> None:
        op = self.op
        self._put(1, "grad = modes.grad")
        if op.view:
            self._put(1, f"if not grad or {op.tensors[0]}._made_without_grad:")
            self._put(2, "result._made_without_grad = True")
        self._put(1, "if grad:")
        if op.sequence:
            each = f"each in {op.sequence}"
            self._put(2, f"edges = tuple([each._edge if isinstance(each, Tensor) else None for {each}])")
            self._put(2, "if any(edges):")
            shapes = f"tuple([(each.shape, each.dtype) for each in given_{op.sequence}])"
            self._node(3, "edges", shapes, set())
            return
        names = op.differentiable
        for name in names:
            self._put(2, f"e_{name} = {name}._edge if t_{name} else None")
        wanted = " or ".join(f"e_{name} is not None" for name in names)
        outs = self._outs()[0]
        cast = op.name in ("to_dtype",)
        self._put(2, f"if {f'({wanted}) and {outs}.dtype in FLOATING' if cast else wanted}:")
        if op.joint_rule or len(names) > 2:
            self._branch(3, set(), names)
        elif len(names) == 1:
            self._branch(3, set(names), names)
        else:
            first, second = names
            self._put(3, f"if e_{second} is None:")
            self._branch(4, {first}, names)
            self._put(3, f"elif e_{first} is None:")
            self._branch(4, {second}, names)
            self._put(3, "else:")
            self._branch(4, {first, second}, names)

    def _branch(self, depth: int, certain: set[str], names: list[str]) -> None:
        edges = "".join(f"e_{name}, " for name in names)
        metas = []
        for name in names:
            known = f"o_{name}" if self.op.layouts else f"{name}._array"
            meta = f"({known}.shape, {known}.dtype)"
            if name in certain:
                metas.append(meta)
            elif certain:
                metas.append("None")
            else:
                metas.append(f"({meta} if e_{name} is not None else None)")
        self._node(depth, f"({edges})", f"({', '.join(metas)},)", certain)

    def _node(self, depth: int, edges: str, metas: str, certain: set[str]) -> None:
        saved, counters, stamp = kept_source(self.op, certain, self._results())
        self._put(depth, "node = new(Node)")
        self._put(depth, "node.definition = definition")
        self._put(depth, f"node.edges = {edges}")
        self._put(depth, f"node.metas = {metas}")
        self._put(depth, f"node.saved = {saved}")
        self._put(depth, f"node.counters = {counters}")
        self._put(depth, f"node.stamp = {stamp}")
        self._put(depth, "node.hooks = None")
        self._put(depth, "node.sequence = next_sequence()")
        self._put(depth, "if grad is not True:")
        self._put(depth + 1, "grad(node)")
        for number, (result, out) in enumerate(zip(self._results(), self._outs(), strict=True)):
            if len(self._outs()) > 1:
                self._put(depth, f"if {out}.dtype in FLOATING:")
                self._put(depth + 1, f"{result}._edge = (node, {number})")
            else:
                self._put(depth, f"{result}._edge = (node, {number})")
