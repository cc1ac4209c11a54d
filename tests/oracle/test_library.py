"""``torch.library``: operations of one's own, beside PyTorch's."""

from typing import Any

import pytest

import distrt
from distrt.library import OpCheckError, custom_op, infer_schema, opcheck
from tests.oracle.scripts import assert_same_outcomes

OPERATIONS = """
Tensor, lib = t.Tensor, t.library
@lib.custom_op("claims::sine", mutates_args=(), schema="(Tensor x) -> Tensor")
def sine(x): return t.from_numpy(__import__("numpy").sin(x.numpy()))
x = t.tensor([0.5, 1.0], requires_grad=True)
sine, sine(t.ones(2)), t.ops.claims.sine(t.ones(2)), t.ops.claims.sine.default(x=t.ones(2)), t.ops.claims.sine.default
str(t.ops.claims.sine.default._schema)
sine(x).requires_grad
sine(x).sum().backward()
def setup(ctx, inputs, output): ctx.save_for_backward(*inputs)
def backward(ctx, g): return g * ctx.saved_tensors[0].cos()
sine.register_autograd(backward, setup_context=setup)
sine(x).sum().backward()
x.grad
_ = sine.register_fake(lambda x: t.empty_like(x))
sine(t.ones(2, 3, device="meta")).shape, sine(t.ones(2, device="meta")).device
@lib.custom_op("claims::total", mutates_args=(), schema="(Tensor[] xs, int k=2, float? s=None) -> (Tensor, Tensor)")
def total(xs, k=2, s=None): return sum(xs) * k * (s or 1), xs[0].clone()
total([t.ones(1), t.ones(1)]), total([t.ones(1)], k=5), total([t.ones(1)], 2, 3.0)
t.ops.claims.total([t.ones(1)], s=2.0)
def keep(ctx, inputs, output): ctx.inputs = inputs
def spread(ctx, g, h): return [g * ctx.inputs[1] for _ in ctx.inputs[0]], None, None
total.register_autograd(spread, setup_context=keep)
a, b = t.ones(1, requires_grad=True), t.ones(1, requires_grad=True)
total([a, b], 3, 1.0)[0].backward()
a.grad, b.grad
@lib.custom_op("claims::grow_", mutates_args={"x"}, schema="(Tensor(a0!) x) -> ()")
def grow_(x): x.add_(1)
z = t.zeros(2)
grow_(z), z, str(t.ops.claims.grow_.default._schema)
grow_.register_autograd(backward)
y = t.ones(2, requires_grad=True) * 2
grow_(y), y.requires_grad, y.grad_fn.name()
z = t.ones(2, requires_grad=True)
product = z * z
grow_(z)
product.sum().backward()
@lib.custom_op("claims::unseen_", mutates_args={"x"}, schema="(Tensor(a0!) x) -> ()")
def unseen_(x): x.numpy()[:] = 7
z = t.ones(2)
product = z * t.ones(2, requires_grad=True)
unseen_(z), z
product.sum().backward()
sees_schema = "(Tensor x, float f, int i, bool b, Scalar n, float[] fs, Device? d, int[2] w) -> Tensor"
@lib.custom_op("claims::sees", mutates_args=(), schema=sees_schema)
def sees(x, *rest): return seen.append(rest) or x + 1
seen = []
_ = sees(x.detach(), 1, True, 1, 3, (1, 2), "cpu", 4)
_ = sees(x.detach(), t.tensor(2.0), t.tensor(3), t.tensor(1), 2.5, [], None, (1, 2))
repr(seen)
copy.deepcopy(t.ops.claims.sine) is not None, copy.deepcopy(t.ops.claims.sine.default)(t.zeros(1))
@lib.custom_op("claims::both", mutates_args=(), device_types="cpu", schema="(Tensor x, *, bool flip=False) -> Tensor[]")
def both(x, *, flip=False): return [x + 1, -x] if flip else [-x, x + 1]
both(t.ones(1)), both(t.ones(1), flip=True)
mine = lib.Library("claims2", "DEF")
mine.define("scale(Tensor x, float k=2.0) -> Tensor")
mine.impl("scale", lambda x, k=2.0: x * k, "CPU")
t.ops.claims2.scale(t.ones(2)), t.ops.claims2.scale(t.ones(2), 3.0), t.ops.claims2.scale.default(t.ones(2), k=4.0)
lib.register_autograd("claims2::scale", lambda ctx, g: (g * ctx.inputs[1], None), setup_context=keep)
x.grad = None
t.ops.claims2.scale(x, 3.0).sum().backward()
x.grad
mine.define("parts(Tensor x) -> Tensor")
mine.impl("parts", lambda x: (x * 3).exp(), "CompositeImplicitAutograd")
t.ops.claims2.parts(x).grad_fn.name()
lib.define("claims3::double", "(Tensor x) -> Tensor")
@lib.impl("claims3::double", "default")
def double(x): return x * 2
t.ops.claims3.double(t.ones(1))
@lib.define(mine, "older(Tensor x) -> Tensor")
def older(x): return x + 1
mine.define("oldest(Tensor x) -> Tensor")
@lib.impl(mine, "oldest", "CPU")
def oldest(x): return x + 2
mine.define("plain(Tensor x) -> Tensor")
@lib.impl(mine, "plain")
def plain(x): return x + 3
older(t.ones(1)), t.ops.claims2.older(t.ones(1)), t.ops.claims2.oldest(t.ones(1)), t.ops.claims2.plain(x).grad_fn.name()
t.ops.claims2.nothing
t.ops.claims.sine.nothing
"""

