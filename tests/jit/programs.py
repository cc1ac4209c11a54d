"""Functions and modules that are scripted by PyTorch and by distrt: ``torch``, ``nn`` and ``F`` are either library's.

Read as text by ``test_programs.py``, which puts those names there; each function's line in ``CASES`` has its arguments.
"""
# ruff: noqa: B905, F821, RUF012, UP006, UP007, UP035, UP045

import math
from typing import Dict, List, Optional, Union

CASES = {
    "branch": ["f(3)", "-f(3).abs()"],
    "elif_chain": ["f(2), 1", "f(2), 2", "f(2), 7"],
    "loop_over_range": ["f(4), 5", "f(4), 0"],
    "loop_with_break_and_continue": ["f(3), 10"],
    "nested_loops": ["f(3, 4)"],
    "while_on_data": ["f(3)"],
    "early_return": ["f(3)", "-f(3).abs()"],
    "lists": ["f(2, 3)"],
    "dicts": ["f(2, 3)"],
    "tuples": ["f(2, 3)", "f(5, 3)"],
    "optional": ["f(3)", "f(3), f(3)"],
    "defaults": ["f(3)", "f(3), 2", "f(3), scale=4.0"],
    "slices": ["f(6, 5)"],
    "augmented": ["f(4)"],
    "numbers": ["f(2), 7, 2.5"],
    "comprehensions": ["f(3), [1, 2, 3]"],
    "texts": ["f(2), 'abc'"],
    "zipped": ["[f(2), f(2)], [f(2), f(2)]"],
    "enumerated": ["[f(2), f(2), f(2)]"],
    "calls_another": ["f(3)"],
    "functional": ["f(2, 3), f(4, 3)"],
    "maths": ["f(2), 3.0"],
    "builtin_functions": ["f(3), [3, 1, 2]"],
    "isinstance_of_union": ["f(2), 3", "f(2), 2.5"],
    "none_checks": ["f(2), None", "f(2), 3"],
    "ternary": ["f(2), True", "f(2), False"],
    "logic": ["f(2), True, False", "f(2), False, True"],
    "item_assignment": ["f(4, 3)"],
    "boolean_mask": ["f(5)"],
    "without_gradient": ["f(3)"],
    "string_keys": ["{'a': f(2), 'b': f(2)}"],
    "attributes_of_tensors": ["f(2, 3)"],
    "constructors": ["f(2, 3)"],
    "casts": ["f(3)"],
    "several_results": ["f(3, 4)"],
    "nested_lists": ["[[1, 2], [3]]"],
    "new_style": ["f(2), [1, 2]", "f(2), None"],
    "power_iteration": ["f(4, 4)"],
    "fibonacci": ["10"],
    "negative_step": ["5"],
    "unpack_star": ["[1, 2, 3, 4]"],
    "chained_comparison": ["f(2), 3", "f(2), 9"],
    "assertion_that_holds": ["f(2)"],
    "mutates_a_list": ["[1, 2]"],
    "reads_shape": ["f(2, 3, 4)"],
    "ignored_branch": ["f(2)"],
    "annotated_empty": ["f(3)"],
    "tensors_as_numbers": ["f(1).sum().detach()"],
}


def branch(x):
    if x.sum() > 0:
        return x * 2
    else:
        return x * 3


def elif_chain(x, mode: int):
    if mode == 1:
        y = x + 1
    elif mode == 2:
        y = x * 2
    else:
        y = -x
    return y


def loop_over_range(x, n: int):
    total = torch.zeros_like(x)
    for i in range(n):
        total = total + x * i
    return total


def loop_with_break_and_continue(x, n: int):
    count = 0
    for i in range(n):
        if i % 2 == 0:
            continue
        if i > 6:
            break
        x = x + i
        count += 1
    return x, count


def nested_loops(x):
    total = torch.zeros(1, dtype=x.dtype)
    for i in range(x.size(0)):
        for j in range(x.shape[1]):
            if j > i:
                break
            total = total + x[i, j] * (i + j)
    return total


def while_on_data(x):
    steps = 0
    while bool(x.abs().sum() > 0.1) and steps < 20:
        x = x / 2
        steps += 1
    return x, steps


def early_return(x):
    for i in range(5):
        if bool((x * i).sum() > 1):
            return x * i
    return x


def lists(x):
    parts: List[torch.Tensor] = []
    for i in range(3):
        parts.append(x * i)
    last = parts.pop()
    parts.insert(0, last)
    parts.extend([x, x + 1])
    parts[1] = x - 1
    return torch.cat(parts), len(parts), torch.stack(parts[1:3])


def dicts(x):
    found: Dict[str, torch.Tensor] = {"one": x}
    found["two"] = x * 2
    total = torch.zeros_like(x)
    for key in found:
        total = total + found[key]
    for key, value in found.items():
        if key == "two":
            total = total + value
    return total, "one" in found, len(found), found.get("one", x)


def tuples(x):
    shape = (x.size(0), x.size(1))
    (a, b), c = shape, 3
    pair = (x * a, b)
    return pair[0] + b, c, pair


