"""Lines of the table of layers: normalisation."""

from tests.oracle.layer_table import errors, layers

layers(
    "6x3 4x3x5 2x3x1",
    "BatchNorm1d(3)",
    "BatchNorm1d(num_features=3)",
    "BatchNorm1d(3, eps=0.1, momentum=0.3)",
    "BatchNorm1d(3, momentum=None)",
    "BatchNorm1d(3, affine=False)",
    "BatchNorm1d(3, track_running_stats=False)",
    "BatchNorm1d(3, momentum=0.0)",
    "BatchNorm1d(3, bias=False)",
    "BatchNorm1d(3, affine=False, track_running_stats=False)",
)
layers(
    "4x3x2x5 2x3x1x1",
    "BatchNorm2d(3)",
    "BatchNorm2d(3, momentum=None, affine=False)",
    "BatchNorm2d(3, track_running_stats=False)",
    "BatchNorm2d(3, 1e-3, 0.2, True, True, None, t.float64)",
)
layers("2x3x2x1x4 0x3x2x2x2", "BatchNorm3d(3)", "BatchNorm3d(3, bias=False)")
layers("2x1x4", "BatchNorm1d(1)", "InstanceNorm1d(1, affine=True)", "GroupNorm(1, 1)")

layers(
    "5x3 2x4x3 3 0x3 2x2x2x3",
    "LayerNorm(3)",
    "LayerNorm((3,), eps=0.1)",
    "LayerNorm([3], elementwise_affine=False)",
    "LayerNorm(3, bias=False)",
    "RMSNorm(3)",
    "RMSNorm((3,), eps=0.1)",
    "RMSNorm([3], elementwise_affine=False)",
)
layers(
    "2x4x3 4x3",
    "LayerNorm((4, 3))",
    "LayerNorm(normalized_shape=[4, 3])",
    "LayerNorm(t.Size([4, 3]), 1e-3, True, False)",
    "RMSNorm((4, 3))",
    "RMSNorm(t.Size([4, 3]), None, False)",
)
layers(
    "2x6x3 3x6 1x6x2x2 0x6x2 2x6x1x2x2",
    "GroupNorm(2, 6)",
    "GroupNorm(num_groups=3, num_channels=6)",
    "GroupNorm(1, 6, eps=0.1)",
    "GroupNorm(2, 6, affine=False)",
    "GroupNorm(2, 6, bias=False)",
)
layers("2x6x3", "GroupNorm(6, 6)")

OPTIONS = (
    "",
    ", affine=True",
    ", eps=0.1, momentum=0.3, affine=True, track_running_stats=True",
    ", track_running_stats=True",
    ", affine=True, bias=False",
    ", momentum=None, track_running_stats=True",
)
layers("2x3x4 3x5", *(f"InstanceNorm1d(3{options})" for options in OPTIONS))
layers("2x3x4x2 3x5x2", *(f"InstanceNorm2d(3{options})" for options in OPTIONS))
layers("2x3x2x4x2 3x2x5x2", *(f"InstanceNorm3d(3{options})" for options in OPTIONS[:3]))

layers(
    "2x5x4 2x5x3x2 1x5x2x2x2 0x5x2",
    "LocalResponseNorm(2)",
    "LocalResponseNorm(3, alpha=0.1, beta=0.5, k=2.0)",
    "LocalResponseNorm(7, 0.5)",
    "LocalResponseNorm(1)",
)
layers(
    ("c(2, 6, 3, 2)", "c(1, 2, 1, 1)", "c(1, 1, 2, 2)"),
    "CrossMapLRN2d(3)",
    "CrossMapLRN2d(2, 0.5, 0.5, 2)",
    "CrossMapLRN2d(5, alpha=0.1, beta=0.6, k=1.5)",
    "CrossMapLRN2d(20, 1.0)",
)

