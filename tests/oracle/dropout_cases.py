"""Rows of the table of op cases: dropout where chance has no say. Chance: tests/nn/test_dropout.py."""

from __future__ import annotations

from tests.oracle.op_cases import HALVES, In, ones, row

row(
    "dropout",
    lambda t, a: t.nn.functional.dropout(a, 1.0),
    ones(),
    dtypes=HALVES,
    smooth=False,
    covers="_scaled",
)
row("dropout of none", lambda t, a: t.nn.functional.dropout(a, 0.0) * 1, ones()[:2], covers="mul")
row(
    "torch.dropout",
    lambda t, a: t.dropout(a, 1, True) + t.dropout(a, 0.5, False),
    ones()[:3],
    covers="_scaled",
)
row(
    "dropout in evaluation",
    lambda t, a: t.nn.functional.dropout(a, 0.5, training=False) * 1,
    ones()[:1],
    covers="mul",
)
row(
    "alpha_dropout",
    lambda t, a: t.nn.functional.alpha_dropout(a, 1.0, True) + t.alpha_dropout(a, 0.0, True),
    ones(),
    covers="mul",
)
row(
    "dropout of all channels",
    lambda t, a: (
        t.nn.functional.dropout2d(a, 1.0)
        + t.nn.functional.feature_alpha_dropout(a, 1.0, True)
        + t.feature_dropout(a, 0.0, True)
    ),
    [In((2, 3, 4, 2))],
    covers="_scaled feature_dropout feature_alpha_dropout",
)
row(
    "native_dropout",
    lambda t, a: t.native_dropout(a, 0.5, False)[0] + t.native_dropout(a, 1.0, True)[0],
    ones()[:3],
    covers="_scaled",
)
for _name in "dropout_ alpha_dropout_ feature_dropout_ feature_alpha_dropout_".split():
    row(
        _name,
        lambda t, a, n=_name: getattr(t, n)(a * 2, 1.0, True) * a + getattr(t, n)(a * 2, 0.5, False),
        [In((3, 4))],
        covers="mul",
    )
