"""Lines of the table of layers: activations and softmax."""

from tests.oracle.layer_table import errors, layers

SHAPES = "3x4 2x3x4 0x3"
layers(
    SHAPES,
    "ReLU()",
    "ReLU6()",
    "LeakyReLU()",
    "LeakyReLU(0.2)",
    "LeakyReLU(-0.5)",
    "RReLU(0.2, 0.2)",
    "Hardsigmoid()",
    "Hardtanh()",
    "Hardtanh(-0.5, 0.3)",
    "Hardswish()",
    "Hardshrink()",
    "Hardshrink(0.1)",
    "Softshrink()",
    "Softshrink(0.1)",
    "Softshrink(0)",
    "Threshold(0.2, -3)",
    "Threshold(threshold=-1, value=2.5)",
    second_order=False,
)
layers(
    SHAPES,
    "ELU()",
    "ELU(0.5)",
    "CELU()",
    "CELU(alpha=2.0)",
    "SELU()",
    "GELU()",
    "GELU('tanh')",
    "GELU(approximate='none')",
    "SiLU()",
    "Mish()",
    "Sigmoid()",
    "LogSigmoid()",
    "Tanh()",
    "Tanhshrink()",
    "Softplus()",
    "Softplus(2, 1)",
    "Softplus(beta=0.5, threshold=3.0)",
    "Softsign()",
    "Softmax(0)",
    "Softmax(dim=-1)",
    "Softmin(dim=1)",
    "LogSoftmax(dim=-1)",
)
layers(
    "3x4",
    "ReLU(inplace=True)",
    "ReLU(True)",
    "ReLU6(inplace=True)",
    "LeakyReLU(0.2, inplace=True)",
    "RReLU(0.2, 0.2, inplace=True)",
    "Hardtanh(-0.5, 0.3, True)",
    "Hardsigmoid(inplace=True)",
    "Hardswish(inplace=True)",
    "Threshold(0.2, -3, inplace=True)",
    second_order=False,
)
layers(
    "3x4",
    "ELU(0.5, inplace=True)",
    "CELU(2.0, True)",
    "SELU(inplace=True)",
    "SiLU(inplace=True)",
    "Mish(inplace=True)",
)
layers("3x4 2x3x4 6 0x2", "GLU()")
layers("4x3 2x4x3", "GLU(dim=-2)", "GLU(0)")
layers("3x4 2x4x3 4 2x4x1x2", "PReLU()", "PReLU(init=0.5)")
layers("3x4 2x4x3 2x4x1x2 0x4", "PReLU(4)", "PReLU(num_parameters=4, init=-0.1, dtype=t.float64)")
layers("2x3x2x2 3x2x2", "Softmax2d()")

errors(
    "nn.Hardtanh(2, 1)",
    "nn.Hardtanh(1.5, 1.5)",
    "F.hardtanh(t.ones(2), 2, 1)",
    "nn.GLU()(t.ones(3, 5))",
    "nn.GLU(4)(t.ones(3, 4))",
    "nn.GLU()(t.tensor(1.0))",
    "nn.GELU('erf')(t.ones(2))",
    "nn.CELU(0)(t.ones(2))",
    "nn.Softshrink(-1)(t.ones(2))",
    "nn.PReLU(3)(t.ones(2, 4))",
    "nn.PReLU(3)(t.ones(3))",
    "nn.PReLU()(t.ones(3, dtype=t.float64))",
    "F.prelu(t.ones(2, 3), t.ones(1, 3))",
    "nn.RReLU(0.5, 0.2)(t.ones(2))",
    "nn.Softmax(2)(t.ones(3, 4))",
    "nn.LogSoftmax(1)(t.ones(3))",
    "nn.Softmax2d()(t.ones(3, 4))",
    "F.log_softmax(t.ones(3), dim=1)",
    "F.softmax(t.ones(3, dtype=t.int64), 0)",
    "F.gumbel_softmax(t.ones(3, dtype=t.int64))",
    *(
        f"F.{name}(t.ones(3, dtype=t.int64))"
        for name in (
            "celu elu gelu hardshrink hardsigmoid hardswish leaky_relu logsigmoid mish rrelu selu silu softplus "
            "softshrink"
        ).split()
    ),
    "F.glu(t.ones(4, dtype=t.int64))",
    "F.hardtanh(t.ones(3, dtype=t.bool))",
    "F.threshold(t.ones(3, dtype=t.bool), 1, 2)",
    "F.leaky_relu_(t.ones(3, requires_grad=True))",
    "F.elu_(t.ones(3, requires_grad=True))",
    "F.relu_(5)",
    "F.leaky_relu(t.ones(2), 'a')",
)
