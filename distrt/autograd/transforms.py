"""Function transforms: a function in, the function of its derivative out. Facade ``distrt.func`` gives them to users.

A transform runs the function on inputs of its own, so that transforms nest: what it returns is connected to whatever
the caller wants derivatives of, and not to the transform's inputs. Source: https://pytorch.org/docs/stable/func.html.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from distrt.autograd.trees import leaves_of, mapped, rebuilt, structure_of
from distrt.core import ops
from distrt.core.autograd.node import AccumulateGrad
from distrt.core.autograd.roots import grad as gradients_of
from distrt.core.creation import eye, zeros_like
from distrt.core.errors import AutogradError
from distrt.core.modes import enable_grad, is_grad_enabled
from distrt.core.tensor import Tensor

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]

#: Noted on the graph's end at an input of a transform that is done: nobody can want its gradient.
_DONE = "transform done"


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns the gradient of ``func``, whose output is one number.

    Args:
        func: takes tensors, or lists, tuples and dictionaries of them.
        argnums: which positional argument to differentiate by, or a tuple of several.
        has_aux: ``func`` returns its output with something else, which is handed on.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns the gradient of ``func`` and its output; arguments are those of :func:`grad`."""

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        with _Level() as level:
            own, given = level.inputs(args, argnums)
            output, aux = _parts(func(*given, **kwargs), has_aux, "grad_and_value(f)(*args)")
            if not isinstance(output, Tensor):
                raise AutogradError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
                )
            if output.ndim != 0:
                raise AutogradError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            found = _gradients([output], leaves_of(own), None)
        result = level.released(rebuilt(own, found))
        value = level.released(output)
        return result, ((value, level.released(aux)) if has_aux else value)

    return both


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The output of ``func``, and the function that takes a vector like it to the product with the Jacobian.

    That function returns a tuple with a gradient for each primal.
    """
    output, pull, aux = _pulled(func, primals, tuple(range(len(primals))), has_aux)

    def product(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        return pull(cotangents, retain_graph, create_graph)

    return (output, product, aux) if has_aux else (output, product)


def jvp(
    func: Function,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """The output of ``func``, and the product of its Jacobian with ``tangents``, which are like ``primals``.

    The product of a vector with the Jacobian is linear in the vector; its derivative is what is wanted here.
    """
    if not isinstance(primals, tuple):
        raise AutogradError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    if structure_of(primals) != structure_of(tangents):
        raise AutogradError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure"
        )
    value, push, aux = _pushed(func, primals, has_aux)
    result = push(tangents)
    return (value, result, aux) if has_aux else (value, result)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """The output of ``func``, and the function that takes tangents, one for each primal, to their product."""
    value, push, _ = _pushed(func, primals, has_aux=False)
    return value, lambda *tangents: push(tangents)


def jacrev(
    func: Function, argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Function:
    """The function that returns the Jacobian of ``func``: for each output and input, a tensor of both shapes.

    Args:
        func: takes and returns tensors, or lists, tuples and dictionaries of them.
        argnums: which positional argument to differentiate by, or a tuple of several.
        has_aux: ``func`` returns its output with something else, which is handed on.
        chunk_size: accepted for PyTorch's sake; rows are computed one by one.
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def jacobian(*args: Any) -> Any:
        chosen = _numbers(argnums, len(args))
        output, pull, aux = _pulled(func, args, chosen, has_aux)
        outputs = leaves_of(output)
        blocks = []
        for place, out in enumerate(outputs):
            rows = []
            for unit in eye(out.numel(), dtype=out.dtype, device=out.device).unbind():
                basis = [zeros_like(each) for each in outputs]
                basis[place] = unit.view(out.shape)
                rows.append(pull(rebuilt(output, basis), True, None))
            blocks.append(_stacked(rows, out, tuple(args[number] for number in chosen)))
        found = rebuilt(output, [block[0] if isinstance(argnums, int) else block for block in blocks])
        return (found, aux) if has_aux else found

    return jacobian