#: Calls that are refused: the kind of error is PyTorch's, and how its text begins.
REFUSED = """
@lib.custom_op("claims::one", mutates_args=(), schema="(Tensor x) -> Tensor")
def one(x): return x
one(t.ones(1))
one(1)
one()
one(t.ones(1), 2)
one(t.ones(1), zz=1)
lib.custom_op("nothing", lambda x: x, mutates_args=(), schema="(Tensor x) -> Tensor")
more = lib.Library("claims4", "FRAGMENT")
more.define("alone(Tensor x) -> Tensor")
more.define("alone(Tensor x) -> Tensor")
t.ops.claims4.alone(t.ones(1))
lib.Library("claims4", "ELSE")
x, a, b = [t.ones(1, requires_grad=True) for _ in range(3)]
lib.define("claims5::sees", "(Tensor x, float f, int i, bool b, Scalar n, float[] fs, Device? d, int w) -> Tensor")
@lib.impl("claims5::sees", "default")
def sees(x, *rest): return x + 1
sees = t.ops.claims5.sees
sees(x, "a", 1, True, 3, [1.0], None, 4)
sees(x, 1.0, 1.5, True, 3, [1.0], None, 4)
sees(x, 1.0, 1, "a", 3, [1.0], None, 4)
sees(x, 1.0, 1, True, x, [1.0], None, 4)
sees(x, 1.0, 1, True, 1, 1.0, None, 4)
sees(x, 1.0, 1, True, 1, ["a"], None, 4)
sees(x, 1.0, 1, True, 1, [], 3.5, 4)
sees(x, 1.0, 1, True, 1, [], None, 4, x=x)
@lib.custom_op("claims5::pair", mutates_args=(), schema="(Tensor x, Tensor y, *, float k=1.0) -> Tensor")
def pair(x, y, *, k=1.0): return x + y
def of_pair(gradients):
    pair.register_autograd(lambda ctx, g: gradients(g))
    return t.autograd.grad(pair(x, x * 1).sum(), x)
of_pair(lambda g: (g, g))
of_pair(lambda g: (g, g, None))
of_pair(lambda g: g)
of_pair(lambda g: (g, g, g))
@lib.custom_op("claims5::total", mutates_args=(), schema="(Tensor[] xs) -> Tensor")
def total(xs): return sum(xs) * 2
total.register_autograd(lambda ctx, g: [g])
total([a, b]).backward()
pair(x, x, 2.0)
"""


