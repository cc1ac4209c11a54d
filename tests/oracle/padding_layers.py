"""Lines of the table of layers: padding."""

from tests.oracle.layer_table import errors, layers

layers(
    "2x3x5 3x6",
    "ConstantPad1d(2, 3.5)",
    "ConstantPad1d((1, -2), 0)",
    "ZeroPad1d([1, 2])",
    "ReflectionPad1d(2)",
    "ReflectionPad1d((4, 0))",
    "ReflectionPad1d((2, -1))",
    "ReplicationPad1d((3, 1))",
    "ReplicationPad1d((-1, 7))",
    "CircularPad1d((5, 2))",
    "CircularPad1d((2, -1))",
)
layers("5 0x2x3", "ConstantPad1d(1, 2)", "ZeroPad1d((0, 1))")
layers(
    "2x3x4x5 3x5x4",
    "ConstantPad2d((1, 2, 0, 3), 0.5)",
    "ZeroPad2d((1, 2, 3, 4))",
    "ZeroPad2d((-1, 2, 1, -2))",
    "ReflectionPad2d(2)",
    "ReflectionPad2d((3, 1, 0, 2))",
    "ReplicationPad2d(1)",
    "ReplicationPad2d((5, 0, 2, 1))",
    "ReplicationPad2d((-1, 3, 2, -2))",
    "CircularPad2d(2)",
    "CircularPad2d((4, 1, 0, 3))",
    "CircularPad2d((-1, 2, 1, 0))",
)
layers(
    "2x2x3x4x2 3x3x2x3",
    "ConstantPad3d((1, 0, 2, 1, -1, 1), -2)",
    "ZeroPad3d(1)",
    "ReflectionPad3d(1)",
    "ReflectionPad3d((1, 0, 0, 1, 2, 1))",
    "ReplicationPad3d((2, 1, 0, 3, 1, 1))",
    "CircularPad3d((1, 2, 2, 0, 1, 1))",
)

layers("2x3x4x5", "ReplicationPad2d((-3, -2, 1, 1))", "ReflectionPad2d((-2, -3, 0, 1))")  # nothing is left

errors(
    "F.pad(t.arange(4.0), (1, 1, 1, 1))",
    "F.pad(t.arange(4.0), (1,))",
    "F.pad(t.arange(4.0), (-2, -3))",
    "F.pad(t.ones(1), (2, -2))",
    "F.pad(t.arange(4.0), 1)",
    "F.pad(t.arange(4.0), (1.0, 1))",
    "F.pad(t.arange(4.0), (1, 1), 'reflect')",
    "F.pad(t.ones(1, 4), (1, 1), 'reflect', 1)",
    "F.pad(t.ones(1, 4), (4, 1), 'reflect')",
    "F.pad(t.ones(1, 1, 2, 2), (1, 1, 2, 1), 'reflect')",
    "F.pad(t.ones(1, 1, 2, 2, 2), (1, 1, 1, 1, 1, 2), 'reflect')",
    "F.pad(t.ones(1, 1, 2, 2), (1, 1), 'replicate')",
    "F.pad(t.ones(1, 1, 2, 2, 2), (1, 1, 1, 1), 'circular')",
    "F.pad(t.ones(1, 1, 4), (5, 1), 'circular')",
    "F.pad(t.ones(1, 1, 4), (-2, -3), 'circular')",
    "F.pad(t.ones(1, 1, 4), (-3, -1), 'replicate')",
    "F.pad(t.ones(1, 1, 4), (-2, -3), 'reflect')",
    "F.pad(t.ones(1, 1, 4), (1, 1), 'foo')",
    "F.pad(t.ones(2, 0, 3), (1, 1), 'reflect')",
    "F.pad(t.ones(2, 2, 0), (1, 1), 'replicate')",
    "F.pad(t.ones(2, 2, 2) > 0, (1, 1), 'reflect')",
    "nn.ReflectionPad2d(1)(t.ones(3, 3))",
    "nn.ReplicationPad3d(1)(t.ones(3, 3))",
    "nn.CircularPad1d(1)(t.ones(1, 1, 3, 3))",
    "nn.CircularPad2d(1)(t.ones(3, 3))",
)