def optional(x, other: Optional[torch.Tensor] = None):
    if other is None:
        other = x * 2
    return x + other


def defaults(x, power: int = 3, scale: float = 1.0):
    return x**power * scale


def slices(x):
    return x[1:3], x[:, ::2], x[-1], x[..., 0], x[None, 2], x[1, 1:], x[:-1, -1]


def augmented(x):
    y = x * 1
    y += 1
    y *= 2
    y -= x
    y /= 3
    n = 7
    n *= 2
    n -= 5
    return y, n


def numbers(x, n: int, r: float):
    return (
        x * (n // 2) + n / 2 - r**2,
        n % 3,
        float(n) + r,
        int(r),
        -n,
        n << 1,
        n & 3,
        n | 8,
        n ^ 1,
        abs(-r),
        n > r,
    )


def comprehensions(x, given: List[int]):
    doubled = [n * 2 for n in given]
    tensors = [x * n for n in doubled]
    lookup = {n: n * n for n in given}
    return torch.stack(tensors), sum(doubled), lookup[2]


def texts(x, name: str):
    said = f"{name} has {x.dim()}"
    if name == "abc" and name.startswith("a"):
        said = said + "!"
    return said.upper(), f"<{name}>", len(name), name[1], "b" in name, " ".join([name, "x"])


def zipped(xs: List[torch.Tensor], ys: List[torch.Tensor]):
    total = torch.zeros_like(xs[0])
    for x, y in zip(xs, ys):
        total = total + x * y
    return total


def enumerated(xs: List[torch.Tensor]):
    total = torch.zeros_like(xs[0])
    for i, x in enumerate(xs):
        total += x.detach() * i
    return total


def _helper(x, n: int = 2):
    return x.relu() * n


def calls_another(x):
    return _helper(x) + _helper(x, 3) + _helper(x, n=4)


def functional(x, weight):
    y = F.linear(x, weight)
    y = F.gelu(y) + torch.sigmoid(y)
    y = F.layer_norm(y, [4])
    return F.log_softmax(y, dim=-1), F.softmax(y, 1), F.dropout(y, 0.5, False)


def maths(x, r: float):
    return x * math.sqrt(r) + math.pi, math.floor(2.7), math.log(r), math.exp(1.0), math.ceil(r)


def builtin_functions(x, given: List[int]):
    return (
        min(given), max(given), sum(given), sorted(given), abs(-3),
        min(2, 3), max(2.5, 1.0), round(2.6), bool(x[0] > 9),
        str(3), int(2.9), float(3), len(given), any([False, True]), all([True, False]),
    )  # fmt: skip


def isinstance_of_union(x, value: Union[int, float]):
    if isinstance(value, int):
        return x + 1
    else:
        return x * 2


def none_checks(x, n: Optional[int]):
    if n is not None and n > 2:
        x = x * n
    m = n if n is not None else 5
    return x + m


def ternary(x, flag: bool):
    return x * 2 if flag else x - 1


def logic(x, a: bool, b: bool):
    return x if a and not b else -x, a or b, not a


def item_assignment(x):
    y = x.clone()
    y[0] = 1.0
    y[1:, 0] = y[0, 0] * 2
    y[2, 1] += 3
    return y


def boolean_mask(x):
    positive = x > 0
    return (
        x[positive],
        torch.where(positive, x, -x),
        x.masked_fill(positive, 0.0),
        positive.any(),
        (~positive).sum(),
    )


def without_gradient(x):
    with torch.no_grad():
        y = x * 2
    return y, x * 3


def string_keys(given: Dict[str, torch.Tensor]):
    return given["a"] * given["b"], "c" in given


def attributes_of_tensors(x):
    return x.T, x.ndim, x.requires_grad, x.dtype == torch.float32, x.shape, x.is_cuda, x.numel(), x.size(-1)


def constructors(x):
    return (
        torch.zeros(2, 3), torch.ones([2]), torch.arange(5), torch.full([2, 2], 7.0), torch.eye(3),
        torch.tensor([1.0, 2.0]), torch.ones_like(x), torch.zeros(2, dtype=torch.int64), torch.linspace(0, 1, 3),
    )  # fmt: skip


def casts(x):
    return x.to(torch.float64), x.int(), x.long().float(), x.type_as(x.double())


def several_results(x):
    values, where = x.max(dim=1)
    parts = torch.split(x, 2, dim=1)
    top, _ = torch.topk(x, 2)
    return values, where, parts[0] + parts[1], top, x.sort(dim=0)[0]


def nested_lists(given: List[List[int]]):
    total = 0
    for row in given:
        for each in row:
            total += each
    return total, given[0][1]


def new_style(x: torch.Tensor, sizes: list[int] | None) -> tuple[torch.Tensor, int]:
    if sizes is None:
        return x, 0
    return x * sizes[0], len(sizes)


def power_iteration(x):
    v = torch.ones(x.size(0), dtype=x.dtype)
    for _ in range(5):
        v = x @ v
        v = v / v.norm()
    return v


def fibonacci(n: int) -> int:
    a, b = 0, 1
    while n > 0:
        a, b = b, a + b
        n -= 1
    return a


def negative_step(n: int):
    found: List[int] = []
    for i in range(n, 0, -2):
        found.append(i)
    return found


def unpack_star(given: List[int]):
    first, second, third, fourth = given
    return first + fourth, second * third


def chained_comparison(x, n: int):
    if 1 < n < 5:
        return x
    return -x


def assertion_that_holds(x):
    assert x.dim() == 1, "a row is needed"
    return x.square()


def mutates_a_list(given: List[int]):
    given.append(3)
    given.reverse()
    del given[0]
    given.sort()
    return given


def reads_shape(x):
    batch, rest = x.shape[0], x.shape[1:]
    return x.view(batch, -1), rest, x.reshape(batch * rest[0], rest[1]).transpose(0, 1)


def ignored_branch(x):
    if torch.jit.is_scripting():
        y = x + 1
    else:
        y = not_a_name(x)
    return y


def annotated_empty(x):
    found: List[int] = []
    names = torch.jit.annotate(List[str], [])
    for i in range(2):
        found.append(i)
    return x, found, len(names)


def tensors_as_numbers(x):
    n = 1.5
    if bool(x < 100):
        n = x
    return _gives_a_number(x) + n, _takes_a_number(x)


def _gives_a_number(x) -> float:
    return x * 2


def _takes_a_number(r: float):
    return r + 1.0


# Modules: made by the name here, called with the arguments in MODULES


MODULES = {
    "Perceptron": ("4, 3", ["f(2, 4)", "f(7, 4)"]),
    "Stacked": ("", ["f(2, 4)"]),
    "Counting": ("", ["f(3)", "f(3)"]),
    "Named": ("", ["f(2, 4)"]),
    "WithMethods": ("", ["f(2, 4)", "f(2, 4), 3"]),
    "Residual": ("False", ["f(2, 3, 6, 6)"]),
    "Residual ": ("True", ["f(2, 3, 6, 6)"]),
    "Gated": ("", ["f(5, 2, 4)"]),
    "Attention": ("8, 2", ["f(3, 5, 8)", "f(3, 5, 8), f(5, 5)"]),
    "WithConstants": ("", ["f(2, 4)"]),
    "DictResult": ("", ["f(2, 4)"]),
    "Indexed": ("", ["f(2, 4)"]),
    "Pooled": ("", ["f(2, 3, 8, 8)"]),
}


class Perceptron(nn.Module):
    def __init__(self, wide: int, out: int):
        super().__init__()
        self.first = nn.Linear(wide, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, out)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.last(x)


class Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.head = nn.Sequential(nn.Linear(4, 2), nn.Tanh())

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = x.relu()
        return self.head(x)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(3))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.seen += x.size(0)
        self.mean = self.mean * 0.5 + x.detach() * 0.5
        return x + self.mean, self.calls


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleDict({"left": nn.Linear(4, 3), "right": nn.Linear(4, 3)})

    def forward(self, x):
        found: Dict[str, torch.Tensor] = {}
        for name, branch in self.branches.items():
            found[name] = branch(x)
        return found["left"] + found["right"], len(found)


