"""Rows of the table of op cases: normalisation as functions, in every dtype; float32 weights beside halves."""

from __future__ import annotations

from tests.oracle.op_cases import HALVES, In, row

CHANNELS = [
    (In((4, 3)), In((3,)), In((3,))),
    (In((2, 3, 5)), In((3,)), In((3,))),
    (In((2, 3, 4, 2), "normal", "transposed"), In((3,)), In((3,))),
    (In((3, 3, 2, 1, 2), "normal", "strided"), In((3,)), In((3,))),
]


def _moved(t: object, count: int = 3) -> tuple[object, object]:
    """Running statistics, the same in both libraries."""
    mean = t.tensor([0.1 * n for n in range(count)])  # type: ignore[attr-defined]
    return mean, mean + 0.5


row(
    "batch_norm in training",
    lambda t, a, w, b: t.nn.functional.batch_norm(a, None, None, w, b, True, 0.1, 1e-3),
    CHANNELS,
    dtypes=HALVES,
    covers="_batch_norm",
)
row(
    "batch_norm in training, plain",
    lambda t, a, w, b: (
        t.nn.functional.batch_norm(a, None, None, w, training=True)
        + t.batch_norm(a, None, b, None, None, True, 0.1, 1e-5, True)
    ),
    CHANNELS[1:2],
    order=1,
    covers="_batch_norm",
)
row(
    "batch_norm by running statistics",
    lambda t, a, w, b: t.nn.functional.batch_norm(
        a, *[each.to(a.dtype) for each in _moved(t)], w, b, eps=0.1
    ),
    [*CHANNELS, (In((0, 3)), In((3,)), In((3,)))],
    dtypes=HALVES,
    covers="_batch_norm_by_running",
)
row(
    "batch_norm by running statistics, plain",
    lambda t, a, w, b: (
        t.nn.functional.batch_norm(a, *[each.to(a.dtype) for each in _moved(t)], None, b)
        + t.nn.functional.batch_norm(a, *[each.to(a.dtype) for each in _moved(t)], w)
        + t.nn.functional.batch_norm(a, *[each.to(a.dtype) for each in _moved(t)])
    ),
    CHANNELS[1:2],
    order=1,
    covers="_batch_norm_by_running",
)
row(
    "batch_norm moves the statistics",
    lambda t, a: _with_statistics(t, a, t.nn.functional.batch_norm, training=True, momentum=0.3),
    [In((4, 3)), In((2, 3, 5)), In((0, 3))],
    dtypes=("float32", "float16", "bfloat16"),
    smooth=False,
    order=0,
    covers="_batch_norm",
)
row(
    "instance_norm moves the statistics",
    lambda t, a: _with_statistics(t, a, t.nn.functional.instance_norm, momentum=0.3),
    [In((4, 3, 2)), In((2, 3, 5, 2))],
    dtypes=("float32",),
    smooth=False,
    order=0,
    covers="_instance_norm",
)


def _with_statistics(t: object, a: object, function: object, **options: object) -> object:
    mean, variance = _moved(t)
    function(a, mean, variance, **options)  # type: ignore[operator]
    return t.stack([mean, variance])  # type: ignore[attr-defined]


