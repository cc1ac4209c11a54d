"""The code of a `Loop`, in CUDA: one launch for many sets of arrays, a block for each stretch of a set."""

from __future__ import annotations

from distrt.core.kernels.cuda.launching import C_TYPES
from distrt.core.kernels.loops import Loop, Step

__all__ = ["PER_BLOCK", "THREADS", "code_of", "computed_type"]

THREADS = 256
_AT_ONCE = 4  # elements of each thread that are under way together, so that memory is kept busy
PER_BLOCK = THREADS * _AT_ONCE * 2

_STORED = {dtype.name: name for dtype, name in C_TYPES.items()}
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_CALLED = {"max": "larger", "min": "smaller", "float16": "as_float16", "bfloat16": "as_bfloat16"}


def computed_type(loop: Loop) -> str:
    """The dtype that a loop computes in."""
    return "double" if loop.dtype == "float64" else "float"


def code_of(loop: Loop, capacity: int) -> str:
    """A kernel "run" for up to ``capacity`` sets of arrays.

    Constants are among the arguments, or where ``far`` says, so that they can change in a captured graph. ``divisor``
    is what gradients (the second array's elements) are divided by, and ``skip`` is not 0 where nothing is
    to be done: each in the GPU's memory, so that nobody waits for them, or 0 for none.
    """
    kind = computed_type(loop)
    places = "\n    ".join(
        f"{_stored(loop, n)}* a{n} = at_address<{_stored(loop, n)}>(sets.pointers[set * {loop.arrays} + {n}]);"
        for n in range(loop.arrays)
    )
    read = [n for n in range(loop.arrays) if n in _used(loop)]
    loads = "\n            ".join(f"{kind} v{n} = g{n}[k];" for n in read)
    held = "\n        ".join(f"{kind} g{n}[{_AT_ONCE}];" for n in read)
    fetched = "\n            ".join(f"g{n}[k] = widened(a{n}[at]){_divided(n)};" for n in read)
    first_step = loop.arrays + loop.constants
    steps = "\n            ".join(
        f"{kind} v{first_step + number} = {_expression(loop, step)};"
        for number, step in enumerate(loop.steps)
    )
    stores = "\n            ".join(
        f"put(a{array} + at, {_name(loop, value)});" for array, value in loop.stores
    )
    return f"""
struct Sets {{
    u64 pointers[{capacity * loop.arrays}];
    i64 sizes[{capacity}];
    {kind} constants[{max(1, loop.constants)}];
    u64 far;
    int starts[{capacity}];
    int count;
}};

extern "C" __global__ void run(const Sets sets, u64 divisor, u64 skip) {{
    if (skip && *at_address<float>(skip) != 0) return;
    const {kind}* constants = sets.far ? at_address<const {kind}>(sets.far) : sets.constants;
    const {kind} scale = divisor ? ({kind})*at_address<float>(divisor) : 1;
    int set = 0;
    for (int below = sets.count; below - set > 1;) {{
        int middle = (set + below) / 2;
        if ((int)blockIdx.x < sets.starts[middle]) below = middle; else set = middle;
    }}
    {places}
    const i64 first = (i64)((int)blockIdx.x - sets.starts[set]) * {PER_BLOCK} + threadIdx.x, size = sets.sizes[set];
    for (i64 from = first; from < first + {PER_BLOCK} && from < size; from += {THREADS * _AT_ONCE}) {{
        {held}
        #pragma unroll
        for (int k = 0; k < {_AT_ONCE}; k++) {{
            const i64 at = from + k * {THREADS};
            if (at >= size) break;
            {fetched}
        }}
        #pragma unroll
        for (int k = 0; k < {_AT_ONCE}; k++) {{
            const i64 at = from + k * {THREADS};
            if (at >= size) break;
            {loads}
            {steps}
            {stores}
        }}
    }}
}}
"""


def _divided(array: int) -> str:
    return " / scale" if array == 1 else ""


def _used(loop: Loop) -> set[int]:
    return {each for step in loop.steps for each in step.operands} | {value for _, value in loop.stores}


def _stored(loop: Loop, array: int) -> str:
    return "bfloat16" if array in loop.halves else _STORED[loop.dtype]


def _name(loop: Loop, value: int) -> str:
    """A value by its number, as in `Loop`."""
    if loop.arrays <= value < loop.arrays + loop.constants:
        return f"constants[{value - loop.arrays}]"
    return f"v{value}"


def _expression(loop: Loop, step: Step) -> str:
    given = [_name(loop, each) for each in step.operands]
    match step.verb:
        case "add" | "sub" | "mul" | "div":
            return f"{given[0]} {_INFIX[step.verb]} {given[1]}"
        case "neg":
            return f"-{given[0]}"
        case "abs" | "sqrt":
            name = "fabs" if step.verb == "abs" else "sqrt"
            return f"{name}{'' if computed_type(loop) == 'double' else 'f'}({given[0]})"
        case "max" | "min" | "float16" | "bfloat16":
            return f"{_CALLED[step.verb]}({', '.join(given)})"
        case "by_sign":
            return "{0} > 0 ? {1} : {0} < 0 ? {2} : {3}".format(*given)
        case "from_exponent":
            return f"__uint_as_float(__float_as_uint({given[0]}) << 23)"
    raise AssertionError(step.verb)
