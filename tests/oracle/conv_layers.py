"""Lines of the table of layers: convolutions, transposed convolutions, folding."""

from tests.oracle.layer_table import errors, layers

layers(
    "2x4x9 1x4x12 4x8",
    "Conv1d(4, 6, 3)",
    "Conv1d(4, 6, 3, 1, 1)",
    "Conv1d(4, 6, (3,), stride=2, bias=False)",
    "Conv1d(4, 6, 3, padding=2, dilation=2, groups=2)",
    "Conv1d(4, 6, 4, padding='same')",
    "Conv1d(4, 6, 3, padding='valid')",
    "Conv1d(4, 8, 1, groups=4)",
    "Conv1d(4, 6, 3, padding=2, padding_mode='reflect')",
    "Conv1d(4, 6, 3, padding=2, padding_mode='circular', stride=2)",
)
layers("0x4x9", "Conv1d(4, 6, 3, 2)", "Conv1d(4, 4, 3, groups=4)")
layers(
    "2x4x7x6 1x4x9x9 4x8x7",
    "Conv2d(4, 6, 3)",
    "Conv2d(4, 6, (3, 2), bias=False)",
    "Conv2d(4, 6, 3, stride=2)",
    "Conv2d(4, 6, 3, stride=(2, 1), padding=(1, 2))",
    "Conv2d(4, 6, 3, padding='same')",
    "Conv2d(4, 6, (2, 4), padding='same')",
    "Conv2d(4, 6, 3, padding='same', dilation=2, groups=2)",
    "Conv2d(4, 6, 3, padding='valid')",
    "Conv2d(4, 6, 2, dilation=(1, 3), groups=2)",
    "Conv2d(4, 8, 1, groups=4, bias=False)",
    "Conv2d(4, 8, 1)",
    "Conv2d(4, 4, 3, 3, 1, 1, 4)",
    "Conv2d(4, 6, 3, padding=(1, 2), padding_mode='reflect')",
    "Conv2d(4, 6, 3, padding=(3, 1), padding_mode='replicate')",
    "Conv2d(4, 6, (3, 2), padding=(1, 2), padding_mode='circular', bias=False)",
    "Conv2d(4, 6, (2, 4), padding='same', padding_mode='reflect')",
    "Conv2d(4, 6, 3, padding='valid', padding_mode='circular')",
)
layers("2x4x4x4", "Conv2d(4, 30, (4, 4))")  # the kernel is larger than the result
layers(
    "2x4x5x4x3 4x3x6x5",
    "Conv3d(4, 6, 3)",
    "Conv3d(4, 6, (3, 1, 2), stride=(1, 2, 1), padding=(1, 0, 1), bias=False)",
    "Conv3d(4, 6, 2, dilation=(1, 2, 1), groups=2)",
    "Conv3d(4, 4, 3, padding='same', groups=4)",
    "Conv3d(4, 2, (2, 3, 2), padding='same')",
    "Conv3d(4, 2, 3, padding=(1, 2, 1), padding_mode='replicate')",
    "Conv3d(4, 2, 2, padding=1, padding_mode='circular')",
)
layers(
    "2x4x5 4x6 0x4x3",
    "ConvTranspose1d(4, 6, 3)",
    "ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1)",
    "ConvTranspose1d(4, 6, 3, groups=2, bias=False, dilation=2)",
    "ConvTranspose1d(4, 6, 2, 3, 0, 2)",
    "ConvTranspose1d(4, 6, 1)",
)
layers(
    "2x4x3x5 4x4x3",
    "ConvTranspose2d(4, 6, 2, stride=2)",
    "ConvTranspose2d(4, 6, 4, 1, 0, bias=False)",
    "ConvTranspose2d(4, 6, 4, 2, 1)",
    "ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0))",
    "ConvTranspose2d(4, 6, 3, groups=2, dilation=(1, 2))",
    "ConvTranspose2d(4, 6, 3, 1, 1, 2, 1, True, 3)",  # an output padding larger than the stride
    "ConvTranspose2d(4, 4, 1, groups=4)",
)
layers(
    "2x4x2x3x3 4x3x2x2",
    "ConvTranspose3d(4, 6, 2)",
    "ConvTranspose3d(4, 2, (3, 2, 2), stride=(2, 1, 2), padding=(1, 0, 1), output_padding=(1, 0, 1))",
    "ConvTranspose3d(4, 4, 2, groups=4, bias=False, dilation=2)",
)
layers(("f(1, 3, 5), output_size=(12,)", "f(3, 5), [11]", "f(2, 3, 5)"), "ConvTranspose1d(3, 2, 3, stride=2)")
layers(
    (
        "f(1, 3, 5, 4), output_size=(12, 9)",
        "f(1, 3, 5, 4), output_size=(1, 2, 11, 10)",
        "f(3, 5, 4), (2, 11, 9)",
    ),
    "ConvTranspose2d(3, 2, 3, stride=2)",
)
layers(("f(1, 3, 2, 2, 3), output_size=[4, 4, 8]",), "ConvTranspose3d(3, 2, 2, stride=(2, 2, 3))")
layers(
    "2x3x5x4 3x6x4",
    "Unfold(2)",
    "Unfold((2, 3), dilation=(2, 1), padding=1, stride=2)",
    "Unfold(kernel_size=3, stride=(1, 2))",
)
layers("2x8x9 12x9", "Fold(4, 2)", "Fold((4, 4), (2, 2), stride=1)")
layers(
    "2x12x15 12x15",
    "Fold((5, 4), (3, 2), padding=(1, 1), stride=(2, 1), dilation=1)",
    "Fold((5, 7), 2, 2, 0, 1)",
)

