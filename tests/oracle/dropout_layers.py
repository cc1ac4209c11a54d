"""Lines of the table of layers: dropout, where chance has no say: p=0, and all zeros. Chance: tests/nn/test_dropout."""

from tests.oracle.layer_table import errors, layers

KINDS = "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout".split()
layers("3x4 2x3x4", *(f"{kind}(0.0)" for kind in KINDS[:2]))
layers("2x3x4x2", *(f"{kind}(p=0)" for kind in KINDS if kind != "Dropout1d"))
layers("2x3x4x2 2x3x1x2x2", *(f"{kind}(1.0)" for kind in KINDS if kind not in ("Dropout1d", "Dropout2d")))
layers("2x3x4 3x4", "Dropout1d(p=1)", "Dropout1d(1.0, inplace=True)")
layers("2x3x4x2 2x3x4", "Dropout2d(1.0)", "Dropout2d(1, inplace=True)")
layers("2x3", "Dropout(0.0, True)", "Dropout(1.0, inplace=True)", "AlphaDropout(1.0, inplace=True)")

errors(
    *(f"nn.{kind}({p})" for kind in KINDS for p in (1.5, -0.1)),
    "nn.Dropout('a')",
    "F.dropout(t.ones(3), 2)",
    "F.dropout(t.ones(3), float('nan'))",
    "t.dropout(t.ones(3), 1.5, True)",
    "F.dropout(t.ones(3, dtype=t.int64), 0.5)",
    "F.alpha_dropout(t.ones(3, dtype=t.int64), 0.5, True)",
    "F.dropout([1.0], 0.5)",
    "F.dropout(t.ones(3, requires_grad=True), 0.5, inplace=True)",
    "F.dropout1d(t.ones(3))",
    "F.dropout1d(t.ones(1, 3, 4, 5))",
    "F.dropout2d(t.ones(3))",
    "F.feature_alpha_dropout(t.ones(3), 0.5, True)",
    "t.feature_dropout(t.ones(3), 0.5, True)",
)