errors(
    "nn.BatchNorm1d(3)(t.ones(1, 3))",
    "nn.BatchNorm1d(3)(t.ones(2, 3, 4, 5))",
    "nn.BatchNorm1d(3)(t.ones(3))",
    "nn.BatchNorm1d(3)(t.ones(2, 4))",
    "nn.BatchNorm2d(3)(t.ones(2, 4, 5, 5))",
    "nn.BatchNorm2d(3)(t.ones(2, 3, 5))",
    "nn.BatchNorm3d(3)(t.ones(2, 3, 5))",
    "nn.BatchNorm1d(3)(t.ones(2, 3, dtype=t.float64))",
    "nn.BatchNorm1d(3)(t.ones(2, 3, dtype=t.int64))",
    "nn.BatchNorm1d(3).double()(t.ones(2, 3))",
    "F.batch_norm(t.ones(2, 3), None, None)",
    "F.batch_norm(t.ones(2, 3), t.ones(3), None)",
    "F.batch_norm(t.ones(2, 3), t.ones(3), None, training=True)",
    "F.batch_norm(t.ones(2, 3), t.ones(2), t.ones(3))",
    "F.batch_norm(t.ones(2, 3), t.ones(3), t.ones(3), t.ones(2))",
    "F.batch_norm(t.ones(2, 3), t.ones(3), t.ones(3), t.ones(3), t.ones(1))",
    "F.batch_norm(t.ones(2, 3), t.ones(3), t.ones(3), training=True, eps=0)",
    "F.batch_norm(t.ones(2, 3), t.ones(3), t.ones(3), eps=-1)",
    "F.batch_norm(t.ones(3), t.ones(3), t.ones(3))",
    "nn.LayerNorm(4)(t.ones(2, 3))",
    "nn.LayerNorm((2, 3))(t.ones(3))",
    "nn.LayerNorm(3)(t.ones(2, 3, dtype=t.float64))",
    "nn.LayerNorm(3)(t.ones(2, 3, dtype=t.int64))",
    "F.layer_norm(t.ones(2, 3), 3)",
    "F.layer_norm(t.ones(2, 3), ())",
    "F.layer_norm(t.ones(2, 3), (3.0,))",
    "F.layer_norm(t.ones(2, 3), (2, 3), t.ones(3))",
    "F.layer_norm(t.ones(2, 3), (3,), t.ones(3), t.ones(4))",
    "nn.RMSNorm(2)(t.ones(2, 3))",
    "nn.RMSNorm((2, 3))(t.ones(3))",
    "nn.RMSNorm(3)(t.ones(2, 3, dtype=t.int64))",
    "F.rms_norm(t.ones(2, 3), (3,), t.ones(2))",
    "F.rms_norm(t.ones(2, 3), ())",
    "nn.GroupNorm(4, 6)",
    "nn.GroupNorm(0, 6)",
    "nn.GroupNorm(2, 6)(t.ones(2, 5, 5))",
    "nn.GroupNorm(2, 6)(t.ones(2, 4, 5))",
    "nn.GroupNorm(6, 6)(t.ones(1, 6))",
    "nn.GroupNorm(2, 6)(t.ones(6))",
    "F.group_norm(t.ones(2, 6), -2)",
    "F.group_norm(t.ones(2, 6, 3), 2, t.ones(5))",
    "F.group_norm(t.ones(2, 6, 3), 2, t.ones(6), t.ones(5))",
    "nn.InstanceNorm1d(3)(t.ones(5))",
    "nn.InstanceNorm1d(3)(t.ones(2, 3, 1))",
    "nn.InstanceNorm2d(3)(t.ones(5, 4))",
    "nn.InstanceNorm3d(3)(t.ones(5, 4))",
    "nn.InstanceNorm1d(3, affine=True)(t.ones(2, 4, 5))",
    "nn.InstanceNorm1d(3, affine=True)(t.ones(2, 5))",
    "F.instance_norm(t.ones(2, 3, 4), use_input_stats=False)",
    "F.instance_norm(t.ones(2, 3, 4), t.ones(3), None)",
    "F.instance_norm(t.ones(2, 3, 4), t.ones(2), t.ones(2))",
    "F.instance_norm(t.ones(2, 3, 4), weight=t.ones(3), bias=t.ones(2))",
    "F.local_response_norm(t.ones(2, 3), 2)",
    "F.local_response_norm(t.ones(2, 3, 4), 0)",
    "nn.CrossMapLRN2d(3)(t.ones(2, 3, 4))",
    "F.normalize(t.ones(3))",
    "F.normalize(t.ones(2, 3, dtype=t.int64))",
)
