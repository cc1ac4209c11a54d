"""The table's other rows: what moves elements (shape, joining, indexing, in-place forms), what stands behind layers."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import ALL, EVERY, FLOATS, HALVES, THREE, In, ones, pairs, row

MOVES = [*THREE, In((2, 3, 4), "normal", "expanded")]

# -- shape

row("reshape", lambda t, a: t.reshape(a, (4, -1)), MOVES, dtypes=EVERY, covers="_view _copy_reshape")
row("reshape of one", lambda t, a: a.reshape(1, 1), [In(()), In((1,))], covers="reshape _view")
row("view", lambda t, a: a.view(6, 4), [In((2, 3, 4))], dtypes=ALL, covers="_view")
row("view_as", lambda t, a, b: a.view_as(b) * b, [(In((2, 6)), In((3, 4)))], covers="_view view")
row("permute", lambda t, a: t.permute(a, (2, 0, -2)), THREE[:1], dtypes=ALL)
row("transpose", lambda t, a: t.transpose(a, 0, -1), MOVES, dtypes=ALL)
row("t", lambda t, a: a.t(), [In((3, 4)), In((3,)), In(())], covers="_t")
row("T", lambda t, a: a.T * 1, [In((3, 4))], covers="permute")
row("expand", lambda t, a: a.expand(2, -1, 4), [In((3, 1)), In((3, 4)), In((1, 3, 1))], dtypes=ALL)
row("expand_as", lambda t, a, b: a.expand_as(b) * b, [(In((3, 1)), In((2, 3, 4)))], covers="expand")
row("unsqueeze", lambda t, a: (t.unsqueeze(a, 0), a.unsqueeze(-1)), [*THREE, In(())], dtypes=ALL)
row("squeeze", lambda t, a: t.squeeze(a), [In((1, 3, 1)), In((2, 3)), In(())], dtypes=ALL)
row(
    "squeeze.dim",
    lambda t, a: (a.squeeze(0), a.squeeze(-1)),
    [In((1, 3, 1)), In((2, 3)), In(())],
    covers="squeeze",
)
row("flatten", lambda t, a: (t.flatten(a), a.flatten(1), t.flatten(a, 0, 1)), THREE, dtypes=ALL)
row("flatten of 0-d", lambda t, a: t.flatten(a), [In(())], covers="flatten")
row(
    "cat",
    lambda t, a, b: t.cat([a, b, a], 1),
    [(In((2, 3)), In((2, 1))), (In((2, 0)), In((2, 2)))],
    dtypes=EVERY,
    covers="index _index_view",
)
row("cat with an empty one", lambda t, a, b: t.cat([a, b]), [(In((0,)), In((2, 2)))], covers="cat")
row(
    "cat of dtypes",
    lambda t, a, b: t.cat((a, b.double()), -1),
    [(In((2, 3)), In((2, 1)))],
    dtypes=("float32",),
    smooth=False,
    covers="cat",
)
row(
    "stack",
    lambda t, a, b: (t.stack([a, b]), t.stack((a, b), -1)),
    [(In((2, 3)), In((2, 3))), (In(()), In(()))],
    dtypes=EVERY,
)
row(
    "split",
    lambda t, a: (*t.split(a, 2, 1), *a.split([1, 1])),
    [In((2, 5))],
    dtypes=ALL,
    covers="_index_view",
)
row(
    "chunk",
    lambda t, a: (*t.chunk(a, 2, 1), *a.chunk(5)),
    [In((2, 5))],
    dtypes=ALL,
    covers="_index_view split",
)
row(
    "unbind",
    lambda t, a: (*t.unbind(a), *a.unbind(-1)),
    [In((2, 3)), In((2, 2, 2))],
    dtypes=ALL,
    covers="_select_view",
)

# -- indexing

GRID = [In((4, 5)), In((4, 5), "normal", "transposed"), In((4, 5), "normal", "strided")]
VIEWED = {
    "index": lambda t, a: (
        a[1],
        a[-1, 2],
        a[1:3],
        a[:, ::2],
        a[..., 0],
        a[None, 1:, None],
        a[:, -2:],
        a[2:2],
    ),
    "index of 0-d": lambda t, a: (a[0, 0][None], a[0, 0][...]),
}
for name, run in VIEWED.items():
    row(name, run, GRID, dtypes=ALL, covers="index _index_view _select_view index_scatter")
COPIED = {
    "index by list": lambda t, a: (a[[0, 2, 0]], a[:, [1, 1]], a[[0, 1], [2, 3]], a[[-1]]),
    "index by tensor": lambda t, a: (a[t.tensor([[0, 1], [3, 3]])], a[1:, t.tensor([0, 0])], a[t.tensor(2)]),
    "index by mask": lambda t, a: (
        a[t.tensor([True, False, True, False])],
        a[t.arange(20).reshape(4, 5) > 7],
    ),
    "index by bool": lambda t, a: (a[True], a[None][False]),
    "index apart": lambda t, a: a[None][:, [0, 1], :, None][..., 0],
    "index by separated lists": lambda t, a: a.reshape(2, 2, 5)[[0, 1, 1], :, [4, 0, 0]],
}
for name, run in COPIED.items():
    row(name, run, GRID, dtypes=ALL, covers="index _index_copy index_scatter")
row("iteration", lambda t, a: [each * 2 for each in a], GRID[:1], covers="index")


def _assigned(a, key, value):
    changed = a * 1
    changed[key] = value
    return changed


row(
    "set item",
    lambda t, a, b: _assigned(a, 1, b),
    [(In((3, 4)), In((4,))), (In((3, 4)), In(()))],
    covers="strided_put strided_pick _copied",
)
row(
    "set slice",
    lambda t, a, b: _assigned(a, (slice(None), slice(1, 3)), b),
    [(In((3, 4)), In((3, 1)))],
    covers="strided_put strided_pick _copied",
)
row("set by list", lambda t, a, b: _assigned(a, [2, 0], b), [(In((3, 4)), In((2, 4)))], covers="index_put")
row("set by mask", lambda t, a: _assigned(a, a > 0, 0.5), [In((3, 4))], covers="index_put")
row(
    "set a frozen tensor",
    lambda t, a, b: _assigned(a.detach(), 0, b),
    [(In((3, 4)), In((4,)))],
    smooth=False,
    covers="_copied",
)
row(
    "set a number", lambda t, a: _assigned(a, (0, slice(1, 3)), 2.5), [In((3, 4))], covers="strided_put _fill"
)
row("set one by one", lambda t, a, b: _assigned(_assigned(a, (0, 1), b), 1, b), [(In((3, 4)), In(()))])


def _through_views(t: Any, a: Any, b: Any) -> Any:
    """A view that is changed, one that sees the change, and their base."""
    base = a * 1
    changed, other = base[1:], base.transpose(0, 1)[:2]
    changed.mul_(b)
    changed[:, 0].sin_()
    return base + 0, changed * 2, other * 3


row(
    "change through a view",
    _through_views,
    [(In((3, 4)), In((4,))), (In((3, 4)), In(()))],
    covers="strided_put strided_pick strided_add sin_",
)


def _base_changed(t: Any, a: Any, b: Any) -> Any:
    base = a * 1
    rows, wide = base[0], base[0].expand(2, 4)
    base.mul_(b)
    return rows * 2, wide * b


row(
    "change of a base",
    _base_changed,
    [(In((3, 4)), In((4,)))],
    covers="strided_pick strided_add",
)
row(
    "as_strided",
    lambda t, a: (t.as_strided(a * 1, (2, 2), (1, 2), 1), (a * 1).as_strided((3, 3), (1, 1))),
    [In((3, 4))],
    covers="strided_view strided_add",
)
row("contiguous.T", lambda t, a: a.T.contiguous() * 1, [In((3, 4))], covers="contiguous clone")

# -- complex numbers, from real parts and back, so that every gradient is of a real loss

PARTS = [(In((3, 4)), In((3, 4))), (In(()), In(()))]
row(
    "complex",
    lambda t, a, b: t.view_as_real(t.complex(a, b) * 1),
    PARTS,
    covers="view_as_real view_as_complex",
)
row(
    "complex product",
    lambda t, a, b: t.view_as_real(t.complex(a, b) * t.complex(b, a * a)),
    PARTS,
    covers="mul conj complex",
)
row(
    "real and imag",
    lambda t, a, b: (t.real(t.complex(a, b) * t.complex(b, b)), t.imag(t.complex(a, b).conj() * 1)),
    PARTS,
    covers="_real _imag real imag conj complex",
)
row(
    "view_as_complex",
    lambda t, a: t.view_as_real(t.view_as_complex(a * 1) * t.view_as_complex(a * 2)) * 1,
    [In((3, 2)), In((2, 3, 2))],
    covers="view_as_complex view_as_real",
)

# -- in-place forms: on a copy, whose history they become part of

for name in "abs ceil cos exp floor neg relu round sigmoid tanh".split():
    row(
        f"{name}_",
        lambda t, a, n=name: getattr(a * 1, n + "_")() * a,
        ones("nonzero"),
        smooth=False,
        covers=name,
    )
for name in "log reciprocal rsqrt sqrt".split():
    row(f"{name}_", lambda t, a, n=name: getattr(a * 1, n + "_")() * a, ones("positive"), covers=name)
for name in "add sub mul div".split():
    row(
        f"{name}_",
        lambda t, a, b, n=name: getattr(a * 1, n + "_")(b),
        pairs("normal", "nonzero")[:1],
        covers=name,
    )
    row(
        f"{name}_ broadcast",
        lambda t, a, b, n=name: getattr(a * 1, n + "_")(b),
        [(In((2, 3)), In((3,), "nonzero"))],
    )
row("pow_", lambda t, a: (a * 1).pow_(3), ones(), covers="pow")
row("clamp_", lambda t, a: (a * 1).clamp_(-0.5, 0.5), ones(), covers="clamp")


def _augmented(t, a, b):
    changed = a * 1
    changed += b
    changed *= a
    changed -= 2
    changed /= b
    return changed


row("augmented assignment", _augmented, pairs("normal", "nonzero")[:1], covers="add mul sub true_divide")
row("copy_", lambda t, a, b: (a * 1).copy_(b) * a, [(In((2, 3)), In((3,)))], covers="expand")
row("fill_", lambda t, a: (a * 1).fill_(3) * a, ones(), covers="")
row("zero_", lambda t, a: (a * 1).zero_() + a, ones(), covers="")

# -- what stands behind layers (every option: tests/oracle/test_layers.py)

CLASSES = [In((4, 3)), In((2, 3, 2)), In((3, 4), "normal", "transposed")]
row("softmax", lambda t, a: t.softmax(a, 1), CLASSES, dtypes=HALVES)
row("softmax of 0-d", lambda t, a: t.softmax(a, 0), [In(())], covers="softmax")
row("log_softmax", lambda t, a: t.log_softmax(a, 1), CLASSES, dtypes=HALVES)
row(
    "log_softmax far out",
    lambda t, a: t.log_softmax(a * 1000, -1),
    [In((3, 4), "apart")],
    smooth=False,
    covers="log_softmax",
)
TARGETS = [
    (In((4, 3)), In((4,), "below 3", dtype="int64", grad=False)),
    (In((2, 3, 2)), In((2, 2), "below 3", dtype="int64", grad=False)),
]
for reduction in ("mean", "sum", "none"):
    row(
        f"nll_loss.{reduction}",
        lambda t, a, y, r=reduction: t.nn.functional.nll_loss(a * a, y, reduction=r),
        TARGETS,
        covers="nll_loss nll_loss_route",
    )
NORMALISED = [(In((4, 3)), In((3,)), In((3,))), (In((2, 3, 2, 2)), In((3,)), In((3,)))]
row(
    "batch_norm",
    lambda t, a, w, b: t.nn.functional.batch_norm(a, None, None, w, b, True),
    NORMALISED,
    dtypes=FLOATS,
)
row(
    "batch_norm plain",
    lambda t, a, w, b: t.nn.functional.batch_norm(a, None, None, training=True) * 1,
    NORMALISED,
    covers="batch_norm",
)
