"""Lines of the table of layers: layers that resize images, and what their functions refuse."""

from tests.oracle.layer_table import errors, layers

layers(
    "2x3x4x5 1x1x1x2",
    "Upsample((7, 3))",
    "Upsample(6, mode='nearest-exact')",
    "Upsample(scale_factor=2)",
    "Upsample(scale_factor=(1.3, 2.6))",
    "Upsample(scale_factor=(1.3, 2.6), recompute_scale_factor=True, mode='bilinear')",
    "Upsample(scale_factor=1.7, mode='bilinear', align_corners=True)",
    "Upsample(scale_factor=(2, 3), mode='bicubic')",
    "Upsample((3, 9), mode='bicubic', align_corners=True)",
    "Upsample((3, 9), mode='area')",
    "UpsamplingNearest2d(scale_factor=2)",
    "UpsamplingNearest2d((3, 5))",
    "UpsamplingBilinear2d(scale_factor=3)",
    "UpsamplingBilinear2d((3, 5))",
)
layers(
    "2x3x5 1x2x1",
    "Upsample(7)",
    "Upsample(scale_factor=2.5, mode='linear')",
    "Upsample(9, mode='linear', align_corners=True)",
)
layers(
    "2x2x2x3x4 1x1x1x1x2",
    "Upsample((3, 2, 7))",
    "Upsample(scale_factor=2, mode='trilinear')",
    "Upsample((3, 1, 7), mode='trilinear', align_corners=True)",
    "Upsample(scale_factor=1.5, mode='area')",
)

IMAGE = "F.interpolate(t.ones(1, 1, 2, 3)"
errors(
    f"{IMAGE})",
    f"{IMAGE}, 2, 2.0)",
    f"{IMAGE}, (2, 2, 2))",
    f"{IMAGE}, scale_factor=(2, 2, 2))",
    f"{IMAGE}, (2.0, 2))",
    f"{IMAGE}, 2, mode='x')",
    f"{IMAGE}, 2, mode='linear')",
    f"{IMAGE}, 2, mode='trilinear')",
    f"{IMAGE}, 2, align_corners=False)",
    f"{IMAGE}, 2, mode='area', align_corners=True)",
    f"{IMAGE}, 2, recompute_scale_factor=True)",
    f"{IMAGE}, 2, antialias=True)",
    f"{IMAGE}, 2, mode='lanczos')",
    f"{IMAGE}, 2, mode='lanczos', antialias=True, align_corners=True)",
    f"{IMAGE}, (0, 5))",
    f"{IMAGE}, (-1, 5))",
    f"{IMAGE}, scale_factor=0.1)",
    f"{IMAGE}, scale_factor=-1.0)",
    f"{IMAGE}.long(), 3)",
    f"{IMAGE}.bool(), 3)",
    f"{IMAGE}.int(), 3, mode='bilinear')",
    f"{IMAGE}.byte(), 3, mode='area')",
    f"{IMAGE}.half(), 3, mode='bilinear', antialias=True)",
    "F.interpolate(t.ones(2, 3), 2)",
    "F.interpolate(t.ones(1, 2, 3), 2, mode='bicubic')",
    "F.interpolate(t.ones(1, 2, 3), 2, mode='bilinear')",
    "F.interpolate(t.ones(1, 2, 3).byte(), 2, mode='linear')",
    "F.interpolate(t.ones(1, 1, 2, 2, 3), 2, mode='bilinear')",
    "F.interpolate(t.ones(1, 1, 0, 3), (2, 5))",
    "F.interpolate(t.ones(1, 0, 2, 3), (2, 5))",
    "nn.Upsample()(t.ones(1, 1, 2, 3))",
)

GRID = "t.zeros(1, 2, 2, 2), align_corners=True"
errors(
    "F.grid_sample(t.ones(1, 1, 2, 3), t.zeros(1, 2, 2, 3), align_corners=True)",
    "F.grid_sample(t.ones(1, 1, 2, 3), t.zeros(2, 2, 2, 2), align_corners=True)",
    "F.grid_sample(t.ones(1, 1, 2, 3), t.zeros(1, 2, 2, 2, 3), align_corners=True)",
    f"F.grid_sample(t.ones(1, 2, 3), {GRID})",
    f"F.grid_sample(t.ones(1, 1, 0, 3), {GRID})",
    f"F.grid_sample(t.ones(1, 1, 2, 3).double(), {GRID})",
    "F.grid_sample(t.ones(1, 1, 2, 3).long(), t.zeros(1, 2, 2, 2).long(), align_corners=True)",
    "F.grid_sample(t.ones(1, 1, 2, 2, 3), t.zeros(1, 2, 2, 2, 3), mode='bicubic', align_corners=True)",
    f"F.grid_sample(t.ones(1, 1, 2, 3), mode='x', grid={GRID})",
    f"F.grid_sample(t.ones(1, 1, 2, 3), padding_mode='x', grid={GRID})",
    "F.affine_grid(t.ones(1, 2, 3), (1, 1, 2))",
    "F.affine_grid(t.ones(1, 2, 3), (1, 1, 2, 2, 2))",
    "F.affine_grid(t.ones(2, 3), (1, 1, 2, 2))",
    "F.affine_grid(t.ones(1, 2, 3).long(), (1, 1, 2, 2))",
    "F.affine_grid(t.ones(1, 2, 3), (1, 1, 0, 2))",
    "F.affine_grid(t.ones(1, 2, 3), (2, 1, 2, 2))",
)
