"""Lines of the table of layers: linear, convolutional and batch norm layers, small models."""

from tests.oracle.layer_table import errors, layers

layers("5x3 2x4x3 3 0x3", "Linear(3, 2)", "Linear(3, 4, bias=False)", "Linear(in_features=3, out_features=1)")
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
    "Conv2d(4, 4, 3, 3, 1, 1, 4)",
)
layers(
    "6x3 4x3x5 2x3x1",
    "BatchNorm1d(3)",
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
)
layers(
    "2x3x7x6 3x8x9",
    "MaxPool2d(2)",
    "MaxPool2d((3, 2))",
    "MaxPool2d(3, stride=1)",
    "MaxPool2d(3, 2, 1)",
    "MaxPool2d(3, (1, 2), (1, 0), ceil_mode=True)",
    "MaxPool2d(2, 3, dilation=(1, 2))",
    "MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=2, ceil_mode=True)",
)
layers(
    "3x4 2x3x4",
    "ReLU()",
    "Sigmoid()",
    "Tanh()",
    "Flatten()",
    "Flatten(0)",
    "Flatten(0, 1)",
    "Identity(3, a=2)",
)
layers("3x4", "ReLU(inplace=True)", "Dropout(0.0)", "Sequential()")
layers(
    "4x1x8x8",
    "Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), "
    "nn.Linear(36, 3))",
    "Sequential(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False)), nn.Sequential(nn.ReLU(), nn.Identity()))",
)
layers(("f(5, 4), i(4, 5)", "f(4), i(4)", "f(2, 4, 3), i(4, 2, 3)"), "CrossEntropyLoss()")
layers(("f(5, 4), c(5, 4)", "f(4), f(4)"), "MSELoss()", "MSELoss(reduction='none')")

errors(
    "nn.Linear(3, 2)(t.ones(2, 4))",
    "nn.Conv2d(3, 4, 3)(t.ones(1, 2, 5, 5))",
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.BatchNorm2d(3)(t.ones(2, 4, 5, 5))",
    "nn.BatchNorm2d(3)(t.ones(2, 3, 5))",
    "nn.BatchNorm1d(3)(t.ones(1, 3))",
    "nn.Dropout(1.5)",
)
