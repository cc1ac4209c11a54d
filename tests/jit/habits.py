"""What scripts do with ``jit``: functions of no arguments that are run with PyTorch and with distrt for ``torch``.

Each gives a nest of tensors and plain values, or raises; ``test_habits.py`` compares what came out. The text is executed
once for either library, with ``torch``, ``nn`` and ``Tensor`` of that library.
"""
# ruff: noqa

import collections
import io
import pickle
from typing import Dict, List, NamedTuple, Optional, Tuple


def filled(model):
    """The same parameters in either library."""
    with torch.no_grad():
        for number, each in enumerate(model.parameters()):
            ramp = torch.arange(float(each.numel())).reshape(each.shape)
            each.copy_((ramp % 7 - 3) / 10 + number / 50)
    return model


def ramp(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def reloaded(made):
    target = io.BytesIO()
    torch.jit.save(made, target)
    target.seek(0)
    return torch.jit.load(target)


# Traces that call scripts, and scripts that call traces: the tutorial of TorchScript


class Gate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


class Cell(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate
        self.linear = nn.Linear(4, 4)

    def forward(self, x, h):
        new = torch.tanh(self.gate(self.linear(x)) + h)
        return new, new


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.jit.trace(filled(Cell(torch.jit.script(Gate()))), (ramp(3, 4), ramp(3, 4)))

    def forward(self, xs):
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.loop = torch.jit.script(Loop())

    def forward(self, xs):
        y, h = self.loop(xs)
        return torch.relu(y)


def case_a_trace_keeps_the_branches_of_a_script_below_it():
    cell = filled(Cell(torch.jit.script(Gate())))
    traced = torch.jit.trace(cell, (ramp(3, 4), ramp(3, 4)))
    return traced(-ramp(3, 4), ramp(3, 4)), traced(ramp(3, 4), ramp(3, 4))


def case_a_script_of_a_trace():
    return torch.jit.script(Loop())(ramp(5, 3, 4))


def case_a_trace_of_a_script_of_a_trace_of_a_script():
    traced = torch.jit.trace(Wrapped(), (ramp(10, 3, 4),))
    return traced(ramp(2, 3, 4)), traced(-ramp(12, 3, 4)), reloaded(traced)(-ramp(12, 3, 4))


def halved_until_small(x):
    while bool(x.sum() > 1):
        x = x / 2
    return x


def case_a_traced_function_keeps_the_loop_of_a_scripted_one():
    scripted = torch.jit.script(halved_until_small)
    traced = torch.jit.trace(lambda x: scripted(x) + scripted(x * 2), ramp(3))
    return traced(ramp(3) * 9), reloaded(traced)(ramp(3) * 100)


@torch.jit.script_if_tracing
def positive(x):
    if x.sum() > 0:
        return x
    return -x


def case_script_if_tracing_keeps_its_branches():
    traced = torch.jit.trace(lambda x: positive(x) * 2, ramp(2))
    return traced(-ramp(2)), traced(ramp(2))


# Named tuples


class Pair(NamedTuple):
    first: Tensor
    count: int = 3
    last: Optional[Tensor] = None


Plain = collections.namedtuple("Plain", ["left", "right"])


def pair_of(x) -> Pair:
    return Pair(x, 2)


def sum_of_pair(x):
    pair = Pair(last=x, first=x + 1)
    plain = Plain(x, pair.first)
    return plain.left + plain.right + pair.count


class GivesPair(nn.Module):
    def forward(self, x) -> Pair:
        return Pair(x, x.dim(), x + 1)


def case_named_tuples():
    found = torch.jit.script(pair_of)(ramp(2))
    return found.first, found.count, found.last, type(found).__name__, torch.jit.script(sum_of_pair)(ramp(2))


def case_named_tuples_of_a_loaded_model():
    found = reloaded(torch.jit.script(GivesPair()))(ramp(2))
    return found[0], found.count, found.last


def pair_with_text(x):
    return Pair(x, "a")


def case_a_named_tuple_of_the_wrong_type():
    return torch.jit.script(pair_with_text)


# Blocks


def product_in_half(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ x
    return y.dtype == torch.bfloat16, y.float(), x @ x


def case_autocast_in_a_script():
    return torch.jit.script(product_in_half)(ramp(2, 2))


class Product(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x)


def case_a_trace_made_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        traced = torch.jit.trace(filled(Product()), ramp(1, 2))
    found = traced(ramp(1, 2))
    return found.dtype == torch.bfloat16, found.float(), reloaded(traced)(ramp(1, 2)).float()


def labelled(x):
    with torch.autograd.profiler.record_function("label"):
        return x + 1


def case_record_function_in_a_script():
    return torch.jit.script(labelled)(ramp(2))


def waits(x) -> Tensor:
    future: torch.jit.Future[Tensor] = torch.jit.fork(halved_until_small, x)
    return torch.jit.wait(future)


def case_a_future_with_its_type():
    return torch.jit.script(waits)(ramp(3))


# Modules


def hook(self, given: Tuple[Tensor], result: Tensor) -> Tensor:
    return result + 1


def case_a_hook_that_was_there_before():
    model = filled(Product())
    model.register_forward_hook(hook)
    return torch.jit.script(model)(ramp(1, 2))


def case_a_trace_has_what_hooks_did():
    model = filled(Product())
    model.linear.register_forward_hook(hook)
    return reloaded(torch.jit.trace(model, ramp(1, 2)))(ramp(1, 2))


def case_a_scripted_sequential_is_a_container():
    scripted = torch.jit.script(filled(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))))
    return (
        scripted(ramp(1, 2)),
        scripted[0].weight,
        len(scripted),
        [each(ramp(1, 2)) for each in scripted][:2],
    )


class Marked(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = 3
        self.table = torch.jit.Attribute({}, Dict[str, int])
        self.last = torch.jit.Attribute(None, Optional[Tensor])

    def forward(self, x):
        self.table["calls"] = self.factor
        last = self.last
        if last is not None:
            x = x + last
        self.last = x
        return x * self.table["calls"]

    @torch.jit.ignore
    def listed(self, x):
        return [self.factor, *x.tolist()]

    @torch.jit.unused
    def broken(self, x):
        return x.nothing_of_this_name

    @torch.jit.export
    def breaks(self, x):
        return self.broken(x)


def case_attributes_with_their_types():
    scripted = torch.jit.script(Marked())
    return scripted(ramp(2)), scripted(ramp(2)), scripted.table


def case_python_may_call_an_ignored_method():
    return torch.jit.script(Marked()).listed(ramp(2))


def case_an_unused_method_raises():
    return torch.jit.script(Marked()).breaks(ramp(2))


class OldStyle(torch.jit.ScriptModule):
    __constants__ = ["times"]

    def __init__(self, times):
        super().__init__()
        self.times = times
        self.weight = nn.Parameter(torch.ones(2))

    @torch.jit.script_method
    def forward(self, x):
        for i in range(self.times):
            x = self.shifted(x) * self.weight
        return x

    @torch.jit.script_method
    def shifted(self, x):
        if x.sum() > 3:
            x = x - 1
        return x + 1


def case_a_class_that_derives_from_script_module():
    model = OldStyle(3)
    return (
        model(ramp(2)),
        reloaded(model)(ramp(2)),
        len(model.save_to_buffer()) > 100,
        list(model.state_dict()),
    )


class TakesLists(nn.Module):
    def forward(self, xs: List[Tensor]) -> Dict[str, List[Tensor]]:
        return {"out": xs}


def case_a_tuple_for_a_list():
    return torch.jit.script(TakesLists())((ramp(1), ramp(2)))


def case_a_method_has_its_text():
    scripted = torch.jit.script(Product())
    return (
        "def forward(self" in scripted.forward.code,
        scripted.forward.name,
        len(str(scripted.forward.graph)) > 10,
    )


class NoForward(nn.Module):
    @torch.jit.export
    def shift(self, x):
        return x + 1


def case_a_module_without_forward():
    return torch.jit.script(NoForward()).shift(ramp(2)), hasattr(torch.jit.script(NoForward()), "forward")


def case_a_call_of_a_module_without_forward():
    return torch.jit.script(NoForward())(ramp(2))


# Traces


class Difference(nn.Module):
    def forward(self, a, b):
        return a - b


def case_keyword_arguments_in_another_order():
    traced = torch.jit.trace(Difference(), example_kwarg_inputs={"b": ramp(2), "a": ramp(2) + 1})
    return traced(a=ramp(3), b=ramp(3) + 1), traced(ramp(3), ramp(3) + 1)


def case_a_list_as_result_is_warned_of():
    return torch.jit.trace(lambda x: [x, x + 1], ramp(2), check_trace=False)(ramp(3))


def case_a_dict_as_result_is_refused():
    return torch.jit.trace(lambda x: {"a": x}, ramp(2))


def case_nothing_as_result_is_refused():
    return torch.jit.trace(lambda x: None, ramp(2))


# What cannot be done


def changeable_default(x, seen: List[int] = [1]):
    return len(seen)


def case_a_default_that_can_change():
    return torch.jit.script(changeable_default)


def case_a_number():
    return torch.jit.script(5)


def case_a_builtin():
    return torch.jit.script(len)


def case_a_pickled_function():
    return pickle.dumps(torch.jit.script(halved_until_small))


def case_a_pickled_module():
    return pickle.dumps(torch.jit.script(Product()))


def case_extra_files_come_back_as_bytes():
    target, extra = io.BytesIO(), {"notes": "", "none": ""}
    torch.jit.save(torch.jit.script(Product()), target, _extra_files={"notes": "{1}"})
    target.seek(0)
    torch.jit.load(target, _extra_files=extra)
    return [value.decode() for value in extra.values()]
