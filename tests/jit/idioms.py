"""More functions that are scripted by PyTorch and by distrt, as those in ``programs.py``: idioms of public scripts."""
# ruff: noqa

from typing import Dict, List, Optional, Tuple

CASES = {
    "sizes_in_a_loop": ["f(3), [1,2]"],
    "causal_mask": ["f(4,4)"],
    "dict_methods": ["{'a': 1}"],
    "annotated_list": ["f(3)"],
    "unpacked_size": ["f(2,3)"],
    "text_methods": ["'a,b c'"],
    "endless_while": ["f(5)"],
    "shapes_and_einsum": ["f(2,3,4)"],
    "return_from_two_loops": ["f(3)"],
    "tuple_parameter": ["f(3), (1, 2.0)"],
    "list_of_tensors": ["[f(2), f(2)]"],
    "masks_in_place": ["f(3)"],
    "halves": ["f(4)"],
    "lists_of_lists": ["3"],
    "linear_algebra": ["f(3,3)"],
    "dtypes": ["f(3)"],
    "negated_none_check": ["f(3), None", "f(3), f(3)"],
    "negations": ["f(3)"],
    "branch_never_taken": ["f(2,2)"],
    "chunks": ["f(6)"],
    "padding": ["f(2,3)"],
    "nested_enumerate": ["f(3)"],
    "list_arithmetic": ["[1,2,3]"],
    "clamps": ["f(3)"],
    "unpacked_list": ["f(3)"],
    "two_statements_without_gradient": ["f(3)"],
    "optional_result": ["5"],
    "in_place_chain": ["f(3)"],
}


def sizes_in_a_loop(x, sizes: List[int]):
    # type: (Tensor, List[int]) -> Tensor
    n = 1
    for s in sizes:
        n *= s
    return x * n


def causal_mask(x):
    mask = torch.tril(torch.ones(x.size(0), x.size(0), dtype=torch.bool))
    return x.masked_fill(~mask, float("-inf")).softmax(-1)


def dict_methods(d: Dict[str, int]):
    d["b"] = d["a"] + 1
    keys = list(d.keys())
    return sorted(keys), d.pop("a"), "a" in d, d.setdefault("z", 5), len(d)


def annotated_list(x):
    out = torch.jit.annotate(List[Tensor], [])
    for i in range(3, 0, -1):
        out += [x * i]
    return torch.stack(out), out[-1]


def unpacked_size(x):
    b, c = x.size()
    idx = torch.arange(c, device=x.device).unsqueeze(0).expand(b, -1)
    return torch.gather(x, 1, idx), x.new_zeros(b), x.mean(dim=[0, 1]), x.std(dim=0, unbiased=False)


def text_methods(s: str):
    parts = s.split(",")
    return (
        parts,
        s.replace("a", "z"),
        s.find("b"),
        s[1:],
        "%s-%d" % (s, 3),
        s.strip(),
        int("12"),
        float("1.5"),
    )


def endless_while(x):
    i = 0
    total = 0.0
    while True:
        if i >= x.size(0):
            break
        total += float(x[i])
        i += 1
    return total


def shapes_and_einsum(x):
    q = x.permute(2, 0, 1).contiguous().view(4, -1)
    return torch.einsum("ij,kj->ik", q, q), torch.cat([q, q], dim=1).shape, q.numel()


def return_from_two_loops(x):
    y = x
    for _ in range(2):
        for _ in range(2):
            if bool(y.sum() > 100):
                return y
            y = y + 1
    return y


def tuple_parameter(x, p: Tuple[int, float]):
    a, b = p
    return x * a + b + p[0]


def list_of_tensors(xs: List[torch.Tensor]):
    return torch.cat([x.unsqueeze(0) for x in xs], 0), [x.size(0) for x in xs]


def masks_in_place(x):
    y = torch.zeros_like(x)
    y[x > 0] = 1
    y[0:2] += 5
    return y


def halves(x):
    a = x[:2]
    b = x[2:]
    c = a if bool(a.sum() > b.sum()) else b
    return (c, a + b)


def lists_of_lists(n: int):
    acc: List[List[int]] = []
    for i in range(n):
        row: List[int] = []
        for j in range(i):
            row.append(i * j)
        acc.append(row)
    return acc, [len(r) for r in acc], max([1, 2]), n**2, -7 // 2, -7 % 3, 7 / 2


def linear_algebra(x):
    return x.t() @ x, torch.linalg.norm(x), x.abs().max(), x.argmax(dim=1), torch.triu(x), x.diagonal()


def dtypes(x):
    assert isinstance(x, torch.Tensor)
    dtype = x.dtype
    return torch.ones(2, dtype=dtype) + x.to(dtype)[:2]


def negated_none_check(x, y: Optional[torch.Tensor]):
    if y is None:
        z = x
    else:
        z = x + y
    if not (y is None):
        z = z * y
    return z


def negations(x):
    def_val = 1 if x.dim() == 1 else 2
    return x * def_val, -(x.abs() ** 2), not bool(x[0] > 1000)


def branch_never_taken(x):
    u = x.view(-1).tolist() if False else x
    return u


def chunks(x):
    a, b, c = torch.chunk(x, 3)
    parts = x.split([2, 4])
    return a, parts[1], torch.unbind(x.view(2, 3))[0], len(parts)


def padding(x):
    x = F.pad(x, [1, 1], "constant", 0.0)
    return F.interpolate(x[None], scale_factor=2.0, mode="nearest")


def nested_enumerate(x):
    s = 0
    for i, v in enumerate([1, 2, 3]):
        s += i * v
    for k, (a, b) in enumerate(zip([1, 2], [3, 4])):
        s += k * a * b
    return x * s


def list_arithmetic(v: List[int]):
    a = v[::-1]
    b = v + [4]
    b[0], b[1] = b[1], b[0]
    return a, b, v[-1], v.index(2), v.count(1), [0] * 3, v == [1, 2, 3], 2 in v


def clamps(x):
    return (
        torch.where(x > 0, x, torch.zeros(1)),
        torch.clamp(x, min=0.0),
        x.clamp(-1, 1),
        x.ge(0).all(),
        x.item() if x.numel() == 1 else 0.0,
    )


def unpacked_list(x):
    lst = [x, x * 2]
    y, z = lst
    return y + z, torch.max(lst[0], lst[1]), torch.stack(lst).sum(0)


def two_statements_without_gradient(x):
    with torch.no_grad():
        y = x * 2
        y = y + 1
    return y * x


def optional_result(n: int) -> Optional[int]:
    if n > 3:
        return n
    return None


def in_place_chain(x):
    y = x.detach().clone().requires_grad_(False)
    y.add_(1).mul_(2.0)
    y.zero_()
    return y, x.shape == y.shape, x.device == y.device, x.dtype is not None


def comment_types(x, n, names):
    # type: (Tensor, int, List[str]) -> Tuple[Tensor, int]
    found = torch.jit.annotate(List[int], [])
    for i in range(n):
        found.append(i)
    return x * n, len(found) + len(names)


CASES["comment_types"] = ["f(3), 2, ['a']"]