class WithMethods(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.scale = 2.0

    def helper(self, x, times: int):
        for _ in range(times):
            x = self.fc(x) * self.scale
        return x

    def forward(self, x, times: int = 2):
        return self.helper(x, times) + self.helper(x, 1)


class Residual(nn.Module):
    def __init__(self, shrinks: bool):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, stride=2 if shrinks else 1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(3, 3, 1, stride=2) if shrinks else None

    def forward(self, x):
        kept = x
        out = self.norm(self.conv(x))
        if self.shortcut is not None:
            kept = self.shortcut(x)
        out += kept
        return self.relu(out)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        out, (h, c) = self.rnn(x)
        return self.out(out[-1]), h, c


class Attention(nn.Module):
    def __init__(self, wide: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(wide, 3 * wide)

    def forward(self, x, mask: Optional[torch.Tensor] = None):
        b, t, c = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = q.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        k = k.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        v = v.view(b, t, self.heads, c // self.heads).transpose(1, 2)
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(c // self.heads)
        if mask is not None:
            scores = scores + mask
        return (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(b, t, c)


class WithConstants(nn.Module):
    __constants__ = ["factor", "depth"]

    def __init__(self):
        super().__init__()
        self.factor = 3
        self.depth = 2
        self.sizes = [4, 2]
        self.act = F.relu

    def forward(self, x):
        for _ in range(self.depth):
            x = self.act(x) * self.factor
        return x.reshape(self.sizes)


class DictResult(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x) -> Dict[str, torch.Tensor]:
        out = self.fc(x)
        return {"out": out, "twice": out * 2}


class Indexed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 2)])

    def forward(self, x):
        if self.training:
            x = x * 2
        return self.layers[1](self.layers[0](x)) + self.layers[1].weight.sum()


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 2))

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(self.pool(x), 1)
        return self.classifier(x)