def test_operations_of_ones_own_are_as_in_pytorch(torch: Any) -> None:
    assert_same_outcomes(OPERATIONS, torch)
    # PyTorch forgets a fake form that comes from here where many tests ran before, so this one is shown alone.
    distrt.library.register_fake("claims2::scale", lambda x, k=2.0: distrt.empty_like(x))
    assert distrt.ops.claims2.scale(distrt.ones(2, device="meta")).shape == (2,)


def test_what_does_not_fit_is_refused_as_in_pytorch(torch: Any) -> None:
    from tests.oracle.scripts import _run

    script = "lib = t.library\n" + REFUSED
    for mine, theirs in zip(_run(script, distrt), _run(script, torch), strict=True):
        assert (mine.fault is None) == (theirs.fault is None), (mine, theirs)
        assert theirs.fault is None or isinstance(mine.fault, type(theirs.fault)), (mine, theirs)


def _annotated(t: Any) -> Any:
    cpu = t.device("cpu")

    def function(
        x: t.Tensor,
        xs: list[t.Tensor],
        n: int,
        dims: list[int],
        maybe: t.Tensor | None,
        scale: float = 2.0,
        flag: bool = True,
        word: str = "a",
        kind: t.dtype | None = None,
        other: t.dtype = t.float64,
        place: t.device = cpu,
        *,
        number: int | float | bool = 1,
    ) -> tuple[t.Tensor, t.Tensor]:
        return x, x

    return function


@pytest.mark.parametrize("mutates", [(), ("x",), ("x", "xs")])
def test_signatures_come_from_annotations(mutates: Any, torch: Any) -> None:
    theirs = torch.library.infer_schema(_annotated(torch), mutates_args=mutates)
    assert infer_schema(_annotated(distrt), mutates_args=mutates) == theirs


def test_a_default_may_have_commas_and_brackets() -> None:
    @custom_op("claims::worded", mutates_args=(), schema='(Tensor x, str how="a, (b", int k=2) -> Tensor')
    def worded(x: Any, how: str, k: int) -> Any:
        return x * len(how) * k

    assert worded(distrt.ones(1)).item() == 10


def test_opcheck_finds_what_an_operation_hides() -> None:
    @custom_op("claims::changes", mutates_args=(), schema="(Tensor x) -> Tensor")
    def changes(x: Any) -> Any:
        return x.mul_(2).clone()

    with pytest.raises(OpCheckError, match="x is not defined as mutable but was mutated"):
        opcheck(changes, (distrt.ones(2),))

    @custom_op("claims::halves", mutates_args=(), schema="(Tensor x) -> Tensor")
    def halves(x: Any) -> Any:
        return x[::2].clone()

    halves.register_fake(lambda x: x.new_empty(len(x)))
    with pytest.raises(OpCheckError, match="test_faketensor"):
        opcheck(halves, (distrt.ones(4),))
    halves.register_fake(lambda x: x.new_empty(len(x) // 2))
    assert set(opcheck(halves, (distrt.ones(4),)).values()) == {"SUCCESS"}
    found = opcheck(halves, (distrt.ones(4, requires_grad=True),), raise_exception=False)
    assert "no autograd formula" in str(found["test_autograd_registration"])
    with pytest.raises(ValueError, match="expected test_utils to be subset of"):
        opcheck(halves, (distrt.ones(4),), test_utils="test_speed")


OPCHECKED = """
lib = t.library.Library("claims6", "DEF")
lib.define("twice(Tensor x) -> Tensor")
lib.impl("twice", lambda x: x + x, "CompositeImplicitAutograd")
lib.define("same(Tensor x) -> Tensor")
lib.impl("same", lambda x: x.clone(), "CPU")
lib.impl("same", lambda x: t.empty_like(x), "Meta")
checks = ("test_schema", "test_autograd_registration", "test_faketensor")
t.library.opcheck(t.ops.claims6.twice.default, (t.ones(2, requires_grad=True),), test_utils=checks)
t.library.opcheck(t.ops.claims6.same.default, (t.tensor([t.nan, 1.0]),), test_utils=checks)
"""


def test_opcheck_passes_what_pytorchs_passes(torch: Any) -> None:
    assert_same_outcomes(OPCHECKED, torch)