row(
    "instance_norm",
    lambda t, a, w, b: t.nn.functional.instance_norm(a, weight=w, bias=b, eps=1e-3),
    CHANNELS[1:],
    dtypes=HALVES,
    covers="_instance_norm",
)
row(
    "instance_norm, plain",
    lambda t, a, w, b: t.nn.functional.instance_norm(a, None, None, w) + t.nn.functional.instance_norm(a),
    CHANNELS[1:2],
    order=1,
    covers="_instance_norm",
)
row(
    "instance_norm by running statistics",
    lambda t, a, w, b: t.nn.functional.instance_norm(
        a, *[each.to(a.dtype) for each in _moved(t)], w, b, use_input_stats=False
    ),
    CHANNELS[1:],
    covers="_batch_norm_by_running",
)
GROUPS = [
    (In((4, 6)), In((6,)), In((6,))),
    (In((2, 6, 5)), In((6,)), In((6,))),
    (In((2, 6, 4, 2), "normal", "transposed"), In((6,)), In((6,))),
    (In((0, 6, 2)), In((6,)), In((6,))),
]
row(
    "group_norm",
    lambda t, a, w, b: t.nn.functional.group_norm(a, 3, w, b, 1e-3),
    GROUPS,
    dtypes=HALVES,
    covers="_group_norm",
)
row(
    "group_norm, plain",
    lambda t, a, w, b: t.group_norm(a, 2, w) + t.group_norm(a, 1) + b.sum(),
    GROUPS[1:2],
    order=1,
    covers="_group_norm",
)
ROWS = [
    (In((4, 3)), In((3,)), In((3,))),
    (In((2, 4, 3)), In((4, 3)), In((4, 3))),
    (In((2, 2, 3), "normal", "transposed"), In((3,)), In((3,))),
    (In((3,)), In((3,)), In((3,))),
    (In((0, 3)), In((3,)), In((3,))),
]
row(
    "layer_norm",
    lambda t, a, w, b: t.nn.functional.layer_norm(a, w.shape, w, b, 1e-2),
    ROWS,
    dtypes=HALVES,
    covers="_layer_norm",
)
row(
    "layer_norm, plain",
    lambda t, a, w, b: (
        t.layer_norm(a, list(w.shape), w)
        + t.nn.functional.layer_norm(a, w.shape, bias=b)
        + t.layer_norm(a, w.shape)
    ),
    ROWS[:1],
    order=1,
    covers="_layer_norm",
)
row(
    "rms_norm",
    lambda t, a, w, b: t.nn.functional.rms_norm(a, w.shape, w) + t.nn.functional.rms_norm(a, b.shape, b, 0.1),
    ROWS,
    dtypes=HALVES,
    covers="_rms_norm",
)
row("rms_norm, plain", lambda t, a: t.rms_norm(a, (4,)), [In((3, 4)), In((2, 3, 4))], covers="_rms_norm")
row(
    "rms_norm of complex",
    lambda t, a: t.rms_norm(a, (4,), eps=0.1),
    [In((3, 4))],
    dtypes=("complex64", "complex128"),
    covers="mul",
)
row(
    "normalisation with float32 weights",
    lambda t, a, w, b: t.stack(
        [
            t.nn.functional.batch_norm(a, None, None, w, b, True),
            t.nn.functional.batch_norm(a, *_moved(t), w, b),
            t.nn.functional.instance_norm(a, None, None, w, b),
            t.nn.functional.group_norm(a, 3, w, b),
            t.nn.functional.layer_norm(a.transpose(1, 2), (3,), w, b).transpose(1, 2),
            t.nn.functional.rms_norm(a.transpose(1, 2), (3,), w).transpose(1, 2),
        ]
    ),
    [(In((2, 3, 5)), In((3,), dtype="float32", grad=False), In((3,), dtype="float32", grad=False))],
    dtypes=("float16", "bfloat16", "float32"),
    smooth=False,
    covers="_batch_norm",
)

# -- by norms and neighbours

for _p, _dim in ((2.0, 1), (1, 0), (3, -1), (float("inf"), 1), (2, (0, 1))):
    row(
        f"normalize {_p} {_dim}",
        lambda t, a, p=_p, d=_dim: t.nn.functional.normalize(a, p, d),
        [In((3, 4), "apart"), In((2, 3, 2), "apart", "strided")],
        covers="linalg_vector_norm",
    )
row(
    "normalize",
    lambda t, a: t.nn.functional.normalize(a),
    [In((3, 4)), In((0, 3))],
    dtypes=HALVES,
    covers="div",
)
row(
    "normalize small vectors",
    lambda t, a: t.nn.functional.normalize(a, eps=100.0) + t.nn.functional.normalize(a * 0),
    [In((3, 4))],
    smooth=False,
    order=1,
    covers="div",
)
row(
    "normalize into",
    lambda t, a: t.nn.functional.normalize(a.detach(), out=t.empty(0, dtype=a.dtype)),
    [In((3, 4))],
    smooth=False,
    order=0,
    covers="div",
)
row(
    "local_response_norm",
    lambda t, a: (
        t.nn.functional.local_response_norm(a, 3, 0.5, 0.6, 2.0) + t.nn.functional.local_response_norm(a, 2)
    ),
    [In((2, 5, 3)), In((2, 4, 3, 2), "normal", "strided")],
    dtypes=HALVES[:2],
    covers="pow",
)