def jacfwd(
    func: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Function:
    """The function that returns the Jacobian of ``func``, which is computed as :func:`jacrev` does."""
    return jacrev(func, argnums, has_aux=has_aux, chunk_size=chunk_size)


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """The function that returns the Hessian of ``func``: for each two inputs, a tensor of both shapes."""
    return jacfwd(jacrev(func, argnums), argnums)


class _Level:
    """One transform at work: the inputs that it has made."""

    def __init__(self) -> None:
        self.ends: list[AccumulateGrad] = []
        self.tracked = is_grad_enabled()
        self.mode = enable_grad()

    def __enter__(self) -> _Level:
        self.mode.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        for end in self.ends:
            end.metadata[_DONE] = True
        self.mode.__exit__(*exception)

    def inputs(self, args: tuple[Any, ...], argnums: Argnums) -> tuple[Any, list[Any]]:
        """The arguments to differentiate by, as this transform's own tensors; and all arguments."""
        given = list(args)
        for number in _numbers(argnums, len(args)):
            given[number] = mapped(self._own, args[number])
        one = isinstance(argnums, int)
        own = [given[number] for number in _numbers(argnums, len(args))]
        return (own[0] if one else tuple(own)), given

    def _own(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(value)}")
        if value.requires_grad and self.tracked:
            return value.view_as(value)
        own = value.detach().requires_grad_()
        assert own._edge is not None
        self.ends.append(own._edge[0])  # type: ignore[arg-type]
        return own

    def released(self, result: Any) -> Any:
        """A result as the caller may have it: in the graph only where that leads to what the caller knows."""

        known: dict[int, bool] = {}

        def release(value: Any) -> Any:
            if not isinstance(value, Tensor):
                raise AutogradError(f"Expected tensors, got unsupported type {type(value)}")
            return value if self.tracked and _leads_outside(value, known) else value.detach()

        return mapped(release, result)


def _leads_outside(tensor: Tensor, known: dict[int, bool]) -> bool:
    """True where the graph behind a tensor ends at a leaf that is no input of a finished transform.

    ``known`` has the answer for each node that was met before: results of one call share most of their graph.
    """
    if tensor._edge is None:
        return False
    root = tensor._edge[0]
    inner = [(node, _nodes_behind(node)) for node in _reachable(root, known)]
    inner.sort(key=lambda each: each[0].sequence)  # what a node needs is older than it
    for node, behind in inner:
        known[id(node)] = any(known[id(each)] for each in behind)
    return known[id(root)]


def _reachable(root: Any, known: dict[int, bool]) -> list[Any]:
    """The operations behind a node that are not known yet; the leaves among them become known."""
    found = []
    waiting = [] if id(root) in known else [root]
    seen = {id(root)}
    while waiting:
        node = waiting.pop()
        if isinstance(node, AccumulateGrad):
            known[id(node)] = _DONE not in node.metadata
            continue
        found.append(node)
        for following in _nodes_behind(node):
            if id(following) not in seen and id(following) not in known:
                seen.add(id(following))
                waiting.append(following)
    return found


def _nodes_behind(node: Any) -> list[Any]:
    return [following for following, _ in node.next_functions if following is not None]


def _pulled(
    func: Function, args: tuple[Any, ...], chosen: tuple[int, ...], has_aux: bool
) -> tuple[Any, Function, Any]:
    """One run of ``func``: its output, how to pull a vector back through it, and what else it returned."""
    with _Level() as level:
        own, given = level.inputs(args, chosen)
        output, aux = _parts(func(*given), has_aux, "vjp(f, *primals)")
        outputs = leaves_of(output)
        if not outputs:
            raise AutogradError(
                "vjp(f, *primals): Expected f to be a function that has non-empty output (got output = ())"
            )
        for each in outputs:
            if not isinstance(each, Tensor):
                raise AutogradError(
                    f"vjp(f, *primals): Expected f(*primals) to return only tensors, got unsupported type {type(each)}"
                )
            if not (each.is_floating_point() or each.is_complex()):
                raise AutogradError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype "
                    f"{each.dtype}"
                )

    def pull(cotangents: Any, retain_graph: bool, create_graph: bool | None) -> Any:
        if structure_of(cotangents) != structure_of(output):
            raise AutogradError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function."
            )
        wanted = is_grad_enabled() if create_graph is None else create_graph
        found = _gradients(outputs, leaves_of(own), leaves_of(cotangents), retain_graph or wanted, wanted)
        return level.released(rebuilt(own, found))

    return level.released(output), pull, level.released(aux) if has_aux else None


def _pushed(func: Function, primals: tuple[Any, ...], has_aux: bool) -> tuple[Any, Function, Any]:
    """One run of ``func``: its output, how to push tangents through it, and what else it returned."""
    with _Level() as level:
        own, given = level.inputs(primals, tuple(range(len(primals))))
        output, aux = _parts(func(*given), has_aux, "jvp(f, primals, tangents)")
        outputs = leaves_of(output)
        weights = [zeros_like(each).requires_grad_() for each in outputs]
        pulled = _gradients(outputs, leaves_of(own), weights)

    def push(tangents: tuple[Any, ...]) -> Any:
        with enable_grad():
            found = _gradients(pulled, weights, leaves_of(tangents))
        return level.released(rebuilt(output, found))

    return level.released(output), push, level.released(aux) if has_aux else None


def _gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    vectors: Sequence[Tensor] | None,
    retain_graph: bool = True,
    create_graph: bool = True,
) -> list[Tensor]:
    """The gradients by the inputs, zeros where there are none."""
    places = [place for place, each in enumerate(outputs) if each.requires_grad]
    if not places:
        return [zeros_like(each) for each in inputs]
    found = gradients_of(
        [outputs[place] for place in places],
        list(inputs),
        None if vectors is None else [vectors[place] for place in places],
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return [zeros_like(each) if g is None else g for g, each in zip(found, inputs, strict=True)]


def _stacked(rows: list[tuple[Any, ...]], out: Tensor, primals: tuple[Any, ...]) -> tuple[Any, ...]:
    """The rows of one output's Jacobian as one tensor for each input, in the structure of the primals."""
    inputs = leaves_of(primals)
    if not rows:
        return rebuilt(primals, [each.new_zeros((*out.shape, *each.shape)) for each in inputs])  # type: ignore[no-any-return]
    columns = zip(*(leaves_of(row) for row in rows), strict=True)
    made = [
        ops.reshape(ops.stack(column), (*out.shape, *each.shape))
        for column, each in zip(columns, inputs, strict=True)
    ]
    return rebuilt(primals, made)  # type: ignore[no-any-return]


def _parts(returned: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return returned, None
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise AutogradError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return returned[0], returned[1]


def _numbers(argnums: Any, count: int) -> tuple[int, ...]:
    """The places of the arguments to differentiate by."""
    if not isinstance(argnums, int | tuple):
        raise AutogradError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    several = argnums if isinstance(argnums, tuple) else (argnums,)
    if not several:
        raise AutogradError("argnums must be non-empty")
    for each in several:
        if not isinstance(each, int):
            raise AutogradError(f"argnum must be int, got: {type(each)}")
        if not -count <= each < count:
            raise AutogradError(f"Got argnum={each}, but only {count} positional inputs")
    numbers = tuple(each % count for each in several)
    if len(set(numbers)) != len(numbers):
        raise AutogradError(f"argnums elements must be unique, got {numbers}")
    return numbers