errors(
    "nn.Conv2d(3, 4, 3)(t.ones(1, 2, 5, 5))",
    "nn.Conv2d(3, 4, 3)(t.ones(3, 5))",
    "nn.Conv2d(3, 4, 3)(t.ones(1, 3, 2, 9))",
    "nn.Conv2d(3, 4, (3, 3, 3))(t.ones(1, 3, 5, 5))",
    "nn.Conv2d(3, 4, 3, groups=0)",
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.Conv2d(4, 3, 3, groups=2)",
    "nn.Conv2d(3, 4, 3, padding='foo')",
    "nn.Conv2d(3, 4, 3, padding='same', stride=2)",
    "nn.Conv2d(3, 4, 3, padding_mode='foo')",
    "nn.Conv2d(3, 4, 3, padding=7, padding_mode='reflect')(t.ones(1, 3, 5, 5))",
    "nn.ConvTranspose2d(3, 4, 3, padding_mode='reflect')",
    "nn.ConvTranspose2d(3, 4, 3, stride=2)(t.ones(1, 3, 5, 5), output_size=(13, 11))",
    "nn.ConvTranspose2d(3, 4, 3, stride=2)(t.ones(1, 3, 5, 5), output_size=(11,))",
    "F.conv1d(t.ones(5), t.ones(4, 3, 3))",
    "F.conv1d(t.ones(1, 3, 2), t.ones(4, 3, 3))",
    "F.conv3d(t.ones(1, 3, 5), t.ones(4, 3, 3, 3, 3))",
    "F.conv3d(t.ones(1, 3, 2, 2, 2), t.ones(4, 3, 3, 3, 3))",
    "F.conv2d(t.ones(1, 3, 2, 2), t.ones(4, 3, 3))",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), stride=0)",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), padding=-1)",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), dilation=0)",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), groups=0)",
    "F.conv2d(t.ones(1, 6, 5, 5), t.ones(4, 2, 3, 3), groups=3)",
    "F.conv2d(t.ones(1, 6, 5, 5), t.ones(2, 2, 3, 3), groups=3)",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), t.ones(3))",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), t.ones(4, 1))",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), stride=(1, 2, 3))",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), padding=(1, 2, 3))",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), padding='foo')",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), padding='same', stride=2)",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3).double())",
    "F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), t.ones(4).double())",
    "F.conv2d(t.ones(1, 3, 5, 5) > 0, t.ones(4, 3, 3, 3) > 0)",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(4, 2, 3, 3))",
    "F.conv_transpose2d(t.ones(3, 5), t.ones(3, 2, 3, 3))",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 3, 3), stride=2, output_padding=2)",
    "F.conv_transpose1d(t.ones(1, 3, 5), t.ones(3, 2, 3), stride=2, output_padding=2)",
    "F.conv_transpose3d(t.ones(1, 3, 5, 5, 5), t.ones(3, 2, 3, 3, 3), stride=2, output_padding=(0, 0, 2))",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 3, 3), output_padding=-1)",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 3, 3), t.ones(3))",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 3, 3), groups=2)",
    "F.conv_transpose2d(t.ones(1, 3, 1, 1), t.ones(3, 2, 3, 3), padding=2)",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 2, 3, 3), padding='same')",
    "F.conv_transpose2d(t.ones(1, 3, 5, 5).int(), t.ones(3, 2, 3, 3).int())",
    "F.conv_tbc(t.ones(5, 2, 3), t.ones(2, 4, 4), t.zeros(4), 1)",
    "F.conv_tbc(t.ones(5, 2, 3), t.ones(2, 3, 4), t.zeros(3), 1)",
    "F.unfold(t.ones(1, 2, 4, 4), 5)",
    "F.unfold(t.ones(2, 4), 2)",
    "F.unfold(t.ones(1, 2, 4, 4), 2, stride=0)",
    "F.unfold(t.ones(1, 2, 4, 4), 2, padding=-1)",
    "F.unfold(t.ones(1, 2, 4, 4), (2, 2, 2))",
    "F.unfold(t.ones(1, 0, 4, 4), 2)",
    "F.unfold(t.ones(1, 2, 4, 4).int(), 2)",
    "F.fold(t.ones(1, 8, 8), (4, 4), 2)",
    "F.fold(t.ones(1, 7, 9), (4, 4), 2)",
    "F.fold(t.ones(8), 4, 2)",
    "F.fold(t.ones(1, 8, 9), (4, 4, 4), 2)",
    "F.fold(t.ones(1, 8, 9), (1, 1), 2)",
    "F.fold(t.ones(1, 8, 9), (4, 4), 2, dilation=0)",
)
