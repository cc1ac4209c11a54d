"""Lines of the table of layers: linear and bilinear maps, distances, and layers that change the shape only."""

from tests.oracle.layer_table import errors, layers

layers("5x3 2x4x3 3 0x3", "Linear(3, 2)", "Linear(3, 4, bias=False)", "Linear(in_features=3, out_features=1)")
layers("2x3", "Linear(3, 2, True, None, t.float64)")
layers(
    ("f(5, 3), f(5, 4)", "f(2, 3, 3), f(2, 3, 4)", "f(3), f(4)", "f(0, 3), f(0, 4)", "c(2, 3), f(2, 4)"),
    "Bilinear(3, 4, 2)",
    "Bilinear(3, 4, 1, bias=False)",
    "Bilinear(in1_features=3, in2_features=4, out_features=5)",
)
layers("3x4 2x3x4", "Flatten()", "Flatten(0)", "Flatten(0, 1)", "Identity(3, a=2)")
layers(
    "2x6 3x6x2",
    "Unflatten(1, (2, 3))",
    "Unflatten(1, [3, -1])",
    "Unflatten(dim=1, unflattened_size=t.Size([1, 6]))",
)
layers("6x2", "Unflatten(-2, (2, 3))")
layers(
    ("f(5, 3), f(5, 3)", "f(3), f(3)", "f(5, 3), f(3)", "f(2, 4, 3), c(2, 4, 3)", "f(0, 3), f(0, 3)"),
    "PairwiseDistance()",
    "PairwiseDistance(1.0, keepdim=True)",
    "PairwiseDistance(p=3, eps=0.1)",
    "PairwiseDistance(float('inf'))",
)
layers(
    ("f(5, 3), f(5, 3)", "f(5, 3), f(3)", "f(2, 3, 4), c(2, 3, 4)"),
    "CosineSimilarity()",
    "CosineSimilarity(-1, eps=1e-3)",
)
layers(("f(3), f(3)", "f(3, 2), f(3, 2)"), "CosineSimilarity(dim=0)")
layers("2x8x3x2 8x2x3 2x1x4x1x2", "PixelShuffle(2)")
layers("1x9x2x2", "PixelShuffle(upscale_factor=3)", "PixelShuffle(1)")
layers("2x2x4x6 3x2x4 2x1x2x4x2", "PixelUnshuffle(2)")
layers("1x2x3x6", "PixelUnshuffle(downscale_factor=3)")
layers("2x6x3 1x6x2x2 2x6x1x2x2 0x6x2", "ChannelShuffle(2)", "ChannelShuffle(groups=3)")

errors(
    "nn.Linear(3, 2)(t.ones(2, 4))",
    "nn.Linear(3, 2)(t.ones(2, 3, dtype=t.float64))",
    "nn.Linear(-3, 2)",
    "nn.Bilinear(0, 2, 3)",
    "nn.Bilinear(3, 4, 5)(t.ones(2, 3), t.ones(3, 4))",
    "nn.Bilinear(3, 4, 5)(t.ones(2, 3), t.ones(4))",
    "nn.Bilinear(3, 4, 5)(t.ones(2, 2), t.ones(2, 4))",
    "nn.Bilinear(3, 4, 5)(t.ones(2, 3), t.ones(2, 3))",
    "nn.Bilinear(3, 4, 5)(t.ones(2, 3), t.ones(2, 4, dtype=t.float64))",
    "F.bilinear(t.ones(2, 3), t.ones(2, 4), t.ones(5, 3, 4), t.ones(4))",
    "nn.Flatten()(t.ones(3))",
    "nn.Flatten(1, 0)(t.ones(3, 2))",
    "nn.Unflatten(1, 6)",
    "nn.Unflatten(1, (2, 3.0))",
    "nn.Unflatten('a', (('b', 2), ('c', 3)))",
    "nn.Unflatten('a', (2, 3))(t.ones(2, 6))",
    "nn.Unflatten(1, (2, 4))(t.ones(2, 6))",
    "nn.Unflatten(3, (2, 3))(t.ones(2, 6))",
    "nn.CosineSimilarity()(t.ones(3), t.ones(3))",
    "nn.CosineSimilarity()(t.ones(2, 3), t.ones(2, 4))",
    "F.cosine_similarity(t.ones(2, 3, dtype=t.int64), t.ones(2, 3, dtype=t.int64))",
    "nn.PairwiseDistance()(t.ones(2, 3), t.ones(4))",
    "F.pdist(t.ones(3))",
    "nn.PixelShuffle(3)(t.ones(2, 8, 3, 3))",
    "nn.PixelShuffle(2)(t.ones(3, 3))",
    "nn.PixelShuffle(0)(t.ones(8, 3, 3))",
    "nn.PixelShuffle(2.0)(t.ones(8, 3, 3))",
    "nn.PixelUnshuffle(2)(t.ones(2, 8, 4, 3))",
    "nn.PixelUnshuffle(2)(t.ones(2, 8, 3, 4))",
    "nn.PixelUnshuffle(2)(t.ones(4, 4))",
    "nn.PixelUnshuffle(0)(t.ones(1, 4, 4))",
    "nn.ChannelShuffle(3)(t.ones(2, 8, 4))",
    "nn.ChannelShuffle(0)(t.ones(2, 8, 4))",
    "nn.ChannelShuffle(2)(t.ones(2, 8))",
    "F.one_hot(t.tensor([1.0]))",
    "F.one_hot(t.tensor([-1]))",
    "F.one_hot(t.tensor([3]), 2)",
    "F.one_hot(t.tensor([1]), 0)",
    "F.one_hot(t.tensor([], dtype=t.int64))",
)
